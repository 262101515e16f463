/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"
#include "tests/fake/jobs.h"

#include <stdio.h>
#include <string.h>

void assert_calm(void)
{
	assert_int_equal(fake->n_bad_returns, 0);
	assert_int_equal(fake->n_signals, 0);
}

void assert_said(const char *part)
{
	if (!strstr(fake_stderr(), part))
		fail_msg("not said: '%s' but: '%s'", part, fake_stderr());
}

const char *task_env(int i, const char *name)
{
	return fake_env_get(fake->task[i].env, name);
}

void run_submitted(void)
{
	fake_prolog();
	fake_step();
	fake_epilog();
	assert_calm();
}

void run_job(const char *file)
{
	assert_int_equal(fake_submit(S_CTX_LOCAL, FILES(file)), 0);
	run_submitted();
}

void assert_node_is_clean(void)
{
	char mark[64];

	snprintf(mark, sizeof(mark), "run/jobs/%u.n1", fake->job);
	assert_false(node_has(mark));
	assert_true(node_references() == 0);
}
