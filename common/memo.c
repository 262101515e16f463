/* SPDX-License-Identifier: Apache-2.0 */
#include "common/memo.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/host.h"
#include "common/io.h"
#include "common/private.h"

#define PATH_SIZE 1024
#define MAGIC 0x41516832u /* "AQh2" */
/* Of some 10 KiB each, in memory, whatever is asked for; of one user fewer. */
#define SLOTS 512
#define SLOTS_PRIVATE 32
/* A file that was written twice within this has one time for both: a tick of the kernel,
 * of which 100 a second are the fewest; or a second, where that is what the file system
 * keeps (ext4 with inodes of 128 bytes).
 */
#define TICK_MS 10
#define COARSE_TICK_MS 1000

/* A memo: this, the canonical bytes, and of the answer what is in use. */
struct head {
	uint32_t magic, answer_size; /* of the whole struct: its layout */
	uint64_t conf_stamp;
	struct aq_memo_state state;
	char digest[AQ_LEASE_DIGEST_SIZE];
	uint32_t canonical_len;
};
#define ANSWER_LEN(a) (offsetof(struct aq_answer, ops) + (a)->ops_len)
#define MEMO_MAX (sizeof(struct head) + AQ_REQUEST_CANONICAL_MAX +            \
		  sizeof(struct aq_answer))

static void make_db_path(const struct aq_conf *conf, char ret[PATH_SIZE])
{
	snprintf(ret, PATH_SIZE, "%s/cache.db", conf->cache_dir);
}

static int64_t to_ms(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

bool aq_memo_is_settled(struct timespec changed, struct timespec now)
{
	int64_t tick = changed.tv_nsec ? TICK_MS : COARSE_TICK_MS;

	return to_ms(changed) + 2 * tick <= to_ms(now);
}

void aq_memo_look(const struct aq_conf *conf, struct aq_memo_state *ret)
{
	char path[PATH_SIZE];
	struct timespec now;

	*ret = (struct aq_memo_state){ .host = aq_host_stamp(AQ_HOST_DRIVER) };
	make_db_path(conf, path);
	clock_gettime(CLOCK_REALTIME_COARSE, &now); /* of which a file's times are */
	ret->is_known = aq_see(path, &ret->db) && aq_is_local(path) &&
			aq_memo_is_settled(ret->db.changed, now);
}

/* Whether cache.db and this node are as they were. */
static bool is_as_then(const struct aq_conf *conf,
		     const struct aq_memo_state *then, bool is_at_hand)
{
	char path[PATH_SIZE];
	struct aq_seen now;

	make_db_path(conf, path);
	return (is_at_hand ? aq_at_hand_see(path, &now) : aq_see(path, &now)) &&
	       memcmp(&then->db, &now, sizeof(now)) == 0 &&
	       then->host == aq_host_stamp(AQ_HOST_DRIVER);
}

/* Whether its prefix is there. */
static bool has_prefix(const struct aq_answer *a, bool is_at_hand)
{
	struct aq_seen seen;

	return is_at_hand ? aq_at_hand_see(a->prefix, &seen) :
			    !aq_answer_is_gone(a);
}

/* Different requests may share a place; the bytes decide. */
static void make_path(const struct aq_conf *conf, const char *canonical,
		      size_t len, char ret[PATH_SIZE])
{
	snprintf(ret, PATH_SIZE, "%s/hits/%03x", conf->run_dir,
		 (unsigned int)(aq_hash(canonical, len) %
				(conf->site ? SLOTS_PRIVATE : SLOTS)));
}

int aq_memo_read(const struct aq_conf *conf, const char *canonical, size_t len,
		 bool is_at_hand, struct aq_answer *ret,
		 char ret_digest[AQ_LEASE_DIGEST_SIZE], struct aq_err *err)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(MEMO_MAX);
	char path[PATH_SIZE];
	struct head head;
	size_t at = sizeof(head) + len;

	make_path(conf, canonical, len, path);
	if (aq_read_file(AT_FDCWD, path, &text, NULL) != 0 || text.len <= at)
		return aq_fail(err, AQ_MISS, "not answered before");
	memcpy(&head, text.s, sizeof(head));
	if (head.magic != MAGIC || head.answer_size != sizeof(*ret) ||
	    head.conf_stamp != conf->stamp || head.canonical_len != len ||
	    memcmp(text.s + sizeof(head), canonical, len) != 0 ||
	    text.len - at > sizeof(*ret) ||
	    !is_as_then(conf, &head.state, is_at_hand))
		return aq_fail(err, AQ_MISS, "not answered as it is now");
	memcpy(ret, text.s + at, text.len - at);
	memcpy(ret_digest, head.digest, AQ_LEASE_DIGEST_SIZE);
	if (text.len - at == ANSWER_LEN(ret) && aq_answer_is_sound(ret) &&
	    strnlen(ret_digest, AQ_LEASE_DIGEST_SIZE) < AQ_LEASE_DIGEST_SIZE &&
	    has_prefix(ret, is_at_hand))
		return 0;
	aq_answer_begin(ret);
	return aq_fail(err, AQ_MISS, "the memo is damaged, or its environment gone");
}

