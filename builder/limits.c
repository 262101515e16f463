/* SPDX-License-Identifier: Apache-2.0 */
/* How much a program of a build may take, as the kernel counts it for a process or
 * an account: rlimits.  limits_group.c: for all of a build; limits_disk.c: on disk.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "builder/cage.h"
#include "builder/cgroup.h"
#include "builder/limits.h"
#include "cli/units.h"
#include "common/io.h"

#define MIB ((uint64_t)1024 * 1024)
#define GIB (1024 * MIB)

/* Processes and threads of a build: a client has some for each processor and up to
 * 512 that wait for the disk.  Where that is counted for the account on all of the
 * node two may build.
 */
#define CLIENT_PROCESSES_MAX 4096
/* A probe is a shell or an interpreter with a few children. */
#define PROBE_PROCESSES_MAX 512

/* One file, in bytes: the largest libraries and archives have 4 GiB. */
#define CLIENT_FILE_MAX (32 * GIB)
/* The same before anything is installed: the largest channel's index has 0.5 GiB, and
 * wheels whose index does not tell what they need are fetched whole.
 */
#define SOLVE_FILE_MAX (8 * GIB)
/* Byte-code, a check's temporary file. */
#define PROBE_FILE_MAX (256 * MIB)

/* Open files: clients unpack many at once. */
#define CLIENT_OPEN_MAX 65536
#define PROBE_OPEN_MAX 4096

/* Between 0 and 1000, proc(5): before jobs, which are at 0 or below. */
#define OOM_SCORE "500"
/* The supervisor is in its build's control group: not even the last to go, where
 * that may be said; else it is, for the programs have the score above.
 */
#define OOM_SCORE_NEVER "-1000"

static void set_oom_score(const char *score)
{
	cleanup_close int fd =
		open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	/* no /proc: then the kernel chooses by size, as it did before */
	if (fd >= 0)
		(void)!write(fd, score, strlen(score));
}

void limits_offer_to_oom(void)
{
	set_oom_score(OOM_SCORE);
}

void limits_keep_from_oom(void)
{
	set_oom_score(OOM_SCORE_NEVER);
}

uint64_t limits_processes(const struct phase_form *form)
{
	return form->writes_prefix ? CLIENT_PROCESSES_MAX : PROBE_PROCESSES_MAX;
}

/* Where the node allows less, that; the program may ask for 'max'. */
static bool set_both(int resource, uint64_t now, uint64_t max)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) < 0)
		return false;
	if (limit.rlim_max > max)
		limit.rlim_max = max;
	limit.rlim_cur = now < limit.rlim_max ? now : limit.rlim_max;
	return setrlimit(resource, &limit) == 0;
}

static bool set(int resource, uint64_t max)
{
	return set_both(resource, max, max);
}

static uint64_t client_file_max(const struct build *b)
{
	return limits_disk(b, b->name[0] ? CLIENT_FILE_MAX : SOLVE_FILE_MAX);
}

bool limits_set(const struct build *b, const struct phase_form *form)
{
	bool is_client = form->writes_prefix;
	uint64_t seconds = b->conf->build_timeout;
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t cpus = online > 1 ? (uint64_t)online : 1;
	/* of the account on all of the node, where the build's own are not
	 * counted: there one user's build may use up what another's needs
	 */
	uint64_t processes = cgroup_holds(b->cgroup, CGROUP_PROCESSES) ?
				     RLIM_INFINITY : limits_processes(form);

	if (b->conf->build_cpus && b->conf->build_cpus < cpus)
		cpus = b->conf->build_cpus;
	/* a process's own time: of a client's threads on every processor */
	if (is_client)
		seconds *= cpus;
	/* what it can write: address space it may reserve as it likes */
	if (b->conf->build_memory && !cgroup_holds(b->cgroup, CGROUP_MEMORY) &&
	    !set(RLIMIT_DATA, b->conf->build_memory))
		return false;
	/* a client that stays asks for what it may have when it links: until then
	 * SOLVE_DISK_MAX, which is no more, holds it too
	 */
	return set(RLIMIT_CORE, 0) && set(RLIMIT_CPU, seconds + 1) &&
	       (is_client ? set_both(RLIMIT_FSIZE, client_file_max(b),
				     limits_disk(b, CLIENT_FILE_MAX)) :
			    set(RLIMIT_FSIZE, PROBE_FILE_MAX)) &&
	       set(RLIMIT_NOFILE, is_client ? CLIENT_OPEN_MAX :
					      PROBE_OPEN_MAX) &&
	       set(RLIMIT_NPROC, processes);
}

/* -- processes, which the kernel counts for an account on all of the node -- */

struct crowd {
	int proc;
	uid_t uid;
	uint64_t n; /* processes and threads */
};

static int count_threads(const char *name, void *arg, struct aq_err *err)
{
	struct crowd *c = arg;
	char path[64];
	struct stat st;

	(void)err;
	snprintf(path, sizeof(path), "%.20s/task", name);
	/* it has a link for each thread, and two */
	if (strspn(name, "0123456789") == strlen(name) &&
	    fstatat(c->proc, path, &st, 0) == 0 && st.st_uid == c->uid)
		c->n += st.st_nlink - 2;
	return 0;
}

bool limits_are_used_up(const struct build *b, enum phase phase)
{
	const struct phase_form *form = phase_form(phase);
	struct crowd c = { .uid = phase_identity(b, phase)->uid };
	cleanup_close int proc = -1;

	if (b->is_personal || cgroup_holds(b->cgroup, CGROUP_PROCESSES) ||
	    aq_open_dir(AT_FDCWD, "/proc", &proc, NULL) != 0)
		return false;
	c.proc = proc;
	return aq_each_entry(proc, "/proc", count_threads, &c, NULL) == 0 &&
	       c.n > limits_processes(form) / 2;
}

/* -- what a program says of it -- */

static const char *say_memory(const struct build *b, const char *text)
{
	static const char *const words[] = { "Cannot allocate memory",
					     "memory allocation of",
					     "MemoryError", "std::bad_alloc",
					     "out of memory", NULL };

	return b->conf->build_memory &&
			       !cgroup_holds(b->cgroup, CGROUP_MEMORY) &&
			       run_says(text, words) ?
		       "a program of the build needed more memory than 'build_memory' allows" :
		       NULL;
}

const char *limits_say(struct build *b, enum phase phase, int exit_code,
		       const char *text)
{
	static const char *const words[] = { "File too large", NULL }; /* EFBIG */
	static char said[160]; /* one build a process */
	const struct phase_form *form = phase_form(phase);
	char size[UNITS_SIZE];

	if (b->is_personal)
		return NULL;
	if (exit_code != 128 + SIGXFSZ && !run_says(text, words))
		return say_memory(b, text);
	b->disk.is_over = true;
	snprintf(said, sizeof(said),
		 "the build was ended: a file of it is larger than a build may write (%s)",
		 units_bytes(form->writes_prefix ? client_file_max(b) :
						   PROBE_FILE_MAX, size));
	return said;
}
