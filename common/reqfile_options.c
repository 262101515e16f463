/* SPDX-License-Identifier: Apache-2.0 */
/* What lines of options mean here: pip's documentation, "Requirements File Format". */
#include "common/reqfile_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/pep508.h"
#include "common/text.h"

const char *reqfile_option_value(const char *text, const char *name)
{
	size_t len = strlen(name);
	bool is_long = name[1] == '-';

	if (strncmp(text, name, len) != 0)
		return NULL;
	text += len;
	if (is_long && *text && !strchr(" \t=", *text))
		return NULL;
	text += strspn(text, " \t");
	if (is_long && *text == '=')
		text++;
	return text + strspn(text, " \t");
}

static int add_source(struct aq_pip *pip, const char *name, struct aq_err *err)
{
	cleanup_requirement struct aq_requirement r = { 0 };
	char show[AQ_SHOW_SIZE];
	int rc;

	if (*name == ':')
		return aq_fail(err, AQ_USER,
			       "'%s' is no package: name those that are to be built from source",
			       aq_show(name, show));
	rc = aq_requirement_parse(name, &r, err);
	if (!rc && (r.extras.n || *r.versions || r.url || r.marker))
		rc = aq_fail(err, AQ_USER,
			     "'%s' is more than a package's name",
			     aq_show(name, show));
	if (!rc)
		aq_strv_add(pip->sources, r.name);
	return rc;
}

/* --no-binary: names with commas between them, as pip has it. */
static void read_no_binary(struct aq_pip *pip, struct aq_place at,
			   const char *value)
{
	cleanup_free char *copy = strdup(value);
	char *save = NULL;
	struct aq_err err = { 0 };
	int rc = aq_policy_check(pip->policy, AQ_INPUT_SOURCE, "--no-binary",
				 &err);

	if (!copy || !*value)
		rc = aq_fail(&err, AQ_USER, "'--no-binary' names no package");
	for (char *name = copy ? strtok_r(copy, ", \t", &save) : NULL;
	     name && !rc; name = strtok_r(NULL, ", \t", &save))
		rc = add_source(pip, name, &err);
	if (rc)
		aq_problem_err(pip->problems, at, &err);
}

/* What says how pip is to do what is done here anyway, or not at all. */
static bool has_no_effect(struct aq_pip *pip, struct aq_place at,
			  const char *text)
{
	static const struct {
		const char *name, *why;
	} options[] = {
		{ "--prefer-binary", "wheels are taken wherever there are any" },
		{ "--only-binary", "nothing is built from source unless "
				   "'--no-binary' names it" },
		{ "--require-hashes", "packages are held by their versions, and "
				      "come from where the administrator says" },
	};
	char note[256];

	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (!reqfile_option_value(text, options[i].name))
			continue;
		snprintf(note, sizeof(note), "'%s' has no effect: %s",
			 options[i].name, options[i].why);
		aq_place_note(pip->warnings, at, note);
		return true;
	}
	return false;
}

static void refuse_option(struct aq_pip *pip, struct aq_place at,
			  const char *text)
{
	char show[AQ_SHOW_SIZE];

	if (reqfile_option_value(text, "-e") || reqfile_option_value(text, "--editable"))
		aq_problem(pip->problems, at,
			   "'%s' is an editable install of code that the "
			   "nodes may not have: remove it, or name a released "
			   "package%s",
			   aq_show(text, show),
			   strstr(text, "git+") ?
				   ", or the repository as 'NAME @ git+URL'" :
				   "");
	else if (reqfile_option_value(text, "--pre"))
		aq_problem(pip->problems, at,
			   "option '--pre' is not supported: remove it, and "
			   "write 'NAME>=2.0rc1' for a package of which a "
			   "pre-release will do");
	else
		aq_problem(pip->problems, at,
			   "option '%.*s' is not supported: remove it, the "
			   "administrator chooses where packages come from",
			   (int)strcspn(aq_show(text, show), " \t="), show);
}

size_t reqfile_hashes_len(const char *text)
{
	static const char option[] = "--hash", blank[] = " \t\r\n";
	const char *end = text, *at = text;
	size_t n = 0;

	while ((at = strstr(at, option))) {
		const char *begin = at;

		at += strlen(option);
		if (begin == text || !strchr(blank, begin[-1]) || !*at ||
		    !strchr("= \t", *at))
			continue;
		while (begin > end && strchr(" \t\r\n\\", begin[-1]))
			begin--;
		at += strspn(at, "= \t");
		end = at += strcspn(at, blank);
		n += (size_t)(end - begin);
	}
	return n;
}

void reqfile_option(struct aq_pip *pip, struct aq_place at, const char *text)
{
	const char *names = reqfile_option_value(text, "--no-binary");

	if (names)
		read_no_binary(pip, at, names);
	else if (!has_no_effect(pip, at, text))
		refuse_option(pip, at, text);
}
