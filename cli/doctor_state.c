/* SPDX-License-Identifier: Apache-2.0 */
/* aq doctor: what is damaged, left over, or was not collected for long. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "cli/env.h"
#include "cli/units.h"
#include "common/host.h"

#define PATH_SIZE 4096
#define COLLECT_DAYS 8 /* packaging/aq-gc.timer collects each day */

/* -- databases -- */

static void check_aside(struct doctor *d, const char *dir, const char *prefix,
			enum doctor_level level, const char *remedy)
{
	cleanup_closedir DIR *open = opendir(dir);
	const struct dirent *e;

	while (open && (e = readdir(open)))
		if (aq_starts_with(e->d_name, prefix))
			doctor_say(d, level, remedy,
				   "'%s/%s': a database that was damaged, set aside",
				   dir, e->d_name);
}

static bool check_store(struct doctor *d, struct aq_store **ret)
{
	struct aq_err err = { 0 };
	char path[PATH_SIZE];
	int rc;

	snprintf(path, sizeof(path), "%s/cache.db", d->conf->cache_dir);
	if (access(path, F_OK) < 0) {
		doctor_say(d, DOCTOR_OK, NULL, "nothing was built here yet");
		return false;
	}
	rc = aq_store_open(d->conf, AQ_STORE_READ, ret, &err);
	if (rc == 0)
		return true;
	doctor_say(d, rc == AQ_BUSY ? DOCTOR_WARNING : DOCTOR_ERROR,
		   rc == AQ_CORRUPT ?
			   "nothing: the next build sets it aside and makes it anew from the manifests" :
		   rc == AQ_MISS ?
			   "install the version that wrote it: until then every task builds, or fails" :
			   "see the message; look again",
		   "%s", err.text);
	return false;
}

static void check_refs(struct doctor *d)
{
	cleanup_refs struct aq_refs *refs = NULL;
	struct aq_err err = { 0 };
	uint64_t n = 0;
	int rc = aq_refs_open_to_look(d->conf, &refs, &err);

	if (!rc)
		rc = aq_refs_count(refs, NULL, &n, &err);
	if (!rc || rc == AQ_MISS)
		doctor_say(d, DOCTOR_OK, NULL, "%llu references of steps",
			   (unsigned long long)n);
	else
		doctor_say(d, rc == AQ_BUSY ? DOCTOR_WARNING : DOCTOR_ERROR,
			   "see the message; a damaged one is set aside by the next step, and nothing is collected until you remove that",
			   "%s", err.text);
}

/* -- files without a row -- */

static bool has_row(struct aq_store *store, const char *name)
{
	cleanup_env struct aq_env *env = NULL;

	return aq_store_find_name(store, name, &env, NULL) != AQ_MISS;
}

static uint64_t count(struct doctor *d, const char *sub, struct aq_store *store)
{
	cleanup_closedir DIR *dir = NULL;
	const struct dirent *e;
	char path[PATH_SIZE];
	uint64_t n = 0;

	snprintf(path, sizeof(path), "%s/%s", d->conf->cache_dir, sub);
	dir = opendir(path);
	while (dir && (e = readdir(dir)))
		n += *e->d_name != '.' && !(store && has_row(store, e->d_name));
	return n;
}

static void check_leftovers(struct doctor *d, struct aq_store *store)
{
	uint64_t orphans = count(d, "envs", store);
	uint64_t trash = count(d, "trash", NULL);

	if (orphans)
		doctor_say(d, DOCTOR_WARNING, "'aq gc' removes what nobody builds",
			   "%llu prefixes in envs/ belong to no row: killed builds left them, or one is being committed",
			   (unsigned long long)orphans);
	if (trash)
		doctor_say(d, DOCTOR_WARNING, "'aq gc' removes them",
			   "%llu environments wait in trash/",
			   (unsigned long long)trash);
	if (!orphans && !trash)
		doctor_say(d, DOCTOR_OK, NULL, "nothing is left over");
}

/* They stay until they fit again, or are collected. */
static void check_fits(struct doctor *d, struct aq_store *store)
{
	cleanup_strv struct aq_strv names = AQ_STRV_INIT(AQ_STORE_ENVS_MAX);
	struct aq_err why = { 0 }, last = { 0 };
	const char *one = NULL;
	struct aq_host host;
	size_t n = 0;

	if (aq_store_names(store, &names, &why) != 0)
		return; /* said of the database */
	aq_host_find(d->conf, &host);
	for (size_t i = 0; i < names.n; i++)
		if (aq_fit_env(d->conf, &host, names.v[i], &why) == AQ_USER) {
			one = names.v[i];
			last = why;
			n++;
		}
	if (n)
		doctor_say(d, DOCTOR_WARNING,
			   "nothing, if the node is as it should be: requests get others, and these are back as soon as they fit",
			   "%zu environments do not fit this node, %s for one: %s",
			   n, one, last.text);
}

/* Every collection writes the index, whatever started it. */
static void check_collected(struct doctor *d)
{
	uint64_t now = (uint64_t)time(NULL), then;
	char path[PATH_SIZE], ago[UNITS_SIZE];
	struct stat st;

	snprintf(path, sizeof(path), "%s/index", d->conf->public_dir);
	if (stat(path, &st) < 0) {
		doctor_say(d, DOCTOR_WARNING,
			   "enable aq-gc.timer (packaging/): 'aq gc' each day",
			   "since the boot nothing was built or collected");
		return;
	}
	then = (uint64_t)st.st_mtime;
	if (then + COLLECT_DAYS * 86400 < now)
		doctor_say(d, DOCTOR_WARNING,
			   "enable aq-gc.timer (packaging/): 'aq gc' each day",
			   "nothing was built or collected since %s",
			   units_ago(then, now, ago));
	else
		doctor_say(d, DOCTOR_OK, NULL, "last built or collected: %s",
			   units_ago(then, now, ago));
}

void doctor_state(struct doctor *d)
{
	cleanup_store struct aq_store *store = NULL;

	check_aside(d, d->conf->run_dir, "refs.db.corrupt-", DOCTOR_WARNING,
		    "see what is the matter with run_dir, then remove it: what was counted and noted since the last epilog is lost");
	check_aside(d, d->conf->cache_dir, "cache.db.corrupt-", DOCTOR_WARNING,
		    "see what is the matter with the disk, then remove it: the rows were made anew from the manifests");
	if (!check_store(d, &store))
		return;
	check_refs(d);
	check_leftovers(d, store);
	check_fits(d, store);
	check_collected(d);
}
