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

#define TMP "tmp/" /* of work/; what is elsewhere there stays */

/* Root's name of it; builder_user could put a link where it was. */
static int open_tmp(const struct build *b, int *ret_fd, struct aq_err *err)
{
	cleanup_close int work = -1;
	int rc = aq_open_dir(AT_FDCWD, b->work, &work, err);

	return rc ? rc : aq_open_below(work, "tmp", ret_fd, err);
}

int shared_make_place(struct build *b, const char *kind, char ret[BUILD_PLACE_SIZE],
		      struct aq_err *err)
{
	cleanup_close int tmp = -1, fd = -1;
	int rc = open_tmp(b, &tmp, err);
	char name[40];

	snprintf(name, sizeof(name), "%s-%.16s", kind, b->key);
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
		snprintf(ret, BUILD_PLACE_SIZE, TMP "%s", name);
	return rc;
}

static void remove_place(struct build *b, char place[BUILD_PLACE_SIZE])
{
	cleanup_close int tmp = -1;

	if (aq_starts_with(place, TMP) && open_tmp(b, &tmp, NULL) == 0)
		(void)!aq_remove_tree(tmp, place + strlen(TMP), NULL);
	place[0] = '\0';
}

void shared_archives_end(struct build *b)
{
	remove_place(b, b->archives);
	remove_place(b, b->wheels);
}

/* Wait until all is here, or it is said who does what is not; what is here is unpacked
 * meanwhile.
 */
static int hear(struct build *b, const struct shared_wanted *w,
		enum shared_heard *ret, struct aq_err *err)
{
	struct aq_err why;
	int rc;

	for (;;) {
		rc = shared_hear(b, &b->sharing.archives, ret, NULL, err);
		if (rc || *ret != SHARED_HEARD_GOT)
			return rc;
		/* who links says what was wrong with it */
		if (w->unpack && w->unpack(b, w->program, &why) != 0 &&
		    b->verdict == BUILD_ENDED)
			return aq_fail(err, AQ_SYS, "%s", why.text);
	}
}

/* What was fetched is told; until it is published what others had meanwhile is heard. */
static int tell(struct build *b, const struct shared_program *told, struct aq_err *err)
{
	enum shared_heard heard = SHARED_HEARD_GOT;
	int rc = 0;

	if (!shared_tell(b, &b->sharing.archives, told, SHARED_TELL_OVER, "", 0))
		return 0;
	while (!rc && heard == SHARED_HEARD_GOT)
		rc = shared_hear(b, &b->sharing.archives, &heard, NULL, err);
	shared_drop(&b->sharing.archives);
	return rc;
}

/* Download groups, as far as they can be had, and publish them. */
static int fetch(struct build *b, const struct shared_wanted *w,
		 struct shared_archives_job *job, struct aq_err *err)
{
	const struct shared_program told = { PHASE_ARCHIVES,
					     shared_archives_serve, job };
	struct aq_err why = { 0 };
	int failed, rc;

	job->ours = b->sharing.groups;
	shared_tell_work(b, &b->sharing.archives);
	/* who installs says it again */
	failed = w->download(b, w->program, &why);
	if (failed && (b->verdict == BUILD_ENDED || b->is_fetch)) {
		shared_drop(&b->sharing.archives);
		return aq_fail(err, (enum aq_class)failed, "%s", why.text);
	}
	rc = b->sharing.is_off ? 0 : tell(b, &told, err);
	if (!failed)
		job->done |= job->ours;
	else if (job->takes_all) /* nobody else is at work */
		job->done = SHARED_ALL_GROUPS;
	job->has_failed = failed != 0;
	job->ours = 0;
	return rc;
}

/* Get what others have, or fetch what nobody does; what is neither is done, too. */
static int get_some(struct build *b, const struct shared_wanted *w,
		    struct shared_archives_job *job, struct aq_err *err)
{
	const struct shared_program program = { PHASE_ARCHIVES,
						shared_archives_serve, job };
	enum shared_heard heard = SHARED_HEARD_NOTHING;
	int rc = 0;

