/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and parsing requests while memory runs out: the n-th allocation
 * fails, for every n, until one run does without failing.  The linker's
 * --wrap puts the functions below in front of the C library's.
 */
#include "tests/unit/unit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/key.h"
#include "common/request.h"
#include "common/sources.h"
#include "tests/unit/example_conf.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
int __real_vasprintf(char **ret, const char *fmt, va_list ap);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);
int __wrap_vasprintf(char **ret, const char *fmt, va_list ap);

static long countdown = -1; /* allocations that still work; -1: all do */
static bool has_failed;

static bool fails(void)
{
	if (countdown < 0)
		return false;
	if (countdown-- > 0)
		return false;
	countdown = -1; /* one failure: the ways out may allocate */
	has_failed = true;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails() ? NULL : __real_realloc(p, size);
}

char *__wrap_strdup(const char *s)
{
	return fails() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n)
{
	return fails() ? NULL : __real_strndup(s, n);
}

int __wrap_vasprintf(char **ret, const char *fmt, va_list ap)
{
	return fails() ? -1 : __real_vasprintf(ret, fmt, ap);
}

static const char text[] =
	"python_version: '>=3.9'\n"
	"channels: [conda-forge, 'https://mirror.example/bioconda', defaults]\n"
	"platforms: [linux-64]\n"
	"dependencies:\n"
	"- python=3.10=h1_0\n"
	"- pytorch::numpy (>1|0.5),<2|>=3\n"
	"- a[version='1.*', build=x*, build_number=3,"
	" md5=0123456789abcdef0123456789abcdef]\n"
	"- pip: ['b[c,d]>=1.0,!=2; os_name==\"x\" and (extra==\"y\" or"
	" sys.platform==\"z\")', f]\n"
	"variables: {A: b, C: d}\n";

static const char explicit[] =
	"@EXPLICIT\n"
	"https://mirror.example/bioconda/linux-64/python-3.9.6-h1_0.conda"
	"#0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"
	"https://mirror.example/conda-forge/noarch/a-b-2024b-0.tar.bz2"
	"#0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"
	"# pip c @ https://p.example/c-1-py3-none-any.whl\n";

static char path[64];

static int run(struct aq_request **ret, struct aq_err *err)
{
	cleanup_request struct aq_request *req = NULL, *again = NULL;
	struct aq_strv warnings = AQ_STRV_INIT(64), urls = AQ_STRV_INIT(64),
		       specs = AQ_STRV_INIT(64);
	char key[AQ_SHA256_HEX_SIZE];
	cleanup_free char *context = NULL;
	struct aq_domain shared = { .kind = AQ_SHARED };
	int rc = aq_request_read(path, &example_conf, &req, &warnings, err);

	if (!rc)
		rc = aq_request_parse(req->canonical, req->canonical_len,
				      &example_conf, &again, err);
	if (!rc)
		rc = aq_sources_channels(again, &example_conf, &urls, err);
	if (!rc)
		rc = aq_sources_specs(again, &example_conf, &specs, err);
	if (!rc)
		rc = aq_key_context(&example_conf, &shared, NULL, &context,
				    err);
	if (!rc)
		rc = aq_key(again, context, key, err);
	aq_strv_free(&warnings);
	aq_strv_free(&urls);
	aq_strv_free(&specs);
	if (!rc)
		*ret = steal(&again);
	return rc;
}

/* 'contents' becomes the file that run() reads; its name ends with 'suffix'. */
static void write_request(const char *contents, const char *suffix)
{
	cleanup_close int fd = -1;

	snprintf(path, sizeof(path), "/tmp/test-request-XXXXXX%s", suffix);
	fd = mkstemps(path, (int)strlen(suffix));
	assert_true(fd >= 0);
	assert_int_equal(write(fd, contents, strlen(contents)),
			 strlen(contents));
}

static void fail_each_allocation(void)
{
	cleanup_request struct aq_request *right = NULL;
	struct aq_err err;
	long n = 0;

	if (run(&right, &err))
		fail_msg("%s", err.text);
	for (has_failed = true; has_failed; n++) {
		cleanup_request struct aq_request *req = NULL;
		int rc;

		has_failed = false;
		countdown = n;
		rc = run(&req, &err);
		countdown = -1;
		/* a warning may be lost, a request may not become another */
		if (!rc)
			assert_string_equal(req->digest, right->digest);
		else if (rc != AQ_SYS)
			fail_msg("allocation %ld: class %d: %s", n, rc,
				 err.text);
	}
	assert_true(n > 100);
}

static void test_every_allocation(void **state)
{
	(void)state;
	write_request(text, ".yaml");
	fail_each_allocation();
	unlink(path);
}

static void test_every_allocation_of_a_lock_file(void **state)
{
	(void)state;
	write_request(explicit, ".txt");
	fail_each_allocation();
	unlink(path);
}

static void test_every_allocation_of_requirements(void **state)
{
	(void)state;
	write_request("a>=1 # x\ny~=3.1\nz; os_name==\"posix\"\n"
		      "b[c] == 2 --hash=sha256:0\n--prefer-binary\n",
		      ".txt");
	fail_each_allocation();
	unlink(path);
}

static void test_every_allocation_of_a_python_file(void **state)
{
	(void)state;
	write_request("# /// script\n# dependencies = ['a>=1', \"b[c]\"]\n"
		      "# requires-python = '>=3.11,!=3.12'\n"
		      "# [[tool.x.y]]\n# a.b = {c = 1}\n# ///\n",
		      ".py");
	fail_each_allocation();
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_allocation),
		cmocka_unit_test(test_every_allocation_of_a_lock_file),
		cmocka_unit_test(test_every_allocation_of_requirements),
		cmocka_unit_test(test_every_allocation_of_a_python_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
