/* SPDX-License-Identifier: Apache-2.0 */
/* common/canonical.c: the format, pinned; and hostile bytes. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "common/canonical.h"
#include "common/key.h"
#include "tests/unit/example_conf.h"

static void read_whole(const char *path, struct aq_str *out)
{
	FILE *f = fopen(path, "r");
	char buf[4096];
	size_t n;

	if (!f)
		fail_msg("cannot open %s", path);
	while ((n = fread(buf, 1, sizeof(buf), f)) > 0)
		aq_str_add_mem(out, buf, n);
	fclose(f);
}

/* One line of tests/data/requests/digests: name, digest, key. */
static void check_vector(const char *dir, const char *name, const char *digest,
			 const char *key)
{
	cleanup_str struct aq_str want = AQ_STR_INIT(65536);
	cleanup_request struct aq_request *req = NULL, *again = NULL;
	struct aq_strv warnings = AQ_STRV_INIT(64);
	char path[4096], is_key[AQ_SHA256_HEX_SIZE];
	struct aq_err err;

	snprintf(path, sizeof(path), "%s/%s.canonical", dir, name);
	read_whole(path, &want);
	snprintf(path, sizeof(path), "%s/%s.yaml", dir, name);
	if (aq_request_read(path, &example_conf, &req, &warnings, &err))
		fail_msg("%s", err.text);
	assert_int_equal(warnings.n, 0);
	assert_string_equal(req->canonical, aq_str_get(&want));
	assert_string_equal(req->digest, digest);
	assert_int_equal(aq_key(req,
				"aq-context 1\nplatform linux-64\n"
				"domain shared\nbase none\n",
				is_key, &err),
			 0);
	assert_string_equal(is_key, key);
	if (aq_request_parse(want.s, want.len, &example_conf, &again, &err))
		fail_msg("%s: %s", name, err.text);
	assert_string_equal(again->digest, digest);
}

static void test_vectors(void **state)
{
	const char *src = getenv("AQ_SRCDIR");
	char dir[2048], path[4096], name[64], digest[65], key[65];
	int n = 0;
	FILE *f;

	(void)state;
	snprintf(dir, sizeof(dir), "%s/tests/data/requests", src ? src : ".");
	snprintf(path, sizeof(path), "%s/digests", dir);
	f = fopen(path, "r");
	assert_non_null(f);
	for (; fscanf(f, "%63s %64s %64s", name, digest, key) == 3; n++)
		check_vector(dir, name, digest, key);
	fclose(f);
	assert_int_equal(n, 5);
}

static int parse(const char *text, size_t len, struct aq_err *err)
{
	cleanup_request struct aq_request *req = NULL;
	int rc = aq_request_parse(text, len, &example_conf, &req, err);

	if (!rc) { /* what is accepted is canonical */
		assert_int_equal(req->canonical_len, len);
		assert_memory_equal(req->canonical, text, len);
	} else {
		assert_null(req);
	}
	return rc;
}

