/* SPDX-License-Identifier: Apache-2.0 */
/* public_dir/workflows/UID: for `aq workflow list` as that user.
 *
 *   aq-workflows 1
 *   workflow NAME SUBMITTED KEY DIGEST ENV    (ENV "-": none)
 *    a line of its request, after a space
 *
 * It is root's, with an ACL (acl(5)) that lets one user read it: what a user
 * owns below /run they could fill the memory of the node with.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/acl.h"
#include "common/flock.h"
#include "common/io.h"
#include "common/workflows.h"

#define HEAD "aq-workflows 1\n"
#define LINE "workflow "
#define LOCK "workflows"
#define UIDS_MAX 200000 /* of users with workflows, and their files */

static int open_dir(const struct aq_conf *conf, int *ret, struct aq_err *err)
{
	char path[1024];

	snprintf(path, sizeof(path), "%s/workflows", conf->public_dir);
	return aq_open_dir(AT_FDCWD, path, ret, err);
}

/* -- writing -- */

static int add_one(const struct aq_workflow_state *w, void *arg,
		   struct aq_err *err)
{
	struct aq_str *out = arg;

	(void)err;
	aq_str_add_fmt(out, LINE "%s %" PRIu64 " %s %s %s\n", w->name,
		       w->submitted, w->key, w->digest, *w->env ? w->env : "-");
	if (out->len + 2 * strlen(w->canonical) > out->max)
		return 0;
	for (const char *p = w->canonical; *p; p = aq_next_line(p))
		aq_str_add_fmt(out, " %.*s\n", (int)strcspn(p, "\n"), p);
	return 0;
}

static int write_file(int dir, const char *name, uint32_t uid,
		      const struct aq_str *text, struct aq_err *err)
{
	cleanup_close int fd = -1;
	char temporary[32];
	int rc;

	snprintf(temporary, sizeof(temporary), ".%s", name);
	(void)unlinkat(dir, temporary, 0); /* of somebody who was killed */
	fd = openat(dir, temporary,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
	if (fd < 0)
		return aq_fail_errno(err, "cannot make '%s'", temporary);
	rc = aq_write_all(fd, text->s, text->len, err);
	if (!rc)
		rc = aq_acl_let_read(fd, uid, err);
	if (!rc && renameat(dir, temporary, dir, name) < 0)
		rc = aq_fail_errno(err, "cannot replace '%s'", name);
	if (rc)
		(void)unlinkat(dir, temporary, 0);
	return rc;
}

static int publish(struct aq_store *store, int dir, uint32_t uid,
		   struct aq_err *err)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(AQ_WORKFLOWS_FILE_MAX);
	char name[16];
	int rc;

	snprintf(name, sizeof(name), "%u", uid);
	aq_str_add(&text, HEAD);
	rc = aq_store_each_workflow(store, uid, NULL, add_one, &text, err);
	if (!rc)
		rc = aq_str_done(&text, "workflows", err);
	if (rc)
		return rc;
	if (text.len > strlen(HEAD))
		return write_file(dir, name, uid, &text, err);
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return aq_fail_errno(err, "cannot remove '%s'", name);
	return 0;
}

static bool is_patience_over(void *left)
{
	return (*(int *)left)-- <= 0;
}

/* Who writes later has read later: under a lock. */
static int begin(const struct aq_conf *conf, int wait_ms, int *ret_dir,
		 int *ret_lock, struct aq_err *err)
{
	int left = wait_ms / AQ_FLOCK_POLL_MS;
	int rc = open_dir(conf, ret_dir, err);

	return rc ? rc : aq_flock_wait(conf, LOCK, AQ_FLOCK_EXCLUSIVE,
				       is_patience_over, &left, ret_lock, err);
}

int aq_workflows_publish(const struct aq_conf *conf, struct aq_store *store,
			 uint32_t uid, int wait_ms, struct aq_err *err)
{
	cleanup_close int dir = -1, lock = -1;
	int rc = begin(conf, wait_ms, &dir, &lock, err);

	return rc ? rc : publish(store, dir, uid, err);
}

