/* SPDX-License-Identifier: Apache-2.0 */
/* What a build writes, which no rlimit tells: watched by the supervisor. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>

#include "builder/cage.h"
#include "builder/limits.h"
#include "cli/units.h"
#include "common/clock.h"
#include "common/walk.h"

#define MIB ((uint64_t)1024 * 1024)
#define GIB (1024 * MIB)

/* What a build may add to the disk in inodes: the largest environments have half a
 * million files, here in the package cache too.  In bytes: build_disk.
 */
#define CLIENT_INODES_MAX 4000000
/* Before anything is installed: an index for each channel, with what a client makes
 * of it, or as many wheels as a request needs.
 */
#define SOLVE_DISK_MAX (32 * GIB)
#define SOLVE_INODES_MAX 400000
/* A probe's scratch, and byte-code that it makes: 1 GiB is all of the largest
 * environment's sources compiled.
 */
#define PROBE_DISK_MAX (1 * GIB)
#define PROBE_INODES_MAX 200000

/* Looking may take a twentieth of the time. */
#define LOOK_SHARE 20

/* What directories hold, until it is over a limit. */
struct count {
	uint64_t bytes, inodes, bytes_max, inodes_max;
};

static int add(const struct aq_walk_entry *e, void *arg, struct aq_err *err)
{
	struct count *c = arg;

	(void)err;
	if (e->is_end)
		return 0;
	c->inodes++;
	c->bytes += (uint64_t)e->st->st_blocks * 512;
	if (c->bytes > c->bytes_max || c->inodes > c->inodes_max)
		return AQ_BUSY;
	return e->is_too_deep ? AQ_WALK_SKIP : 0;
}

/* Whether 'path' below work/, what others of the build hold counted before, is
 * over a limit.
 */
static bool is_over_with(const struct build *b, const char *path,
			 struct count *c)
{
	char whole[2 * BUILD_PATH_MAX];

	if (!*path)
		return false;
	snprintf(whole, sizeof(whole), "%s/%s", b->work, path);
	return aq_walk(AT_FDCWD, whole, add, c, NULL) == AQ_BUSY;
}

/* Caches are everybody's: what the file system as a whole has lost. */
static bool has_lost_too_much(struct build *b, const struct count *c)
{
	struct disk_watch *w = &b->disk;
	struct statvfs fs;
	uint64_t bytes;

	if (statvfs(b->work, &fs) < 0)
		return false;
	bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (!w->is_begun) {
		w->is_begun = true;
		w->bytes = bytes;
		w->inodes = fs.f_favail;
	}
	return (bytes < w->bytes && w->bytes - bytes > c->bytes_max) ||
	       (fs.f_favail < w->inodes &&
		w->inodes - fs.f_favail > c->inodes_max);
}

static struct count start_count(const struct build *b,
				const struct phase_form *form)
{
	struct count c = { .bytes_max = PROBE_DISK_MAX,
			   .inodes_max = PROBE_INODES_MAX };

	if (form->writes_prefix) {
		c.bytes_max = limits_disk(b, b->name[0] ? UINT64_MAX :
							  SOLVE_DISK_MAX);
		c.inodes_max = b->name[0] ? CLIENT_INODES_MAX :
					    SOLVE_INODES_MAX;
	}
	return c;
}

/* What a phase without caches may write. */
static bool has_too_much(const struct build *b, const struct phase_form *form,
			 struct count *c)
{
	char site[BUILD_PATH_MAX];

	snprintf(site, sizeof(site), "envs/%s", b->name);
	return is_over_with(b, b->scratch, c) ||
	       is_over_with(b, b->open_dir, c) ||
	       (form->writes_prefix && b->name[0] && is_over_with(b, site, c));
}

const char *limits_look_at_disk(struct build *b, enum phase phase, bool is_over)
{
	const struct phase_form *form = phase_form(phase);
	struct count c = start_count(b, form);
	static char text[200]; /* one build a process */
	int64_t now = aq_now_ms();
	char size[UNITS_SIZE];

	/* of what has ended a walk would tell what the seal's does */
	if (b->is_personal ||
	    (is_over ? !form->has_caches : now < b->disk.next_ms))
		return NULL;
	if (form->has_caches ? !has_lost_too_much(b, &c) :
			       !has_too_much(b, form, &c)) {
		b->disk.next_ms = now + LOOK_SHARE * (aq_now_ms() - now);
		return NULL;
	}
	b->disk.is_over = true;
	snprintf(text, sizeof(text),
		 "the build fills the disk: it has written more than %s%s, or more files than any environment has",
		 units_bytes(c.bytes_max, size),
		 form->writes_prefix && b->name[0] ?
			 ", which 'build_disk' allows" : "");
	return text;
}

uint64_t limits_disk(const struct build *b, uint64_t most)
{
	return b->conf->build_disk && b->conf->build_disk < most ?
		       b->conf->build_disk : most;
}
