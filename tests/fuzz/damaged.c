/* SPDX-License-Identifier: Apache-2.0 */
/* Damaged request files and damaged canonical forms: whatever the bytes, an
 * answer that keeps its promises.  AQ_COUNT_FUZZ says how many (default
 * below), AQ_SEED where the sequence begins.
 */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/requests.h"
#include "tests/gen/model.h"

#define COUNT_FUZZ 20000
#define TEXT_MAX (64 * 1024)
#define EDITS_MAX 3 /* of one text */

/* Pieces with a meaning somewhere in the grammars. */
static const char *const tokens[] = {
	"\n",
	"\r\n",
	"  - ",
	"- ",
	": ",
	":",
	"[",
	"]",
	"{",
	"}",
	"\"",
	"'",
	"#",
	" #",
	"&a ",
	"*a",
	"!!str ",
	"<<: ",
	"? ",
	"|\n",
	">\n",
	"---\n",
	"...\n",
	"%YAML 1.1\n",
	"\t",
	"\xff\xfe",
	"\xef\xbb\xbf",
	"\xc2\x85",
	"\x01",
	"{{",
	"==",
	"=",
	">=",
	"<",
	"!=",
	"~=",
	"===",
	",",
	"|",
	"(",
	")",
	".*",
	"*",
	"1!",
	"+x",
	"::",
	"/linux-64",
	"-r a",
	"-e .",
	";",
	" and ",
	" or ",
	"os_name",
	"python",
	"pip:",
	"~",
	"null",
	"dependencies:\n",
	"channels:\n",
	"conda ",
	"pip ",
	"variable ",
	"constraint ",
	"aq-request 1\n",
	"build=",
	"version=",
	"md5=",
	"999999999999999999999",
};

static void edit_once(struct rng *r, struct aq_str *s)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(2 * TEXT_MAX);
	size_t at = rng_below(r, (uint32_t)s->len + 1);
	size_t n = rng_below(r, 12), from;

	if (n > s->len - at)
		n = s->len - at;
	aq_str_add_mem(&out, aq_str_get(s), at);
	switch (rng_below(r, 5)) {
	case 0: /* one byte becomes another */
		aq_str_add_char(&out, (char)rng_below(r, 256));
		n = n ? 1 : 0;
		break;
	case 1: /* some are gone */
		break;
	case 2: /* a token in their place */
		aq_str_add(&out, tokens[rng_below(r, ARRAY_LEN(tokens))]);
		break;
	case 3: /* a token more */
		aq_str_add(&out, tokens[rng_below(r, ARRAY_LEN(tokens))]);
		n = 0;
		break;
	default: /* a piece from elsewhere, perhaps many times */
		from = rng_below(r, (uint32_t)s->len + 1);
		n = s->len - from < n ? s->len - from : n;
		for (uint32_t i = rng_below(r, 40); i; i--)
			aq_str_add_mem(&out, aq_str_get(s) + from, n);
		n = 0;
	}
	aq_str_add_mem(&out, aq_str_get(s) + at + n, s->len - at - n);
	aq_str_truncate(s, 0);
	aq_str_add_mem(s, aq_str_get(&out), out.len < TEXT_MAX ? out.len : 0);
}

/* Whether it was accepted. */
static bool try_read(const struct aq_str *s, struct aq_str *canonical)
{
	cleanup_request struct aq_request *req = NULL;

	req = fuzz_request_read(fuzz_file(0, aq_str_get(s), s->len));
	if (!req)
		return false;
	fuzz_request_check(req);
	aq_str_truncate(canonical, 0);
	aq_str_add_mem(canonical, req->canonical, req->canonical_len);
	return true;
}

static void test_fuzz(void **state)
{
	const char *count = getenv("AQ_COUNT_FUZZ"), *seed = getenv("AQ_SEED");
	unsigned long n = count ? strtoul(count, NULL, 10) : COUNT_FUZZ;
	struct rng r = { 0x2545f4914f6cdd1dull ^
			 (seed ? strtoul(seed, NULL, 10) : 1) };
	struct aq_str text = AQ_STR_INIT(TEXT_MAX),
		      canonical = AQ_STR_INIT(TEXT_MAX);
	unsigned long accepted = 0;

	(void)state;
	for (unsigned long i = 0; i < n; i++) {
		struct model m;

		aq_str_truncate(&text, 0);
		model_make(&r, &m);
		model_spell(&r, &m, &text);
		for (uint32_t k = 1 + rng_below(&r, EDITS_MAX); k; k--)
			edit_once(&r, &text);
		accepted += try_read(&text, &canonical);
		for (uint32_t k = 1 + rng_below(&r, 3); k; k--)
			edit_once(&r, &canonical);
		aq_request_free(fuzz_request_parse(aq_str_get(&canonical),
						   canonical.len));
	}
	print_message("# %lu damaged files, %lu of them still a request\n", n,
		      accepted);
	assert_true(accepted > n / 20);
	aq_str_free(&text);
	aq_str_free(&canonical);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_fuzz) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
