/* SPDX-License-Identifier: Apache-2.0 */
/* What conda writes and `conda create --file` takes, a package a line: `conda list --export`,
 *
 *   # platform: linux-64
 *   python=3.9.6=h1_0
 *   six=1.17.0=pypi_0
 *
 * and `conda export --format=requirements` (CEP 23), which says what it is:
 *
 *   # Note: This is a conda requirements file (MatchSpec format)
 *   conda-forge::python==3.9.6=h1_0
 *   numpy
 *
 * pypi_0 is what conda calls the build of what pip installed (conda/core/prefix_data.py),
 * and once called <pip>; dev_0 what was installed to be edited.
 */
#ifndef AQ_EXPORTED_H
#define AQ_EXPORTED_H

#include <stdbool.h>

#include "common/sections.h"

/* Whether 'text' is such a file: a comment before its packages says so, or the first of them
 * is [CHANNEL::]NAME=VERSION=BUILD, with '=' or '==' before the version, which is neither a
 * map nor a requirement of pip's.
 */
bool aq_exported_is(const char *text);

/* Read 'text', such a file, into r->req, unsorted: what pip installed as "name==version",
 * each other line as an item of `dependencies`.  What is wrong goes to r->problems, all
 * of it.
 */
void aq_exported_read(struct aq_reading *r, const char *text);

#endif
