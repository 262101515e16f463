/* SPDX-License-Identifier: Apache-2.0 */
/* Requirements files with hashes: pip-compile --generate-hashes writes one of each
 * wheel that there is.
 */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/reqfile_inside.h"
#include "common/request.h"
#include "tests/unit/example_conf.h"

#define TEXT_MAX (4 * 1024 * 1024)

static char dir[] = "/tmp/test-reqfile-XXXXXX";

static void write_text(const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	fclose(f);
}

static void write_hashed(const char *name, int packages, int hashes)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(TEXT_MAX);

	for (int i = 0; i < packages; i++) {
		aq_str_add_fmt(&out, "package-%d==1.%d", i, i);
		for (int j = 0; j < hashes; j++)
			aq_str_add_fmt(&out, " \\\n    --hash=sha256:%064d", j);
		aq_str_add(&out, "\n    # via -r requirements.in\n");
	}
	assert_int_equal(aq_str_done(&out, "a file", NULL), 0);
	write_text(name, out.s);
}

/* The request that 'name' is, with one warning if it is hashed; or NULL: it is over the
 * limit, which is said at 'place'.
 */
static struct aq_request *read_it(const char *name, bool is_hashed,
				  const char *place)
{
	struct aq_strv warnings = AQ_STRV_INIT(64);
	struct aq_request *req = NULL;
	struct aq_err err = { 0 };
	char path[256];
	int rc;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	rc = aq_request_read(path, &example_conf, &req, &warnings, &err);
	if (place) {
		assert_int_equal(rc, AQ_USER);
		assert_non_null(strstr(err.text, place));
		assert_non_null(strstr(err.text,
				       "is over 64 KiB with what it includes "
				       "(1024 KiB of pip's '--hash' options "
				       "aside): a request is smaller"));
	} else if (rc) {
		fail_msg("%s", err.text);
	}
	if (!rc && is_hashed) {
		assert_int_equal(warnings.n, 1);
		assert_non_null(strstr(warnings.v[0], "'--hash' has no effect"));
	}
	aq_strv_free(&warnings);
	return req;
}

static void they_count_for_nothing(void **state)
{
	cleanup_request struct aq_request *hashed = NULL, *plain = NULL,
					  *included = NULL;

	(void)state;
	write_hashed("a.txt", 200, 20); /* 330 KiB */
	hashed = read_it("a.txt", true, NULL);
	assert_int_equal(hashed->pip.n, 200);
	write_text("req.yaml", "requirements: [-r a.txt]\n");
	included = read_it("req.yaml", true, NULL);
	assert_int_equal(included->pip.n, 200);
	write_hashed("a.txt", 200, 0);
	plain = read_it("a.txt", false, NULL);
	assert_string_equal(plain->digest, hashed->digest);
	assert_string_equal(plain->digest, included->digest);
}

static void there_is_a_limit_all_the_same(void **state)
{
	(void)state;
	write_hashed("a.txt", 600, 30); /* 1.4 MiB */
	assert_null(read_it("a.txt", true, "a.txt:1:1: is over"));
	/* what is no hash counts */
	write_hashed("a.txt", 1600, 1);
	assert_null(read_it("a.txt", true, "a.txt:1:1: is over"));
	/* nor again and again */
	write_hashed("a.txt", 200, 20);
	write_text("req.yaml", "requirements:\n- -r a.txt\n- -r a.txt\n"
			       "- -r a.txt\n- -r a.txt\n");
	assert_null(read_it("req.yaml", true,
			    "req.yaml:5:3: included file 'a.txt': is over"));
	/* where pip reads no options there are none */
	write_hashed("a.yaml", 200, 20);
	assert_null(read_it("a.yaml", true, "a.yaml:1:1: is over"));
}

static void what_is_a_hash(void **state)
{
	static const struct {
		const char *text;
		size_t len;
	} all[] = {
		{ "", 0 },
		{ "a==1", 0 },
		{ "--hash=sha256:0", 0 }, /* no requirement before it */
		{ "a --hash", 0 },
		{ "a --hashes=0", 0 },
		{ "a--hash=0", 0 },
		{ "a --hash=", 8 },
		{ "a --hash=0", 9 },
		{ "a --hash 0 b", 9 },
		{ "a \\\n --hash=0\nb --hash=11", 12 + 10 },
		{ "a \\\r\n\t--hash=0 \\\r\n\t--hash=1\r\n", 13 + 13 },
		{ "a --hash=0\\\n --hash=1", 10 + 10 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		assert_int_equal(reqfile_hashes_len(all[i].text), all[i].len);
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	static const char *const names[] = { "a.txt", "a.yaml", "req.yaml" };
	char path[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		(void)unlink(path);
	}
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(they_count_for_nothing),
		cmocka_unit_test(there_is_a_limit_all_the_same),
		cmocka_unit_test(what_is_a_hash),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
