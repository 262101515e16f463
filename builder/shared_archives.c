/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/packages.h"
#include "builder/shared.h"
#include "builder/shared_store.h"
#include "builder/shared_talk.h"
#include "common/io.h"

/* Root's name of it; builder_user could put a link where it was. */
static int open_tmp(const struct build *b, int *ret_fd, struct aq_err *err)
{
	cleanup_close int work = -1;
	int rc = aq_open_dir(AT_FDCWD, b->work, &work, err);

	return rc ? rc : aq_open_below(work, "tmp", ret_fd, err);
}

static int make_dir(struct build *b, struct aq_err *err)
{
	cleanup_close int tmp = -1, fd = -1;
	int rc = open_tmp(b, &tmp, err);
	char name[40];

	snprintf(name, sizeof(name), "archives-%.16s", b->key);
	if (!rc)
		rc = aq_remove_tree(tmp, name, err);
	if (rc)
		return rc;
	if (mkdirat(tmp, name, 0700) < 0)
		return aq_fail_errno(err, "cannot make '%s'", name);
	rc = aq_open_dir(tmp, name, &fd, err);
	if (!rc && (fchmod(fd, 0755) < 0 ||
		    fchown(fd, b->builder.uid, b->builder.gid) < 0))
		rc = aq_fail_errno(err, "cannot give '%s' away", name);
	if (!rc)
		snprintf(b->archives, sizeof(b->archives), "tmp/%s", name);
	return rc;
}

void shared_archives_end(struct build *b)
{
	cleanup_close int tmp = -1;

	if (b->archives[0] && open_tmp(b, &tmp, NULL) == 0)
		(void)!aq_remove_tree(tmp, b->archives + strlen("tmp/"), NULL);
	b->archives[0] = '\0';
}

static int add_name(const struct aq_lock_item *item, void *arg)
{
	char name[SHARED_ARCHIVE_SIZE];

	if (shared_archive_name(item, name))
		aq_strv_add(arg, name);
	return 0;
}

/* Download what is not here, as far as it can be had, and publish it. */
static int fetch(struct build *b, const struct dialect *d, const char *program,
		 const struct shared_program *told, struct aq_err *err)
{
	struct aq_err why = { 0 };
	enum shared_heard heard;
	int rc;

	/* the client says it again when it links */
	rc = d->download(b, program, &why);
	if (rc && b->verdict == BUILD_ENDED)
		return aq_fail(err, (enum aq_class)rc, "%s", why.text);
	if (b->sharing.is_off ||
	    !shared_tell(b, &b->sharing.archives, told, rc ? SHARED_TELL_OVER : SHARED_TELL_LOCK, "", 0))
		return 0;
	rc = shared_hear(b, &b->sharing.archives, &heard, NULL, err);
	shared_drop(&b->sharing.archives);
	return rc;
}

static int get(struct build *b, const struct dialect *d, const char *program,
	       const struct aq_strv *names, struct aq_err *err)
{
	char dir[2 * BUILD_PATH_MAX];
	struct shared_archives_job job = { .path = b->conf->shared_dir,
					   .node = b->conf->node,
					   .key = b->lock->digest,
					   .owner = b->builder.uid,
					   .names = names,
					   .dir = dir };
	const struct shared_program program_ = { PHASE_ARCHIVES,
						 shared_archives_serve, &job };
	enum shared_heard heard;
	int rc;

	snprintf(dir, sizeof(dir), "%s/%s", b->inside, b->archives);
	if (!shared_start(b, &b->sharing.archives, &program_))
		return 0;
	rc = shared_hear(b, &b->sharing.archives, &heard, NULL, err);
	if (rc || heard == SHARED_HEARD_DONE || heard == SHARED_HEARD_NOTHING) {
		shared_drop(&b->sharing.archives);
		return rc;
	}
	if (heard != SHARED_HEARD_CLAIMED)
		shared_drop(&b->sharing.archives);
	job.is_told = true;
	return fetch(b, d, program, &program_, err);
}

int shared_archives(struct build *b, const struct dialect *d,
		    const char *program, struct aq_err *err)
{
	cleanup_strv struct aq_strv names = AQ_STRV_INIT(AQ_LOCK_ITEMS_MAX);
	struct aq_err why = { 0 };
	int rc;

	if (!shared_is_used(b) || b->sharing.is_off || !d->download)
		return 0;
	rc = packages_each_missing(b, add_name, &names, &why);
	if (!rc && names.n && !names.broken)
		rc = make_dir(b, &why);
	if (rc)
		say(b, "shared_dir: %s", why.text);
	if (rc || !b->archives[0])
		return 0;
	say(b, "%zu packages from other nodes, or for them", names.n);
	return get(b, d, program, &names, err);
}
