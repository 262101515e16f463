/* SPDX-License-Identifier: Apache-2.0 */
/* What was answered before: as long as nothing has changed, and never else. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/host.h"
#include "common/io.h"
#include "common/memo.h"
#include "common/private.h"
#include "tests/unit/memo_node.h"

static const char canonical[] = MEMO_CANONICAL;

/* A class, and what is found is what was kept. */
static int recall(struct memo_node *n)
{
	char digest[AQ_LEASE_DIGEST_SIZE];
	struct aq_answer *a = calloc(1, sizeof(*a));
	int rc = aq_memo_read(n->conf, canonical, strlen(canonical), false, a,
			      digest, NULL);

	if (!rc) {
		assert_string_equal(digest, n->req->digest);
		assert_memory_equal(a, n->answer, sizeof(*a));
	} else {
		assert_int_equal(a->done, 0);
	}
	free(a);
	return rc;
}

/* The only one. */
static char *path_of_memo(const struct memo_node *n)
{
	cleanup_free char *hits = path_below(n->conf->run_dir, "hits");

	for (unsigned int i = 0; i < 512; i++) {
		char name[8], *path;

		snprintf(name, sizeof(name), "%03x", i);
		path = path_below(hits, name);
		if (access(path, F_OK) == 0)
			return path;
		free(path);
	}
	fail_msg("there is none");
	return NULL;
}

static void what_is_kept_is_found(void **state)
{
	char digest[AQ_LEASE_DIGEST_SIZE];
	struct memo_node n;

	memo_node_begin(&n, state);
	assert_int_equal(recall(&n), AQ_MISS);
	memo_node_keep(&n);
	assert_int_equal(recall(&n), 0);
	assert_int_equal(recall(&n), 0);
	/* another request, whichever place it has */
	assert_int_equal(aq_memo_read(n.conf, canonical, strlen(canonical) - 1,
				      false, n.answer, digest, NULL), AQ_MISS);
	memo_node_end(&n);
}

static void another_commit_makes_it_unknown(void **state)
{
	struct aq_memo_state before;
	struct memo_node n;

	memo_node_begin(&n, state);
	memo_node_keep(&n);
	assert_int_equal(recall(&n), 0);
	assert_int_equal(aq_store_used(n.store, n.sample->env.name, 1, NULL), 0);
	assert_int_equal(recall(&n), AQ_MISS);
	memo_node_keep(&n);
	assert_int_equal(recall(&n), 0);
	/* and what was found before one is not kept behind it */
	memo_node_look(&n, &before);
	assert_int_equal(memo_node_look_up(&n), 0);
	assert_int_equal(aq_store_remove(n.store, n.sample->env.name, NULL), 0);
	aq_memo_keep(n.conf, &before, n.req, n.answer);
	assert_int_equal(recall(&n), AQ_MISS);
	memo_node_end(&n);
}

static void another_configuration_makes_it_unknown(void **state)
{
	struct memo_node n;

	memo_node_begin(&n, state);
	memo_node_keep(&n);
	n.conf->stamp++;
	assert_int_equal(recall(&n), AQ_MISS);
	n.conf->stamp--;
	assert_int_equal(recall(&n), 0);
	memo_node_end(&n);
}

/* A driver came or left. */
static void another_node_makes_it_unknown(void **state)
{
	struct aq_memo_state before;
	struct memo_node n;

	memo_node_begin(&n, state);
	memo_node_look(&n, &before);
	assert_int_equal(before.host, aq_host_stamp(AQ_HOST_DRIVER));
	assert_int_equal(memo_node_look_up(&n), 0);
	before.host++;
	aq_memo_keep(n.conf, &before, n.req, n.answer);
	assert_int_equal(recall(&n), AQ_MISS);
	before.host--;
	aq_memo_keep(n.conf, &before, n.req, n.answer);
	assert_int_equal(recall(&n), 0);
	memo_node_end(&n);
}

static void another_database_makes_it_unknown(void **state)
{
	cleanup_str struct aq_str bytes = AQ_STR_INIT(1024 * 1024);
	cleanup_free char *db = NULL;
	struct memo_node n;

	memo_node_begin(&n, state);
	db = path_below(n.conf->cache_dir, "cache.db");
	memo_node_keep(&n);
	/* the same bytes in another file */
	assert_int_equal(aq_read_file(AT_FDCWD, db, &bytes, NULL), 0);
	assert_int_equal(unlink(db), 0);
	scribble(db, 0, bytes.s, bytes.len);
	assert_int_equal(recall(&n), AQ_MISS);
	assert_int_equal(unlink(db), 0);
	assert_int_equal(recall(&n), AQ_MISS);
	memo_node_end(&n);
}

/* Removed by hand, while its row is there. */
static void what_is_gone_is_unknown(void **state)
{
	struct memo_node n;

	memo_node_begin(&n, state);
	memo_node_keep(&n);
	assert_int_equal(rmdir(n.answer->prefix), 0);
	assert_int_equal(recall(&n), AQ_MISS);
	assert_int_equal(memo_node_look_up(&n), AQ_MISS);
	assert_int_equal(mkdir(n.answer->prefix, 0755), 0);
	assert_int_equal(memo_node_look_up(&n), 0);
	assert_int_equal(recall(&n), 0);
	memo_node_end(&n);
}

