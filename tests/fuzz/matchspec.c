/* SPDX-License-Identifier: Apache-2.0 */
/* A line each: a match spec, another version spec, two versions, a build string.
 * What is read can be printed and read again; conditions that are joined match
 * what each of them does; versions have an order.
 */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "common/matchspec.h"
#include "common/text.h"
#include "common/vmatch.h"

const char fuzz_name[] = "matchspec";

/* "1|2" becomes "==1|==2". */
#define PRINTED_MAX(len) (3 * (len) + 80)
#define LINES 5

static bool is_same(const struct aq_matchspec *a, const struct aq_matchspec *b)
{
	return fuzz_same(a->channel, b->channel) &&
	       fuzz_same(a->subdir, b->subdir) && fuzz_same(a->name, b->name) &&
	       fuzz_same(a->version, b->version) &&
	       fuzz_same(a->build, b->build) &&
	       fuzz_same(a->build_number, b->build_number) &&
	       fuzz_same(a->md5, b->md5) && fuzz_same(a->sha256, b->sha256);
}

/* What another spelling of 'spec' says. */
static void check_spelling(const struct aq_matchspec *spec, const char *text)
{
	cleanup_matchspec struct aq_matchspec again = { 0 };
	struct aq_err err;

	/* blanks at both ends may make it too long */
	if (strlen(text) > AQ_SPEC_MAX)
		return;
	if (aq_matchspec_parse(text, &again, &err))
		fuzz_broken(__FILE__, __LINE__, err.text, text);
	fuzz_check_text(is_same(spec, &again), text);
}

static void check_print(const struct aq_matchspec *spec, const char *text)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(PRINTED_MAX(strlen(text)));
	cleanup_str struct aq_str padded = AQ_STR_INIT(2 * AQ_SPEC_MAX);

	aq_matchspec_print(spec, &out);
	fuzz_check_text(!out.broken, text);
	check_spelling(spec, aq_str_get(&out));
	aq_str_add_fmt(&padded, " \t%s \t", text);
	check_spelling(spec, aq_str_get(&padded));
}

/* The parts of a normal form are in normal form. */
static void check_version(const char *version)
{
	cleanup_free char *again = NULL, *twice = NULL;
	struct aq_err err;

	fuzz_check_text(!aq_vspec_normalise(version, &again, &err), version);
	fuzz_check_text(strcmp(version, again) == 0, version);
	if (aq_vspec_and(version, version, &twice, &err))
		fuzz_check_text(err.class == AQ_USER, version);
	else
		fuzz_check_text(strcmp(version, twice) == 0, version);
}

static void check_and(const char *a, const char *b, const char *version)
{
	cleanup_free char *both = NULL, *turned = NULL;
	enum aq_match x = aq_vspec_matches(a, version);
	enum aq_match y = aq_vspec_matches(b, version), z;
	struct aq_err err;

	if (aq_vspec_and(a, b, &both, &err)) {
		fuzz_check_text(err.class == AQ_USER, a);
		return;
	}
	fuzz_check_text(!aq_vspec_and(b, a, &turned, &err), both);
	fuzz_check_text(strcmp(both, turned) == 0, both);
	check_version(both);
	z = aq_vspec_matches(both, version);
	if (x == AQ_MATCH_NO || y == AQ_MATCH_NO)
		fuzz_check_text(z != AQ_MATCH_YES, both);
	if (x == AQ_MATCH_YES && y == AQ_MATCH_YES)
		fuzz_check_text(z != AQ_MATCH_NO, both);
	if (aq_vspec_contradicts_itself(both))
		fuzz_check_text(z != AQ_MATCH_YES, both);
}

static void check_order(char *const v[3])
{
	struct aq_err err;
	int ab, ba, bc, ac;

	for (size_t i = 0; i < 3; i++)
		if (!aq_version_compare(v[i], v[i], &ab, &err))
			fuzz_check_text(ab == 0, v[i]);
	if (aq_version_compare(v[0], v[1], &ab, &err))
		return;
	fuzz_check_text(!aq_version_compare(v[1], v[0], &ba, &err), v[0]);
	fuzz_check_text(ab == -ba, v[0]);
	if (aq_version_compare(v[1], v[2], &bc, &err))
		return;
	fuzz_check_text(!aq_version_compare(v[0], v[2], &ac, &err), v[0]);
	if (ab <= 0 && bc <= 0)
		fuzz_check_text(ac <= 0 && (ac < 0 || (!ab && !bc)), v[0]);
}

static void check_item(const struct aq_matchspec *spec, char *version,
		       char *build)
{
	char name[] = "numpy", url[] = "file:///c/linux-64/x.conda";
	struct aq_lock_item item = { .name = name, .url = url,
				     .version = version, .build = build };
	enum aq_match m = aq_matchspec_matches(spec, &item);

	if (strcmp(spec->name, name) != 0)
		fuzz_check(m == AQ_MATCH_NO);
	if (m == AQ_MATCH_YES)
		fuzz_check(aq_vspec_matches(spec->version, version) ==
			   AQ_MATCH_YES);
	item.kind = AQ_LOCK_WHEEL;
	fuzz_check(aq_matchspec_matches(spec, &item) == AQ_MATCH_NO);
}

static void check_lines(char *const line[LINES])
{
	cleanup_matchspec struct aq_matchspec spec = { 0 };
	cleanup_free char *other = NULL;
	struct aq_err err;
	int rc = aq_matchspec_parse(line[0], &spec, &err);

	check_order(&line[1]);
	if (rc) {
		fuzz_check_refusal(rc, &err);
		fuzz_check(!spec.name);
		return;
	}
	check_print(&spec, line[0]);
	check_version(spec.version);
	check_item(&spec, line[2], line[4]);
	rc = aq_vspec_normalise(line[1], &other, &err);
	if (rc)
		fuzz_check_refusal(rc, &err);
	else
		check_and(spec.version, other, line[2]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = fuzz_input(data, size);
	char *line[LINES];

	for (size_t i = 0; i < LINES; i++)
		line[i] = fuzz_piece(&in, '\n', NULL);
	check_lines(line);
	for (size_t i = 0; i < LINES; i++)
		free(line[i]);
	return 0;
}