static int add_uid(const struct aq_workflow_state *w, void *arg,
		   struct aq_err *err)
{
	(void)err;
	aq_strv_add_fmt(arg, "%u", w->uid);
	return 0;
}

static int add_file(const char *name, void *arg, struct aq_err *err)
{
	(void)err;
	aq_strv_add(arg, name);
	return 0;
}

int aq_workflows_publish_all(const struct aq_conf *conf,
			     struct aq_store *store, struct aq_err *err)
{
	cleanup_strv struct aq_strv uids = AQ_STRV_INIT(UIDS_MAX);
	cleanup_close int dir = -1;
	int rc = open_dir(conf, &dir, err);

	if (!rc)
		rc = aq_each_entry(dir, "workflows", add_file, &uids, err);
	if (!rc)
		rc = aq_store_each_workflow(store, AQ_WORKFLOWS_ALL, NULL,
					    add_uid, &uids, err);
	aq_strv_sort_unique(&uids);
	for (size_t i = 0; !rc && i < uids.n; i++) {
		uint64_t uid;

		if (aq_parse_u64(uids.v[i], UINT32_MAX, &uid))
			rc = aq_workflows_publish(conf, store, (uint32_t)uid,
						  AQ_WORKFLOWS_WAIT_MS, err);
	}
	return rc;
}

/* -- reading -- */

/* The next word of 'line', which is cut off there; "" after the last. */
static char *take_word(char **line)
{
	char *word = *line, *end = word + strcspn(word, " ");

	*line = end + (*end == ' ');
	*end = '\0';
	return word;
}

/* The lines at 'p' that begin with a space, without it, as one text from 'p' on;
 * '*ret_rest' is what comes after them.
 */
static void join_request(char *p, char **ret_rest)
{
	char *to = p;

	while (*p == ' ') {
		size_t len = strcspn(p, "\n");

		memmove(to, p + 1, len);
		to += len;
		p += len + (p[len] == '\n');
	}
	*ret_rest = p;
	/* each line lost a byte, so this one is before the rest */
	if (to < p)
		*to = '\0';
}

/* One workflow at 'p'; '*ret_rest' is what comes after it. */
static int read_one(char *p, struct aq_workflow_state *ret, char **ret_rest,
		    struct aq_err *err)
{
	char *end = p + strcspn(p, "\n"), *words;

	if (!aq_starts_with(p, LINE) || !*end)
		return aq_fail(err, AQ_CORRUPT, "the list of workflows is damaged");
	*end = '\0';
	words = p + strlen(LINE);
	ret->name = take_word(&words);
	if (!aq_parse_u64(take_word(&words), INT64_MAX, &ret->submitted))
		return aq_fail(err, AQ_CORRUPT, "the list of workflows is damaged");
	ret->key = take_word(&words);
	ret->digest = take_word(&words);
	ret->env = take_word(&words);
	if (strcmp(ret->env, "-") == 0)
		ret->env = "";
	ret->canonical = end[1] == ' ' ? end + 1 : "";
	join_request(end + 1, ret_rest);
	return 0;
}

int aq_workflows_read(const struct aq_conf *conf, uint32_t uid,
		      const char *name, aq_workflow_fn *fn, void *arg,
		      struct aq_err *err)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(AQ_WORKFLOWS_FILE_MAX);
	struct aq_workflow_state w = { .uid = uid };
	cleanup_close int dir = -1;
	char file[16], *p;
	int rc = open_dir(conf, &dir, err);

	snprintf(file, sizeof(file), "%u", uid);
	if (!rc)
		rc = aq_read_file(dir, file, &text, err);
	if (rc)
		return rc;
	if (!aq_starts_with(aq_str_get(&text), HEAD))
		return aq_fail(err, AQ_CORRUPT, "the list of workflows is damaged");
	p = text.s + strlen(HEAD);
	while (!rc && *p) {
		rc = read_one(p, &w, &p, err);
		if (!rc && (!name || strcmp(name, w.name) == 0))
			rc = fn(&w, arg, err);
	}
	return rc;
}
