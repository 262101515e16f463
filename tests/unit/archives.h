/* SPDX-License-Identifier: Apache-2.0 */
/* A directory for each test, in which archives are shared. */
#ifndef AQ_ARCHIVES_H
#define AQ_ARCHIVES_H

#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/shared_store.h"
#include "common/io.h"

/* sha256sum of "x" */
#define SHA_X "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
#define ARCHIVE SHA_X ".conda"

static inline int setup(void **state)
{
	static char top[64];

	snprintf(top, sizeof(top), "/tmp/aq-archives.XXXXXX");
	*state = mkdtemp(top);
	return !*state || chmod(top, 0755) < 0;
}

static inline int teardown(void **state)
{
	return aq_remove_tree(AT_FDCWD, *state, NULL);
}

/* The directory 'name' below, where the archive is 'text' (NULL: not). */
static inline int make_here(const char *top, const char *name, const char *text)
{
	char path[256];
	int fd = -1;

	snprintf(path, sizeof(path), "%s/%s", top, name);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(aq_open_dir(AT_FDCWD, path, &fd, NULL), 0);
	if (text)
		assert_int_equal(aq_write_file(fd, ARCHIVE, text, strlen(text),
					       NULL), 0);
	return fd;
}

static inline bool is_there(const char *top, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/packages/2d/%s", top, name);
	return access(path, F_OK) == 0;
}

#define IN_DIR(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

#endif
