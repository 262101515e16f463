/* SPDX-License-Identifier: Apache-2.0 */
#include "builder/caches.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/flock.h"
#include "common/io.h"
#include "common/job.h"
#include "common/layout.h"
#include "common/sums.h"

#define MARK "unflushed"

/* -- the mark -- */

/* AQ_MISS: there is none; AQ_CORRUPT: it is of another boot. */
static int read_mark(int work, struct aq_err *err)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(AQ_BOOT_ID_SIZE);
	char boot[AQ_BOOT_ID_SIZE];
	int rc = aq_boot_id(boot, err);

	if (!rc)
		rc = aq_read_file(work, MARK, &text, err);
	if (rc && !text.broken)
		return rc;
	return strcmp(aq_str_get(&text), boot) == 0 ?
		0 : aq_fail(err, AQ_CORRUPT, "it is of another boot");
}

/* Two may do so at once: they write the same. */
static int write_mark(int work, struct aq_err *err)
{
	char boot[AQ_BOOT_ID_SIZE];
	int rc = aq_boot_id(boot, err);

	if (!rc)
		rc = aq_write_file(work, MARK, boot, strlen(boot), err);
	return rc ? rc : aq_sync_dir(work, err);
}

/* -- what cannot be trusted -- */

/* All but the marks, which are ours and flushed. */
static int drop_bytecode(const char *name, void *arg, struct aq_err *err)
{
	return strcmp(name, AQ_SUMS_PENDING_NAME) == 0 ?
		0 : aq_remove_tree(*(const int *)arg, name, err);
}

static int drop(const char *name, void *arg, struct aq_err *err)
{
	const int *work = arg;
	cleanup_close int fd = -1;
	int rc;

	if (strcmp(name, MARK) == 0)
		return 0;
	if (strcmp(name, AQ_SUMS_BYTECODE) != 0)
		return aq_remove_tree(*work, name, err);
	rc = aq_open_dir(*work, name, &fd, err);
	return rc ? rc : aq_each_entry(fd, name, drop_bytecode, &fd, err);
}

/* Alone: whoever is at work has looked at the mark, or will. */
static int drop_all(struct build *b, int work, struct aq_err *err)
{
	cleanup_close int caches = -1, bytecode = -1;
	/* as aq_collect_inodes() takes them */
	int rc = aq_flock_wait(b->conf, AQ_FLOCK_BYTECODE, AQ_FLOCK_EXCLUSIVE,
			       build_is_over, b, &bytecode, err);

	if (!rc)
		rc = aq_flock_wait(b->conf, AQ_FLOCK_CACHES, AQ_FLOCK_EXCLUSIVE,
				   build_is_over, b, &caches, err);
	if (!rc)
		rc = read_mark(work, err);
	if (rc != AQ_CORRUPT) /* somebody else was faster */
		return rc == AQ_MISS ? 0 : rc;
	say(b, "the node lost its power while it built: package caches are emptied");
	rc = aq_each_entry(work, b->work, drop, &work, err);
	return rc ? rc : write_mark(work, err);
}

/* -- in and out -- */

/* In a cache of one's own the mark could be another host's. */
int caches_enter(struct build *b, int *ret_fd, struct aq_err *err)
{
	cleanup_close int work = -1, fd = -1;
	int rc = aq_open_dir(AT_FDCWD, b->work, &work, err);

	while (!rc) {
		rc = aq_flock_wait(b->conf, AQ_FLOCK_CACHES, AQ_FLOCK_SHARED,
				   build_is_over, b, &fd, err);
		if (rc || b->is_personal)
			break;
		rc = read_mark(work, err);
		if (rc == AQ_MISS)
			rc = write_mark(work, err);
		if (rc != AQ_CORRUPT)
			break;
		aq_close_fd(&fd);
		rc = drop_all(b, work, err);
	}
	if (rc)
		return rc;
	*ret_fd = steal_fd(&fd);
	return 0;
}

void caches_settle(const struct build *b)
{
	cleanup_close int work = -1, caches = -1, bytecode = -1;

	if (b->is_personal || aq_open_dir(AT_FDCWD, b->work, &work, NULL) != 0 ||
	    aq_flock_try(b->conf, AQ_FLOCK_CACHES, AQ_FLOCK_EXCLUSIVE, &caches,
			 NULL) != 0 ||
	    aq_flock_try(b->conf, AQ_FLOCK_BYTECODE, AQ_FLOCK_EXCLUSIVE,
			 &bytecode, NULL) != 0)
		return;
	if (read_mark(work, NULL) == 0 && aq_layout_flush(b->conf, NULL) == 0)
		(void)unlinkat(work, MARK, 0);
}
