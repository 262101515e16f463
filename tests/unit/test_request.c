/* SPDX-License-Identifier: Apache-2.0 */
/* common/request.c: from a file to a request. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/request.h"
#include "common/str.h"
#include "tests/unit/example_conf.h"

static char dir[] = "/tmp/test-request-XXXXXX";

static void write_file(const char *name, const char *text, size_t len)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	fclose(f);
}

/* Read 'text' as req.yaml; the request, or NULL with what was wrong. */
static struct aq_request *read_text(const char *text, struct aq_strv *warnings,
				    struct aq_err *err)
{
	struct aq_request *req = NULL;
	char path[256];

	write_file("req.yaml", text, strlen(text));
	snprintf(path, sizeof(path), "%s/req.yaml", dir);
	return aq_request_read(path, &example_conf, &req, warnings, err) ? NULL
									 : req;
}

/* The canonical form of 'text', which is right. */
static void expect(const char *text, const char *canonical)
{
	struct aq_strv warnings = AQ_STRV_INIT(64);
	cleanup_request struct aq_request *req = NULL, *again = NULL;
	struct aq_err err;

	req = read_text(text, &warnings, &err);
	if (!req)
		fail_msg("%s", err.text);
	assert_string_equal(req->canonical, canonical);
	if (aq_request_parse(req->canonical, req->canonical_len, &example_conf,
			     &again, &err))
		fail_msg("parse: %s", err.text);
	assert_string_equal(again->digest, req->digest);
	assert_string_equal(again->canonical, req->canonical);
	aq_strv_free(&warnings);
}

/* 'text' is refused with exactly 'message' ("%" stands for the file). */
static void expect_refused(const char *text, const char *message)
{
	struct aq_strv warnings = AQ_STRV_INIT(64);
	cleanup_str struct aq_str want = AQ_STR_INIT(8192);
	cleanup_request struct aq_request *req = NULL;
	struct aq_err err;

	req = read_text(text, &warnings, &err);
	aq_strv_free(&warnings);
	if (req)
		fail_msg("accepted as %s", req->canonical);
	for (; *message; message++)
		if (*message == '%')
			aq_str_add_fmt(&want, "%s/req.yaml", dir);
		else
			aq_str_add_char(&want, *message);
	assert_string_equal(err.text, aq_str_get(&want));
	assert_int_equal(err.class, AQ_USER);
}

static void test_design_example(void **state)
{
	(void)state;
	expect("name: ignored\n"
	       "python_version: \"3.9\"\n"
	       "requirements: [scikit-learn==1.6]\n"
	       "channels: [conda-forge]\n"
	       "dependencies: [python=3.9, \"numpy>=2\", "
	       "{pip: [aqueduct-ml]}]\n"
	       "variables: {OMP_NUM_THREADS: \"4\"}\n",
	       "aq-request 1\n"
	       "python 3.9.*\n"
	       "channel conda-forge\n"
	       "conda numpy >=2\n"
	       "pip aqueduct-ml\n"
	       "pip scikit-learn==1.6\n"
	       "variable OMP_NUM_THREADS=4\n");
}

static void test_unknown_key(void **state)
{
	(void)state;
	expect_refused("name: x\ndependancies:\n- numpy\n",
		       "%:2:1: unknown key 'dependancies', did you mean "
		       "'dependencies'?");
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char path[256];

	(void)state;
	snprintf(path, sizeof(path), "%s/req.yaml", dir);
	unlink(path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_design_example),
		cmocka_unit_test(test_unknown_key),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
