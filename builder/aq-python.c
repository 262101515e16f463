/* SPDX-License-Identifier: Apache-2.0 */
/* aq-python: the interpreter that AQ_PYTHON names, with -I -S before its
 * arguments: Python's own library is all that it imports, no package's code runs.
 * For uv, which asks an interpreter what it is while the caches are writable.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ARGS_MAX 64 /* uv gives it five */

int main(int argc, char **argv)
{
	char isolated[] = "-I", no_site[] = "-S";
	char *args[ARGS_MAX] = { getenv("AQ_PYTHON"), isolated, no_site };
	int n = 3;

	if (!args[0] || argc + n > ARGS_MAX) {
		fprintf(stderr, "aq-python: run by aq-builder, not by hand\n");
		return 2;
	}
	for (int i = 1; i < argc; i++)
		args[n++] = argv[i];
	execv(args[0], args);
	perror("aq-python");
	return 127;
}
