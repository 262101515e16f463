/* SPDX-License-Identifier: Apache-2.0 */
/* What `conda list --export` prints and `conda create --file` takes: a package a line,
 * without its channel.
 *
 *   # platform: linux-64
 *   python=3.9.6=h1_0
 *   six=1.17.0=pypi_0
 *
 * pypi_0 is what conda calls the build of what pip installed (conda/core/prefix_data.py).
 */
#ifndef AQ_EXPORTED_H
#define AQ_EXPORTED_H

#include <stdbool.h>

#include "common/sections.h"

/* Whether 'text' is such a file: its first line that is neither blank nor a comment is
 * NAME=VERSION=BUILD, which is neither a map nor a requirement of pip's.
 */
bool aq_exported_is(const char *text);

/* Read 'text', such a file, into r->req, unsorted: what pip installed as "name==version",
 * each other line as an item of `dependencies`.  What is wrong goes to r->problems, all
 * of it.
 */
void aq_exported_read(struct aq_reading *r, const char *text);

#endif
