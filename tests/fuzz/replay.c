/* SPDX-License-Identifier: Apache-2.0 */
/* Every seed of one harness, without clang: what was found once is not lost.
 * One test, whose name says how many seeds there were.  Each is named before it
 * is run, so that a crash says which it was.  With arguments: these files.
 */
#ifndef AQ_LIBFUZZER /* which brings a main() of its own */

#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"

/* Seconds for one seed, which takes milliseconds. */
#define SEED_SECONDS 60
#define SEED_MAX ((size_t)1024 * 1024)
#define SEEDS_MAX 10000

static int run_seed(int dirfd, const char *name)
{
	cleanup_str struct aq_str seed = AQ_STR_INIT(SEED_MAX);
	cleanup_free uint8_t *exact = NULL;
	struct aq_err err;

	if (aq_read_file(dirfd, name, &seed, &err) != 0) {
		printf("# %s: %s\n", name, err.text);
		return -1;
	}
	/* without the NUL that aq_str has behind it */
	exact = malloc(seed.len ? seed.len : 1);
	if (!exact)
		return -1;
	memcpy(exact, aq_str_get(&seed), seed.len);
	printf("# %s\n", name);
	fflush(stdout);
	alarm(SEED_SECONDS);
	(void)LLVMFuzzerTestOneInput(exact, seed.len);
	alarm(0);
	return 0;
}

static int add_name(const char *name, void *arg, struct aq_err *err)
{
	(void)err;
	aq_strv_add(arg, name);
	return 0;
}

int main(int argc, char **argv)
{
	cleanup_strv struct aq_strv names = AQ_STRV_INIT(SEEDS_MAX);
	const char *top = getenv("AQ_SRCDIR");
	cleanup_close int dirfd = -1;
	char dir[4096];
	struct aq_err err = { 0 };
	bool is_good;

	snprintf(dir, sizeof(dir), "%s/tests/fuzz/corpus/%s", top ? top : ".",
		 fuzz_name);
	for (int i = 1; i < argc; i++)
		aq_strv_add(&names, argv[i]);
	is_good = argc > 1 || (aq_open_dir(AT_FDCWD, dir, &dirfd, &err) == 0 &&
			       aq_each_entry(dirfd, dir, add_name, &names,
					     &err) == 0);
	if (!is_good)
		printf("# %s\n", err.text);
	aq_strv_sort(&names);
	puts("1..1");
	for (size_t i = 0; i < names.n; i++)
		is_good &= run_seed(argc > 1 ? AT_FDCWD : dirfd, names.v[i]) == 0;
	is_good &= names.n > 0;
	printf("%sok 1 %s: %zu seeds\n", is_good ? "" : "not ", fuzz_name,
	       names.n);
	return is_good ? 0 : 1;
}

#else
typedef int nothing_here;
#endif