static void what_may_be_written_once_more_is_not_kept(void **state)
{
	const struct timespec at = { 100, 500000000 }, on_a_second = { 100, 0 };

	(void)state;
	assert_false(aq_memo_is_settled(at, at));
	assert_false(aq_memo_is_settled(at, (struct timespec){ 100, 510000000 }));
	assert_true(aq_memo_is_settled(at, (struct timespec){ 100, 520000000 }));
	assert_false(aq_memo_is_settled(at, (struct timespec){ 90, 0 }));
	/* the file system may know no parts of a second */
	assert_false(aq_memo_is_settled(on_a_second, (struct timespec){ 101, 999999999 }));
	assert_true(aq_memo_is_settled(on_a_second, (struct timespec){ 102, 0 }));
}

/* Any byte, and any length: it is what was kept, or none. */
static void damage_makes_it_unknown(void **state)
{
	cleanup_free char *path = NULL;
	struct stat st;
	struct memo_node n;
	char byte;
	FILE *f;

	memo_node_begin(&n, state);
	memo_node_keep(&n);
	path = path_of_memo(&n);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	for (off_t at = 0; at < (off_t)(100 + strlen(canonical)); at++) {
		f = fopen(path, "r+e");
		assert_non_null(f);
		assert_int_equal(fseek(f, at, SEEK_SET), 0);
		assert_int_equal(fread(&byte, 1, 1, f), 1);
		byte = (char)(byte ^ 0x55);
		fclose(f);
		scribble(path, at, &byte, 1);
		(void)!aq_memo_read(n.conf, canonical, strlen(canonical),
				    false, n.answer, (char[AQ_LEASE_DIGEST_SIZE]){ 0 },
				    NULL);
		byte = (char)(byte ^ 0x55);
		scribble(path, at, &byte, 1);
	}
	for (off_t size = st.st_size - 1; size > 0; size -= 7) {
		assert_int_equal(truncate(path, size), 0);
		assert_int_equal(recall(&n), AQ_MISS);
	}
	memo_node_end(&n);
}

static void what_was_found_private_is_so_for_its_user(void **state)
{
	static const uid_t uid = 4321;
	struct memo_node n;
	struct aq_conf own;
	struct aq_request another;
	char run_dir[512], hits[600];

	memo_node_begin(&n, state);
	n.conf->policy[AQ_INPUT_SCRIPT] = AQ_POLICY_PRIVATE;
	own = *n.conf;
	aq_private_run_dir(n.conf, uid, run_dir, sizeof(run_dir));
	own.run_dir = run_dir;
	assert_false(aq_memo_is_private(n.conf, uid, canonical,
					strlen(canonical)));
	aq_memo_keep_private(&own, n.req); /* there is no such directory */
	assert_false(aq_memo_is_private(n.conf, uid, canonical,
					strlen(canonical)));
	snprintf(hits, sizeof(hits), "%s/private", n.conf->run_dir);
	assert_int_equal(mkdir(hits, 0700), 0);
	assert_int_equal(mkdir(run_dir, 0700), 0);
	snprintf(hits, sizeof(hits), "%s/hits", run_dir);
	assert_int_equal(mkdir(hits, 0700), 0);
	aq_memo_keep_private(&own, n.req);
	assert_true(aq_memo_is_private(n.conf, uid, canonical,
				       strlen(canonical)));
	/* nobody else's, nor root's, nor what others ask, nor where policy moved on */
	assert_false(aq_memo_is_private(n.conf, uid + 1, canonical,
					strlen(canonical)));
	assert_false(aq_memo_is_private(n.conf, 0, canonical,
					strlen(canonical)));
	assert_false(aq_memo_is_private(n.conf, uid, canonical,
					strlen(canonical) - 1));
	n.conf->policy[AQ_INPUT_SCRIPT] = AQ_POLICY_REFUSE;
	assert_false(aq_memo_is_private(n.conf, uid, canonical,
					strlen(canonical)));
	n.conf->policy[AQ_INPUT_SCRIPT] = AQ_POLICY_PRIVATE;
	/* two requests may share a place: the bytes decide */
	another = *n.req;
	for (unsigned int i = 0; i < 100; i++) {
		char text[64];

		snprintf(text, sizeof(text), "aq-request 1\nconda x%u\n", i);
		another.canonical = text;
		another.canonical_len = strlen(text);
		aq_memo_keep_private(&own, &another);
		assert_true(aq_memo_is_private(n.conf, uid, text, strlen(text)));
	}
	assert_false(aq_memo_is_private(n.conf, uid, canonical,
					strlen(canonical)));
	memo_node_end(&n);
}

int main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, cachedir_setup, cachedir_teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_is_kept_is_found),
		TEST(another_commit_makes_it_unknown),
		TEST(another_configuration_makes_it_unknown),
		TEST(another_node_makes_it_unknown),
		TEST(another_database_makes_it_unknown),
		TEST(what_is_gone_is_unknown),
		TEST(what_may_be_written_once_more_is_not_kept),
		TEST(damage_makes_it_unknown),
		TEST(what_was_found_private_is_so_for_its_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
