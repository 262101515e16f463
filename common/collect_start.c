/* SPDX-License-Identifier: Apache-2.0 */
/* A collection that nobody waits for. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/collect.h"
#include "common/collect_inside.h"
#include "common/private.h"
#include "common/user_size.h"
#include "common/worker.h"

#define PATH_SIZE 1024
#define AQ AQ_BINDIR "/aq"

/* The package caches are not counted: that takes a walk, which aq gc makes. */
static int is_due(const struct aq_conf *conf, uint32_t uid,
		  struct aq_refs *refs, bool *ret,
		  struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	uint64_t n_free = 0, size = 0, user_size = 0;
	bool has_quota = uid && conf->user_quota;
	int rc = aq_collect_get_free(conf, &n_free, err);

	*ret = !rc && n_free < conf->min_free;
	if (rc || *ret || (!conf->max_size && !has_quota && !refs))
		return rc;
	rc = aq_store_open(conf, AQ_STORE_READ, &store, err);
	if (!rc && refs)
		rc = aq_store_has_left(store, refs, ret, err);
	if (!rc && !*ret && conf->max_size)
		rc = aq_store_size(store, 0, &size, err);
	if (!rc && !*ret && has_quota)
		rc = aq_user_size(aq_conf_site(conf), uid, &user_size, err);
	*ret = !rc && (*ret || (conf->max_size && size > conf->max_size) ||
		       (has_quota && user_size > conf->user_quota));
	/* the next epilog asks again */
	return rc == AQ_BUSY || rc == AQ_MISS || rc == AQ_CORRUPT ? 0 : rc;
}

/* In a child that shares nothing with who waits for our parent. */
__attribute__((noreturn)) static void collect(const struct aq_conf *conf)
{
	char *const env[] = { (char[]){ "PATH=/usr/bin:/bin" }, NULL };
	char *argv[] = { (char[]){ "aq" }, (char[]){ "--node" }, conf->node,
			 (char[]){ "gc" }, (char[]){ "--wait" },
			 (char[]){ "--config" }, conf->path, NULL };
	char path[PATH_SIZE];
	int fd;

	if (!conf->path)
		argv[5] = NULL;
	/* it goes over all domains, which no user of one may read of */
	snprintf(path, sizeof(path), "%s/logs/gc.log",
		 aq_conf_site(conf)->cache_dir);
	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		  0600);
	if (setsid() < 0 || fork() != 0)
		_exit(0);
	if (fd >= 0 && (dup2(fd, 1) < 0 || dup2(fd, 2) < 0))
		_exit(1);
	aq_worker_lift_bound();
	execve(AQ, argv, env);
	_exit(1);
}

static int start(const struct aq_conf *conf, struct aq_err *err)
{
	pid_t pid = fork();

	if (pid < 0)
		return aq_fail_errno(err, "cannot start 'aq gc'");
	if (pid == 0)
		collect(conf);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return 0;
}

int aq_collect_start_if_due(const struct aq_conf *conf, uint32_t uid,
			    struct aq_refs *refs,
			    struct aq_err *err)
{
	bool is_wanted = false;
	int rc = is_due(conf, uid, refs, &is_wanted, err);

	return rc || !is_wanted ? rc : start(conf, err);
}

int aq_collect_start_if_left(const struct aq_conf *conf, struct aq_refs *refs,
			     struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	bool is_wanted = false;
	int rc = aq_store_open(conf, AQ_STORE_READ, &store, err);

	if (!rc)
		rc = aq_store_has_left(store, refs, &is_wanted, err);
	aq_store_close(steal(&store)); /* before a fork */
	return rc || !is_wanted ? rc : start(conf, err);
}
