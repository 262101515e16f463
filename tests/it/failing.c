/* SPDX-License-Identifier: Apache-2.0 */
/* Linked with faults.c into copies of aq-builder, aq and libaq: a file, a struct
 * faults, says which call of theirs, of their children's and of each other's
 * fails, and is told.  It is CONF.faults.NODE.builder or CONF.faults, beside the
 * aq.conf that they are given, and AQ_FAULTS for the library; CONF.faults.NODE.builder.run
 * is a program that is run first.  Without them they are what they are.  Never
 * installed.
 */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/faults.h"

static const char *find(int argc, char **argv, const char *option)
{
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], option) == 0)
			return argv[i + 1];
	return NULL;
}

/* With the program's arguments, as glibc calls it. */
__attribute__((constructor)) static void share(int argc, char **argv)
{
	const char *conf = find(argc, argv, "--config");
	const char *node = find(argc, argv, "--node");
	const char *path = getenv("AQ_FAULTS");
	char text[4096];

	/* glibc (2.36) dies where it has no memory for its first look at
	 * /etc/nsswitch.conf: let it have looked
	 */
	(void)getpwuid(0);
	if (path) {
		(void)faults_map(path);
		return;
	}
	if (!conf)
		conf = getenv("AQ_CONF");
	snprintf(text, sizeof(text), "%s.faults.%s.builder", conf ? conf : "",
		 node ? node : "");
	faults_run_program(text);
	if (faults_map(text))
		return;
	snprintf(text, sizeof(text), "%s.faults", conf ? conf : "");
	(void)faults_map(text);
}
