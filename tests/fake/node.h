/* SPDX-License-Identifier: Apache-2.0 */
/* A node for a test: a directory with its aq.conf, cache and run directory, and
 * request files in it; the tests' working directory.
 */
#ifndef AQ_FAKE_NODE_H
#define AQ_FAKE_NODE_H

#include <stdbool.h>
#include <stdint.h>

/* cmocka's setup and teardown of each test: a new node and a new 'fake'. */
int node_setup(void **state);
int node_teardown(void **state);

/* Empty its cache and run directory. */
void node_forget(void);
/* With all that is in it. */
void node_remove_tree(const char *path);
/* Write file NAME. */
void node_write(const char *name, const char *text);
bool node_has(const char *name);
/* References that refs.db holds; 0 where it is not there. */
uint64_t node_references(void);
/* The workflows that cache.db has: "UID/NAME" each, with spaces between. */
const char *node_workflows(void);

#endif
