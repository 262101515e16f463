/* SPDX-License-Identifier: Apache-2.0 */
/* A line each: a requirement, a version specifier, a marker.  What is read can be
 * printed and read again, and is the same however names and blanks are spelt.
 */
#include "tests/fuzz/fuzz.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/marker.h"
#include "common/pep440.h"
#include "common/pep508.h"
#include "common/text.h"
#include "common/vspec.h"

const char fuzz_name[] = "pep508";

/* "a<b" becomes "a < b", "1a" 1a0, a repository's URL less. */
#define PRINTED_MAX(len) (4 * (len) + 32)

static bool is_same(const struct aq_requirement *a,
		    const struct aq_requirement *b)
{
	if (a->extras.n != b->extras.n)
		return false;
	for (size_t i = 0; i < a->extras.n; i++)
		if (strcmp(a->extras.v[i], b->extras.v[i]) != 0)
			return false;
	return fuzz_same(a->name, b->name) &&
	       fuzz_same(a->versions, b->versions) &&
	       fuzz_same(a->url, b->url) && fuzz_same(a->marker, b->marker);
}

static void check_spelling(const struct aq_requirement *r, const char *text)
{
	cleanup_requirement struct aq_requirement again = { 0 };
	struct aq_err err;

	if (strlen(text) > AQ_SPEC_MAX)
		return;
	if (aq_requirement_parse(text, &again, &err))
		fuzz_broken(__FILE__, __LINE__, err.text, text);
	fuzz_check_text(is_same(r, &again), text);
}

/* PEP 503: case does not matter, nor which of -_. stand between letters. */
static void check_name(const struct aq_requirement *r, const char *text)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(2 * AQ_SPEC_MAX);
	const char *p = text + strspn(text, " \t");

	aq_str_add(&out, "  ");
	for (; isalnum((unsigned char)*p) || (*p && strchr("-_.", *p)); p++)
		aq_str_add_char(&out, strchr("-_", *p) ? '.' :
				      *p == '.' ? '_' :
						  (char)toupper((unsigned char)*p));
	aq_str_add_fmt(&out, "%s  ", p);
	check_spelling(r, aq_str_get(&out));
}

static void check_requirement(const char *text)
{
	cleanup_requirement struct aq_requirement r = { 0 };
	cleanup_str struct aq_str out = AQ_STR_INIT(PRINTED_MAX(strlen(text)));
	struct aq_err err;
	int rc = aq_requirement_parse(text, &r, &err);

	if (rc) {
		fuzz_check_refusal(rc, &err);
		fuzz_check(!r.name);
		return;
	}
	aq_requirement_print(&r, &out);
	fuzz_check_text(!out.broken, text);
	check_spelling(&r, aq_str_get(&out));
	check_name(&r, text);
}

static void check_normal_form(int (*normalise)(const char *text, char **ret,
					       struct aq_err *err),
			      const char *text)
{
	cleanup_free char *once = NULL, *twice = NULL;
	struct aq_err err;
	int rc = normalise(text, &once, &err);

	if (rc) {
		fuzz_check_refusal(rc, &err);
		return;
	}
	fuzz_check_text(strlen(once) <= PRINTED_MAX(strlen(text)), once);
	if (normalise(once, &twice, &err))
		fuzz_broken(__FILE__, __LINE__, err.text, once);
	fuzz_check_text(strcmp(once, twice) == 0, once);
}

/* Conditions mean the same in any order. */
static void check_order(const char *specifiers)
{
	cleanup_str struct aq_str turned = AQ_STR_INIT(2 * AQ_SPEC_MAX);
	cleanup_free char *a = NULL, *b = NULL;
	const char *end = specifiers + strlen(specifiers);
	struct aq_err err;

	if (aq_pep440_specifiers(specifiers, &a, &err) || !*a)
		return;
	for (const char *p = end; p >= specifiers; p--) {
		size_t len = strcspn(p, ",");

		/* behind a comma at the end there may be nothing */
		if ((p > specifiers && p[-1] != ',') ||
		    strspn(p, " \t") >= len)
			continue;
		aq_str_add(&turned, turned.len ? "," : "");
		aq_str_add_mem(&turned, p, len);
	}
	fuzz_check_text(!aq_pep440_specifiers(aq_str_get(&turned), &b, &err),
			aq_str_get(&turned));
	fuzz_check_text(strcmp(a, b) == 0, a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = fuzz_input(data, size);
	cleanup_free char *requirement = fuzz_piece(&in, '\n', NULL);
	cleanup_free char *specifiers = fuzz_piece(&in, '\n', NULL);
	cleanup_free char *marker = fuzz_piece(&in, '\n', NULL);

	check_requirement(requirement);
	/* by a requirement these two are given its printable characters only */
	if (aq_text_is_clean(specifiers) && strlen(specifiers) <= AQ_SPEC_MAX) {
		check_normal_form(aq_pep440_specifiers, specifiers);
		check_order(specifiers);
	}
	if (aq_text_is_clean(marker) && strlen(marker) <= AQ_SPEC_MAX)
		check_normal_form(aq_marker_normalise, marker);
	return 0;
}
