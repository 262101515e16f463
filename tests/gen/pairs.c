/* SPDX-License-Identifier: Apache-2.0 */
/* Generated pairs: two spellings of one meaning have one digest, two meanings
 * have two, and what is printed reads back as itself.  AQ_COUNT_PAIRS says how
 * many of each (default below), AQ_SEED where the sequence begins.
 */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/key.h"
#include "common/request.h"
#include "tests/gen/model.h"
#include "tests/unit/example_conf.h"

#define COUNT_PAIRS 100000
#define TEXT_MAX (64 * 1024)

static int fd = -1; /* the file that is read */
static char path[64];

/* The same text as Windows writes it, in one of its ways. */
static void encode(struct rng *r, const struct aq_str *in, struct aq_str *out)
{
	uint32_t how = rng_below(r, 20);
	bool crlf = rng_chance(r, 10);

	if (how == 0)
		aq_str_add(out, "\xef\xbb\xbf");
	else if (how == 1)
		aq_str_add(out, "\xff\xfe");
	else if (how == 2)
		aq_str_add(out, "\xfe\xff");
	for (size_t i = 0; i < in->len; i++) {
		char text[3] = { in->s[i] };
		const char *c = crlf && *text == '\n' ? "\r\n" : text;

		for (; *c; c++) {
			if (how == 2)
				aq_str_add_char(out, '\0');
			aq_str_add_char(out, *c);
			if (how == 1)
				aq_str_add_char(out, '\0');
		}
	}
}

static struct aq_request *read_model(struct rng *r, const struct model *m,
				     struct aq_str *text)
{
	cleanup_str struct aq_str bytes = AQ_STR_INIT(TEXT_MAX);
	struct aq_strv warnings = AQ_STRV_INIT(64);
	struct aq_request *req = NULL;
	struct aq_err err;

	aq_str_truncate(text, 0);
	model_spell(r, m, text);
	encode(r, text, &bytes);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, bytes.s, bytes.len, 0), bytes.len);
	if (aq_request_read(path, &example_conf, &req, &warnings, &err))
		fail_msg("%s\n%s", err.text, aq_str_get(text));
	aq_strv_free(&warnings);
	return req;
}

static void check_round_trip(const struct aq_request *req)
{
	cleanup_request struct aq_request *again = NULL;
	struct aq_err err;

	if (aq_request_parse(req->canonical, req->canonical_len, &example_conf,
			     &again, &err))
		fail_msg("%s\n%s", err.text, req->canonical);
	assert_string_equal(again->digest, req->digest);
	assert_string_equal(again->canonical, req->canonical);
}

/* Keys differ when, and only when, the package part does. */
static void check_keys(const struct aq_request *a, const struct aq_request *b,
		       bool same)
{
	char x[AQ_SHA256_HEX_SIZE], y[AQ_SHA256_HEX_SIZE];
	struct aq_err err;

	assert_int_equal(aq_key(a, "aq-context 1\n", x, &err), 0);
	assert_int_equal(aq_key(b, "aq-context 1\n", y, &err), 0);
	assert_int_equal(strcmp(x, y) == 0, same);
}

static void one_pair(struct rng *r, struct aq_str text[3])
{
	cleanup_request struct aq_request *a = NULL, *b = NULL, *c = NULL;
	const char *what;
	struct model m;

	model_make(r, &m);
	a = read_model(r, &m, &text[0]);
	b = read_model(r, &m, &text[1]);
	if (strcmp(a->digest, b->digest) != 0)
		fail_msg("one meaning, two digests:\n%s\n%s\n%s\n%s",
			 aq_str_get(&text[0]), aq_str_get(&text[1]),
			 a->canonical, b->canonical);
	what = model_mutate(r, &m);
	c = read_model(r, &m, &text[2]);
	if (strcmp(a->digest, c->digest) == 0)
		fail_msg("%s, but one digest:\n%s\n%s\n%s", what,
			 aq_str_get(&text[0]), aq_str_get(&text[2]),
			 a->canonical);
	check_round_trip(a);
	check_round_trip(c);
	check_keys(a, b, true);
	check_keys(a, c, strstr(what, "variable") != NULL);
}

static unsigned long from_environment(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 10) : otherwise;
}

static void test_pairs(void **state)
{
	unsigned long n = from_environment("AQ_COUNT_PAIRS", COUNT_PAIRS);
	struct rng r = { 0x9e3779b97f4a7c15ull ^
			 from_environment("AQ_SEED", 1) };
	struct aq_str text[3] = { AQ_STR_INIT(TEXT_MAX), AQ_STR_INIT(TEXT_MAX),
				  AQ_STR_INIT(TEXT_MAX) };

	(void)state;
	for (unsigned long i = 0; i < n; i++)
		one_pair(&r, text);
	print_message("# %lu equal and %lu unequal pairs\n", n, n);
	for (int i = 0; i < 3; i++)
		aq_str_free(&text[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_pairs) };
	int rc;

	fd = memfd_create("req.yaml", MFD_CLOEXEC);
	if (fd < 0)
		return 1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	close(fd);
	return rc;
}
