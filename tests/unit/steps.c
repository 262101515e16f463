/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/cachedir.h"
#include "tests/unit/child.h"
#include "tests/unit/steps.h"

const struct aq_step step1 = { 10, 1, UINT32_MAX };
const struct aq_step step0 = { 10, 0, UINT32_MAX };
const struct aq_step batch = { 10, 0xfffffffb, UINT32_MAX };
const struct aq_step other = { 11, 0, UINT32_MAX };

struct aq_refs *must_open(const struct aq_conf *conf)
{
	struct aq_refs *refs = NULL;
	struct aq_err err = { 0 };

	if (aq_refs_open(conf, &refs, &err) != 0)
		fail_msg("%s", err.text);
	return refs;
}

uint64_t count(struct aq_refs *refs, const char *digest)
{
	uint64_t n = 0;

	assert_int_equal(aq_refs_count(refs, digest, &n, NULL), 0);
	return n;
}

int take(struct aq_refs *refs, const struct aq_step *step,
		const char *digest)
{
	return aq_refs_take(refs, step, digest, NULL);
}

char *lease_path(const struct aq_conf *conf, const struct aq_step *step)
{
	cleanup_free char *leases = path_below(conf->run_dir, "leases");
	char name[AQ_LEASE_NAME_SIZE];

	aq_lease_name(step, conf->node, name);
	return path_below(leases, name);
}

void write_lease(const struct aq_conf *conf, size_t at, const char *text)
{
	cleanup_free char *path = lease_path(conf, &step0);

	scribble(path, (long)at, text, strlen(text));
}

bool is_free(const struct aq_conf *conf, const struct aq_step *step)
{
	bool is = false;

	assert_int_equal(aq_lease_is_free(conf, step, &is, NULL), 0);
	return is;
}

bool has_lease_file(const struct aq_conf *conf, const struct aq_step *step)
{
	cleanup_free char *path = lease_path(conf, step);

	return access(path, F_OK) == 0;
}

struct wanted {
	const struct aq_conf *conf;
	const struct aq_step *step;
};

static bool acquire(const void *arg)
{
	const struct wanted *w = arg;
	int fd;

	return aq_lease_acquire(w->conf, w->step, &fd, NULL) == 0;
}

pid_t hold(const struct aq_conf *conf, const struct aq_step *step)
{
	return hold_in_child(acquire, &(struct wanted){ conf, step });
}

void end(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}
