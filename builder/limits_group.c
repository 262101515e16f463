/* SPDX-License-Identifier: Apache-2.0 */
/* What all programs of a build may take together: its control group (cgroup.h). */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "builder/cage.h"
#include "builder/cgroup.h"
#include "builder/limits.h"
#include "cli/units.h"
#include "common/flock.h"

/* Groups have the names of slots, which are locks of run_dir: what is left of a
 * builder that was killed has a name whose lock is free.  More slots than builds
 * can run.
 */
#define SLOTS_MAX 1024
#define SLOT_LOCK "cgroup-"
/* The nice value of what nobody waits for: a tenth of the processors' time that others
 * get, as of its control group.  With less it would take for ever on a node that is full.
 */
#define NICE_LAST 10

/* "aq-build-RUNDIR-": others' are none of ours */
static void make_stem(const struct build *b, char *ret, size_t size)
{
	const char *dir = b->conf->run_dir;

	snprintf(ret, size, CGROUP_OF_BUILD "%08x-",
		 (unsigned int)aq_hash(dir, strlen(dir)));
}

static bool take_slot(const struct build *b, unsigned long slot, int *ret_fd)
{
	char lock[32];

	snprintf(lock, sizeof(lock), SLOT_LOCK "%lu", slot);
	return aq_flock_try(b->conf, lock, AQ_FLOCK_EXCLUSIVE, ret_fd,
			    NULL) == 0;
}

static bool is_slot_dead(const char *name, void *arg)
{
	const struct build *b = arg;
	cleanup_close int fd = -1;
	uint64_t slot;
	char stem[64];

	make_stem(b, stem, sizeof(stem));
	return aq_starts_with(name, stem) &&
	       aq_parse_u64(name + strlen(stem), SLOTS_MAX - 1, &slot) &&
	       take_slot(b, slot, &fd);
}

static void say_lacks(const struct build *b, const struct cgroup_limits *limits,
		      const struct aq_err *why)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(AQ_ERR_TEXT_MAX + 256);
	char lacks[CGROUP_LACKS_SIZE];

	cgroup_say_lacks(b->cgroup, limits, lacks);
	if (!*lacks)
		return;
	aq_str_add_fmt(&text, "%s: no control group holds the build to its limit, each process is held to one instead%s%s\n",
		       lacks, why->text[0] ? ": " : "", why->text);
	say_to_log(b, aq_str_get(&text), text.len);
}

static void enter(struct build *b)
{
	const struct cgroup_limits limits = { b->conf->build_memory,
					      b->conf->build_cpus };
	struct aq_err why = { 0 };
	char name[96];
	size_t len;

	make_stem(b, name, sizeof(name));
	len = strlen(name);
	for (unsigned long i = 0; i < SLOTS_MAX && b->slot_fd < 0; i++)
		if (take_slot(b, i, &b->slot_fd))
			snprintf(name + len, sizeof(name) - len, "%lu", i);
	if (b->slot_fd < 0 ||
	    cgroup_enter(name, &limits, &b->cgroup, &why) != 0)
		return;
	limits_keep_from_oom();
	if (b->is_last)
		cgroup_be_last(b->cgroup);
	cgroup_sweep(b->cgroup, is_slot_dead, b);
	say_lacks(b, &limits, &why);
}

void limits_begin(struct build *b, const struct phase_form *form)
{
	if (!b->cgroup)
		enter(b);
	cgroup_limit_processes(b->cgroup, limits_processes(form));
}

void limits_be_last(struct build *b)
{
	cleanup_close int fd = -1;
	char text[8];

	b->is_last = true;
	(void)setpriority(PRIO_PROCESS, 0, NICE_LAST);
	/* That counts among processes of a session, of which each has its share of the
	 * processors (sched(7), autogroup), where control groups do not give it.
	 */
	if (getsid(0) == getpid())
		fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
	snprintf(text, sizeof(text), "%d", NICE_LAST);
	if (fd >= 0)
		(void)!write(fd, text, strlen(text));
	cgroup_be_last(b->cgroup);
}

void limits_end(struct build *b)
{
	cgroup_leave(steal(&b->cgroup));
	aq_close_fd(&b->slot_fd);
}

const char *limits_met(struct build *b, enum phase phase)
{
	static char text[160]; /* one build a process */
	char size[UNITS_SIZE];
	bool is_memory = cgroup_was_met(b->cgroup, CGROUP_MEMORY);
	bool is_processes = cgroup_was_met(b->cgroup, CGROUP_PROCESSES);

	if (is_memory)
		snprintf(text, sizeof(text),
			 "the build needed more memory than 'build_memory' (%s) allows, or the node had left",
			 units_bytes(b->conf->build_memory, size));
	else if (is_processes)
		snprintf(text, sizeof(text),
			 "the build needed more processes than a build may have (%" PRIu64
			 ")", limits_processes(phase_form(phase)));
	return is_memory || is_processes ? text : NULL;
}