static void test_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"\n",
		"aq-request 1",
		"aq-request 1\n",
		"aq-request 2\nconda a\n",
		"aq-request 1\nconda a",
		"aq-request 1\nconda a\n\n",
		"aq-request 1\n\nconda a\n",
		"aq-request 1\nconda a \n",
		"aq-request 1\nconda  a\n",
		"aq-request 1\nConda a\n",
		"aq-request 1\nconda A\n",
		"aq-request 1\nconda b\nconda a\n",
		"aq-request 1\nconda a\nconda a\n",
		"aq-request 1\nconda a 1.2\n",
		"aq-request 1\nconda a =1.2\n",
		"aq-request 1\nconda a <2,>1\n",
		"aq-request 1\nconda a *\n",
		"aq-request 1\nconda x::a\n",
		"aq-request 1\nconda https://mirror.example/pytorch::a\n",
		"aq-request 1\nconda python 3.9.*\n",
		"aq-request 1\nconda conda-forge::python 3.9.*\n",
		"aq-request 1\npython 3.9.*\nconda python 3.9.*\n",
		"aq-request 1\npython 3.8.*\nconda conda-forge::python 3.9.*\n",
		"aq-request 1\npython 3.9\n",
		"aq-request 1\npython 3.9.*\npython 3.9.*\n",
		"aq-request 1\npython\n",
		"aq-request 1\npython \n",
		"aq-request 1\nconda a\npython 3.9.*\n",
		"aq-request 1\nchannel conda-forge\n",
		"aq-request 1\nchannel x\nconda a\n",
		"aq-request 1\nchannel conda-forge/\nconda a\n",
		"aq-request 1\nchannel https://mirror.example/pytorch\nconda a\n",
		"aq-request 1\nchannel pytorch\nchannel pytorch\nconda a\n",
		"aq-request 1\npip a\n",
		"aq-request 1\npython 3.9.*\npip A\n",
		"aq-request 1\npython 3.9.*\npip a==1.0\n",
		"aq-request 1\npython 3.9.*\npip -r x\n",
		"aq-request 1\npython 3.9.*\npip --index-url=x\n",
		"aq-request 1\npython 3.9.*\npip ./x\n",
		"aq-request 1\npython 3.9.*\nconstraint a\n",
		"aq-request 1\npython 3.9.*\npip a\nconstraint b[c]\n",
		"aq-request 1\nconda a\nvariable A\n",
		"aq-request 1\nconda a\nvariable =x\n",
		"aq-request 1\nconda a\nvariable 1=x\n",
		"aq-request 1\nconda a\nvariable AQ_X=x\n",
		"aq-request 1\nconda a\nvariable SLURM_X=x\n",
		"aq-request 1\nconda a\nvariable SPANK_X=x\n",
		"aq-request 1\nconda a\nvariable A=1\nvariable A=2\n",
		"aq-request 1\nconda a\nvariable A1=1\nvariable A=2\n",
		"aq-request 1\nconda a\nvariable A=\x1b[0m\n",
		"aq-request 1\nconda a\nvariable A=\xff\n",
		"aq-request 1\nconda a\nvariable A=\xc2\x85\n",
		"aq-request 1\nconda a\r\n",
		"aq-request 1\nvariable A=1\n",
		"aq-request 1\nconda a\ninherit yes\n",
		"aq-request 1\nconda a\ninherit no\ninherit no\n",
		"aq-request 1\nconda a\nvariable A=1\ninherit no\n",
	};
	struct aq_err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (parse(cases[i], strlen(cases[i]), &err) != AQ_USER)
			fail_msg("accepted: '%s'", cases[i]);
	assert_int_equal(parse("aq-request 1\nconda a\n\0x", 23, &err),
			 AQ_USER);
}

/* A true one cut anywhere or with any byte changed: refused, or canonical. */
static void test_damaged(void **state)
{
	static const char text[] = "aq-request 1\npython 3.9.*\n"
				   "channel conda-forge\n"
				   "conda pytorch::a 1.*,>=1.2 b*\n"
				   "pip c[d]>=1; os_name == \"nt\"\n"
				   "constraint e<2\nvariable F=g\n";
	struct aq_err err;

	(void)state;
	assert_int_equal(parse(text, sizeof(text) - 1, &err), 0);
	assert_int_equal(parse("aq-request 1\nconda a\ninherit no\n", 32, &err),
			 0);
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		char copy[sizeof(text)];

		assert_int_equal(parse(text, i, &err) == 0,
				 i >= 26 && text[i - 1] == '\n');
		for (int byte = 0; byte < 256; byte++) {
			memcpy(copy, text, sizeof(text));
			copy[i] = (char)byte;
			parse(copy, sizeof(text) - 1, &err);
		}
	}
}

static void test_size(void **state)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(65536);
	struct aq_err err;

	(void)state;
	aq_str_add(&text, "aq-request 1\nconda a\nvariable A=");
	while (text.len < AQ_REQUEST_CANONICAL_MAX - 1)
		aq_str_add_char(&text, 'x');
	aq_str_add_char(&text, '\n');
	assert_int_equal(parse(text.s, text.len, &err), 0);
	text.s[text.len - 1] = 'x';
	aq_str_add_char(&text, '\n');
	assert_int_equal(parse(text.s, text.len, &err), AQ_USER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
