/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/reconcile.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/job.h"
#include "common/procs.h"
#include "common/refs.h"

extern char **environ;

/* %A: each element of an array has its own id (squeue(1)). */
static const char *const squeue[] = { "squeue", "--noheader", "--all",
				      "--format=%A", NULL };

struct known {
	struct job {
		uint32_t id;
		bool is_alive; /* Slurm lists it, or a process of it lives */
	} *v;
	size_t n, size;
	const struct aq_conf *conf;
};

static struct job *find(const struct known *k, uint32_t id)
{
	/* references come sorted */
	for (size_t i = k->n; i-- > 0;)
		if (k->v[i].id == id)
			return &k->v[i];
	return NULL;
}

static int add(struct known *k, uint32_t id, const char *node,
	       struct aq_err *err)
{
	if (strcmp(node, k->conf->node) != 0 || find(k, id))
		return 0;
	if (k->n == k->size) {
		size_t size = k->size ? 2 * k->size : 64;
		struct job *v = realloc(k->v, size * sizeof(*v));

		if (!v)
			return aq_fail(err, AQ_SYS, "out of memory");
		k->v = v;
		k->size = size;
	}
	k->v[k->n++] = (struct job){ .id = id };
	return 0;
}

static int add_ref(const struct aq_ref *ref, void *arg, struct aq_err *err)
{
	struct known *k = arg;
	int rc = add(k, ref->step.job, ref->node, err);
	struct job *job = find(k, ref->step.job);

	/* tasks outlive a slurmstepd that is killed */
	if (job && *ref->env && !job->is_alive)
		job->is_alive = aq_procs_use(k->conf, ref->env);
	return rc;
}

static int add_mark(uint32_t job, const char *node, const char *digest,
		    void *arg, struct aq_err *err)
{
	(void)digest;
	return add(arg, job, node, err);
}

static void note(struct known *k, uint32_t id)
{
	struct job *job = find(k, id);

	if (job)
		job->is_alive = true;
}

/* squeue's process and its standard output. */
static int start_squeue(pid_t *ret_pid, int *ret_fd, struct aq_err *err)
{
	cleanup_close int from = -1, to = -1;
	posix_spawn_file_actions_t actions;
	int fds[2], rc;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return aq_fail_errno(err, "cannot make a pipe");
	from = fds[0];
	to = fds[1];
	rc = posix_spawn_file_actions_init(&actions);
	if (!rc) {
		rc = posix_spawn_file_actions_adddup2(&actions, to, 1);
		if (!rc)
			rc = posix_spawnp(ret_pid, squeue[0], &actions, NULL,
					  (char *const *)(uintptr_t)squeue,
					  environ);
		posix_spawn_file_actions_destroy(&actions);
	}
	if (rc)
		return aq_fail(err, AQ_SYS, "cannot run squeue: %s",
			       strerror(rc));
	*ret_fd = steal_fd(&from);
	return 0;
}

static int ask_slurm(struct known *k, struct aq_err *err)
{
	cleanup_fclose FILE *f = NULL;
	char line[64];
	int fd = -1, status = -1, rc;
	pid_t pid;

	rc = start_squeue(&pid, &fd, err);
	if (rc)
		return rc;
	f = fdopen(fd, "r");
	while (f && fgets(line, sizeof(line), f))
		note(k, (uint32_t)strtoul(line, NULL, 10));
	if (waitpid(pid, &status, 0) != pid || status != 0 || !f)
		return aq_fail(err, AQ_SYS, "squeue failed: whether jobs still exist is not known");
	return 0;
}

int reconcile(const struct aq_conf *conf, uint64_t *ret_n, struct aq_err *err)
{
	struct known k = { .conf = conf };
	cleanup_refs struct aq_refs *refs = NULL;
	int rc = aq_refs_open(conf, &refs, err);

	/* references first: a job that is added now is known to Slurm then */
	if (!rc)
		rc = aq_refs_each(refs, add_ref, &k, err);
	if (!rc)
		rc = aq_job_each(conf, add_mark, &k, err);
	if (!rc && k.n)
		rc = ask_slurm(&k, err);
	for (size_t i = 0; !rc && i < k.n; i++) {
		if (k.v[i].is_alive)
			continue;
		rc = aq_refs_drop_job(refs, k.v[i].id, err);
		if (!rc)
			rc = aq_job_unmark(conf, k.v[i].id, err);
		++*ret_n;
	}
	free(k.v);
	return rc;
}
