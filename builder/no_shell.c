/* SPDX-License-Identifier: Apache-2.0 */
/* aq-no-shell: what a client that links packages finds in the place of each shell
 * (mounts_hide_shells()).  It runs nothing and fails, so that a link script fails
 * for whoever would run it; and conda, which compiles byte-code by way of a shell
 * and does without it where that fails, but not where it finds none, goes on.
 */
#include <stdio.h>

#define EXIT_CANNOT_EXECUTE 126 /* as a shell has it */

int main(void)
{
	fputs("where packages are linked there is no shell: no script of theirs is run, and a client must be no shell script\n",
	      stderr);
	return EXIT_CANNOT_EXECUTE;
}
