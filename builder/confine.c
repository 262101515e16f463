/* SPDX-License-Identifier: Apache-2.0 */
/* The phases of a build. */
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "builder/cage.h"
#include "builder/cgroup.h"
#include "builder/limits.h"

/* Package code runs as soon as an interpreter of its prefix does, so no phase
 * that runs one may write a cache, and none that has a cache runs one.
 */
static const struct phase_form forms[] = {
	[PHASE_CLIENT] = { .has_caches = true, .has_network = true,
			   .writes_prefix = true, .is_builders = true },
	[PHASE_LAYER] = { .writes_prefix = true, .is_builders = true },
	[PHASE_PIP] = { .has_network = true, .writes_prefix = true },
	[PHASE_PROBE] = { .has_network = false },
	[PHASE_SHARED] = { .has_shared = true, .is_builders = true },
	/* as large files as a client */
	[PHASE_ARCHIVES] = { .has_shared = true, .has_caches = true,
			     .writes_prefix = true, .is_builders = true },
};

const struct phase_form *phase_form(enum phase phase)
{
	return &forms[phase];
}

const struct identity *phase_identity(const struct build *b, enum phase phase)
{
	return forms[phase].is_builders ? &b->builder : &b->probe;
}

void confine_begin(struct build *b, enum phase phase)
{
	limits_begin(b, &forms[phase]);
}

const char *confine_leave(const struct build *b, enum phase phase)
{
	int flags = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID;

	if (forms[phase].has_shared) {
		mounts_find_shared(b);
		cgroup_step_out(b->cgroup); /* what ends with a client is in it */
	}
	limits_offer_to_oom();
	if (!forms[phase].has_network)
		flags |= CLONE_NEWNET;
	return unshare(flags) == 0 ? NULL : "make namespaces";
}

const char *confine_see(const struct build *b, enum phase phase,
			bool hides_shells)
{
	const struct phase_form *form = &forms[phase];

	if (!mounts_unshare(b))
		return "make the mount namespace private";
	if (form->has_shared && !mounts_bind_shared(b))
		return "mount shared_dir";
	if (form->has_caches ? !mounts_bind_work(b, form) :
			       !mounts_bind_prefix(b, form))
		return "mount the work area";
	if (!mounts_close(b, form))
		return "make mounts read-only";
	if (hides_shells && !mounts_hide_shells())
		return "hide the shells";
	return mounts_renew(b, form) ? NULL : "mount /proc";
}

const char *confine_become(const struct build *b, enum phase phase)
{
	if (!limits_set(b, &forms[phase]))
		return "set limits";
	if (!identity_become(phase_identity(b, phase)))
		return "change identity";
	return landlock_restrict(b, &forms[phase]) ? NULL :
						     "set Landlock's rules";
}