static int write_memo(const char *path, const struct aq_str *text)
{
	char new[PATH_SIZE + 32];
	cleanup_close int fd = -1;

	snprintf(new, sizeof(new), "%s.%d", path, getpid());
	fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
		  0600);
	if (fd >= 0 && aq_write_all(fd, text->s, text->len, NULL) == 0 &&
	    rename(new, path) == 0)
		return 0;
	(void)unlink(new);
	return -1;
}

void aq_memo_keep(const struct aq_conf *conf, const struct aq_memo_state *state,
		  const struct aq_request *req, const struct aq_answer *answer)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(MEMO_MAX);
	char path[PATH_SIZE];
	struct head head;

	if (!state->is_known || !aq_answer_is_sound(answer))
		return;
	memset(&head, 0, sizeof(head));
	head.magic = MAGIC;
	head.answer_size = sizeof(*answer);
	head.conf_stamp = conf->stamp;
	memcpy(&head.state, state, sizeof(*state));
	memcpy(head.digest, req->digest, sizeof(head.digest));
	head.canonical_len = (uint32_t)req->canonical_len;
	aq_str_add_mem(&text, &head, sizeof(head));
	aq_str_add_mem(&text, req->canonical, req->canonical_len);
	aq_str_add_mem(&text, answer, ANSWER_LEN(answer));
	make_path(conf, req->canonical, req->canonical_len, path);
	if (aq_str_done(&text, "a memo", NULL) == 0)
		(void)write_memo(path, &text);
}

/* -- what is private -- */

/* Beside the answers: the canonical bytes. */
static void make_private_path(const char *run_dir, const char *canonical,
			      size_t len, char ret[PATH_SIZE])
{
	snprintf(ret, PATH_SIZE, "%.960s/hits/script-%02x", run_dir,
		 (unsigned int)(aq_hash(canonical, len) % SLOTS_PRIVATE));
}

void aq_memo_keep_private(const struct aq_conf *conf,
			  const struct aq_request *req)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(AQ_REQUEST_CANONICAL_MAX);
	char path[PATH_SIZE];

	make_private_path(conf->run_dir, req->canonical, req->canonical_len,
			  path);
	aq_str_add_mem(&text, req->canonical, req->canonical_len);
	if (aq_str_done(&text, "a memo", NULL) == 0)
		(void)write_memo(path, &text);
}

bool aq_memo_is_private(const struct aq_conf *site, uid_t uid,
			const char *canonical, size_t len)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(AQ_REQUEST_CANONICAL_MAX);
	char run_dir[PATH_SIZE], path[PATH_SIZE];

	if (site->policy[AQ_INPUT_SCRIPT] != AQ_POLICY_PRIVATE || !uid)
		return false;
	aq_private_run_dir(site, uid, run_dir, sizeof(run_dir));
	make_private_path(run_dir, canonical, len, path);
	return aq_read_file(AT_FDCWD, path, &text, NULL) == 0 &&
	       text.len == len && memcmp(aq_str_get(&text), canonical, len) == 0;
}
