/* SPDX-License-Identifier: Apache-2.0 */
/* aq doctor: what nodes share. */
#include <errno.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include "builder/shared_dir.h"
#include "builder/shared_store.h"
#include "cli/doctor.h"
#include "common/worker.h"

/* In a child, which becomes who builds: root may be nobody there. */
static int try_as_builder(void *arg, struct aq_err *err)
{
	const struct aq_conf *conf = arg;
	struct identity who;
	int rc = doctor_become(conf->builder_user, &who, err);

	umask(022);
	if (!rc)
		rc = shared_dir_try(conf->shared_dir, who.uid, err);
	return rc ? rc : shared_store_try(conf->shared_dir, who.uid, err);
}

void doctor_shared(struct doctor *d)
{
	const struct aq_conf *conf = d->conf;
	const struct passwd *pw = getpwnam(conf->builder_user);
	struct aq_err err = { 0 };
	char remedy[512];

	if (!*conf->shared_dir) {
		doctor_say(d, DOCTOR_OK, NULL,
			   "no shared_dir: each node resolves alone, and tasks compare AQ_LOCK");
		return;
	}
	if (aq_worker_run(try_as_builder, (void *)(uintptr_t)conf,
			  DOCTOR_LIMIT_MS, -1, &err) == 0) {
		doctor_say(d, DOCTOR_OK, NULL,
			   "shared_dir '%s': '%s' (%u; it must be that on all nodes) can write it, and gives files second names",
			   conf->shared_dir, conf->builder_user,
			   pw ? pw->pw_uid : 0);
		return;
	}
	snprintf(remedy, sizeof(remedy),
		 "install -d -o %.64s -m 0755 %.300s on a file system with hard links, with one uid for that account on all nodes; until then each node resolves alone",
		 conf->builder_user, conf->shared_dir);
	doctor_say(d, DOCTOR_ERROR, remedy, "shared_dir '%s': %s",
		   conf->shared_dir,
		   err.errnum == ETIMEDOUT ? "it does not answer" : err.text);
}
