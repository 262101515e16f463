/* SPDX-License-Identifier: Apache-2.0 */
/* Print the normal form of each line of standard input, or "! why not": the
 * line's first letter says what the rest is, 'c' a conda match spec, 'p' a pip
 * requirement; 'm' a match spec, a version and a build string with tabs between
 * them, which prints whether numpy of that version and build matches behind
 * the normal form and a tab.  For tests/oracle/compare.py.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/matchspec.h"
#include "common/pep508.h"
#include "common/vmatch.h"

static int print_conda(const char *text, struct aq_str *out, struct aq_err *err)
{
	cleanup_matchspec struct aq_matchspec spec = { 0 };
	int rc = aq_matchspec_parse(text, &spec, err);

	if (!rc)
		aq_matchspec_print(&spec, out);
	return rc;
}

static int print_pip(const char *text, struct aq_str *out, struct aq_err *err)
{
	cleanup_requirement struct aq_requirement r = { 0 };
	int rc = aq_requirement_parse(text, &r, err);

	if (!rc)
		aq_requirement_print(&r, out);
	return rc;
}

static int print_match(char *text, struct aq_str *out, struct aq_err *err)
{
	static const char *const answers[] = {
		[AQ_MATCH_NO] = "\tno",
		[AQ_MATCH_YES] = "\tyes",
		[AQ_MATCH_UNSURE] = "\tunsure",
	};
	cleanup_matchspec struct aq_matchspec spec = { 0 };
	char name[] = "numpy", url[] = "file:///c/linux-64/x.conda";
	struct aq_lock_item item = { .name = name, .url = url };
	char *rest = text;
	int rc;

	strsep(&rest, "\t");
	item.version = strsep(&rest, "\t");
	item.build = strsep(&rest, "\t");
	if (!item.build)
		return aq_fail(err, AQ_USER, "no version and build");
	rc = aq_matchspec_parse(text, &spec, err);
	if (rc)
		return rc;
	aq_matchspec_print(&spec, out);
	aq_str_add(out, answers[aq_matchspec_matches(&spec, &item)]);
	return 0;
}

int main(void)
{
	cleanup_free char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, stdin) > 0) {
		cleanup_str struct aq_str out = AQ_STR_INIT(4 * AQ_SPEC_MAX);
		struct aq_err err = { 0 };
		int rc;

		line[strcspn(line, "\n")] = '\0';
		if (*line == 'c')
			rc = print_conda(line + 1, &out, &err);
		else if (*line == 'p')
			rc = print_pip(line + 1, &out, &err);
		else if (*line == 'm')
			rc = print_match(line + 1, &out, &err);
		else
			return 2;
		if (rc)
			printf("! %s\n", err.text);
		else
			printf("%s\n", aq_str_get(&out));
	}
	return 0;
}