	if (shared_start(b, &b->sharing.archives, &program))
		rc = hear(b, w, &heard, err);
	b->sharing.groups = heard == SHARED_HEARD_CLAIMED ? b->sharing.archives.groups :
			    heard == SHARED_HEARD_ALONE && !job->has_failed ?
							    SHARED_ALL_GROUPS & ~job->done :
							    0;
	if (rc || heard != SHARED_HEARD_CLAIMED)
		shared_drop(&b->sharing.archives);
	if (!rc && b->sharing.groups)
		return fetch(b, w, job, err);
	job->done = SHARED_ALL_GROUPS;
	return rc;
}

bool shared_fetches_alone(const struct build *b)
{
	/* a job's prolog is not told how many there are */
	return b->nodes == 1 || (!b->step && !b->prefetch);
}

static int get(struct build *b, const struct shared_wanted *w,
	       struct aq_err *err)
{
	char dir[2 * BUILD_PATH_MAX];
	struct shared_archives_job job = { .path = b->conf->shared_dir,
					   .node = b->conf->node,
					   .key = b->lock->digest,
					   .owner = b->builder.uid,
					   .names = w->names,
					   .dir = dir,
					   .takes_all = shared_fetches_alone(b) };
	int rc = 0;

	snprintf(dir, sizeof(dir), "%s/%s", b->inside, w->place);
	while (!rc && job.done != SHARED_ALL_GROUPS && !b->sharing.is_off)
		rc = get_some(b, w, &job, err);
	return rc;
}

/* What is published was here before, and what was shared by then came here. */
static int check_all(const struct build *b, const struct shared_wanted *w,
		     struct aq_err *err)
{
	char path[2 * BUILD_PATH_MAX];

	for (size_t i = 0; i < w->names->n; i++) {
		snprintf(path, sizeof(path), "%s/%s/%s", b->work, w->place,
			 w->names->v[i]);
		if (b->sharing.is_off || access(path, F_OK) < 0)
			return aq_fail(err, AQ_SYS, "archive '%.16s' was not put into '%s'",
				       w->names->v[i], b->conf->shared_dir);
	}
	return 0;
}

int shared_get(struct build *b, const struct shared_wanted *w,
	       struct aq_err *err)
{
	int rc = get(b, w, err);

	return !rc && b->is_fetch ? check_all(b, w, err) : rc;
}

static int add_name(const struct aq_lock_item *item, void *arg)
{
	char name[SHARED_ARCHIVE_SIZE];

	if (shared_archive_name(item, name))
		aq_strv_add(arg, name);
	return 0;
}

bool shared_is_wanted(const struct build *b, const struct aq_lock_item *item)
{
	return (shared_group(item->sha256) & b->sharing.groups) != 0;
}

void shared_add_names(const struct build *b, enum aq_lock_kind kind,
		      struct aq_strv *names)
{
	for (size_t i = 0; i < b->lock->n_items; i++)
		if (b->lock->items[i].kind == kind)
			(void)add_name(&b->lock->items[i], names);
}

int shared_archives(struct build *b, const struct dialect *d,
		    const char *program, struct aq_err *err)
{
	cleanup_strv struct aq_strv names = AQ_STRV_INIT(AQ_LOCK_ITEMS_MAX);
	const struct shared_wanted wanted = {
		&names, d->download, b->links_alone ? NULL : d->unpack, program,
		b->archives
	};
	struct aq_err why = { 0 };
	int rc = 0;

	if (b->is_fetch || b->links_alone)
		shared_add_names(b, AQ_LOCK_CONDA, &names);
	else
		rc = packages_each_missing(b, add_name, &names, &why);
	/* what is there stays: it was to be linked elsewhere */
	if (!rc && names.n && !names.broken && !b->archives[0])
		rc = shared_make_place(b, "archives", b->archives, &why);
	if (rc)
		say(b, "shared_dir: %s", why.text);
	if (rc || !b->archives[0])
		return 0;
	say(b, "%zu packages from other nodes, or for them", names.n);
	return shared_get(b, &wanted, err);
}
