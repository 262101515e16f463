/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs of a Slurm that is played, and what must hold after them. */
#ifndef AQ_FAKE_JOBS_H
#define AQ_FAKE_JOBS_H

#include "tests/fake/fake.h"
#include "tests/fake/node.h"

#define FILES(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define NO_FILES ((const char *const[]){ NULL })

#define TEST(name) cmocka_unit_test_setup_teardown(name, node_setup, node_teardown)

/* No hook failed, no process died. */
void assert_calm(void);
/* Some process has said it. */
void assert_said(const char *part);
/* What stays once a job is over: nothing. */
void assert_node_is_clean(void);

/* A whole job of one step, as the plugin sees it. */
void run_job(const char *file);
/* What was just submitted, from its prolog on. */
void run_submitted(void);
/* A variable that task 'i' found, or NULL. */
const char *task_env(int i, const char *name);

#endif
