/* SPDX-License-Identifier: Apache-2.0 */
/* spank_aq(8) has the plugin's options, arguments and variables, and no other. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fake/jobs.h"
#include "tests/fake/played.h"
#include "tests/unit/page.h"

/* A section of the page, which the caller frees. */
static char *read_section(const char *name)
{
	cleanup_free char *text = page_read("docs/man/spank_aq.8");
	char heading[64], *at, *end;

	snprintf(heading, sizeof(heading), "\n.Sh %s\n", name);
	at = strstr(text, heading);
	if (!at) {
		fail_msg("spank_aq(8) lacks '%s'", name);
		return NULL; /* gcc does not know that it never gets here */
	}
	at += strlen(heading) - 1;
	end = strstr(at, "\n.Sh ");
	return strndup(at, end ? (size_t)(end - at) : strlen(at));
}

/* The section has an item KIND NAME REST. */
static void assert_item(const char *section, const char *kind,
			const char *name, const char *rest)
{
	char item[256];
	const char *at = section;

	snprintf(item, sizeof(item), "\n.It %s %s%s", kind, name, rest);
	while ((at = strstr(at, item))) {
		at += strlen(item);
		if (!*at || strchr(" \n", *at))
			return;
	}
	fail_msg("spank_aq(8) lacks '%s'", item + 1);
}

static void assert_option(const char *section, const struct spank_option *o)
{
	char name[64];

	snprintf(name, sizeof(name), "-%s", o->name);
	assert_item(section, "Fl", name, o->has_arg ? " Ns = Ns" : "");
}

static void page_has_each_option(void **state)
{
	cleanup_free char *section = read_section("OPTIONS");

	(void)state;
	played = (struct played){ .name = "srun", .context = S_CTX_LOCAL };
	assert_int_equal(slurm_spank_init(NULL, 0, NULL), 0);
	assert_non_null(played.option);
	assert_true(played.n_others > 0);
	assert_option(section, played.option);
	for (size_t i = 0; i < played.n_others; i++)
		assert_option(section, played.others[i]);
	/* 'none' has an item of its own */
	assert_int_equal(page_count(section, "\n.It Fl "), played.n_others + 2);
}

static void page_has_each_argument(void **state)
{
	cleanup_free char *section = read_section("ARGUMENTS");
	char wrong[] = "no-such-argument", right[] = "config=/etc/aq.conf";
	char *args[] = { wrong, right };
	struct rim_args ret;

	(void)state;
	rim_args_read(ARRAY_LEN(args), args, &ret);
	assert_string_equal(ret.conf_path, "/etc/aq.conf");
	assert_item(section, "Cm", "config", " Ns = Ns Ar file");
	assert_int_equal(page_count(section, "\n.It "), 1);
}

static bool is_ours(const char *variable)
{
	return aq_starts_with(variable, "AQ_") ||
	       aq_starts_with(variable, "SLURM_AQ_") ||
	       aq_starts_with(variable, "SLURM_SPANK_AQ_");
}

/* 1 if the variable is of ours, and then the section has it; what this process was
 * started with is the submitter's.
 */
static size_t check_variable(const char *section, const char *variable)
{
	char name[128];

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(variable, "="),
		 variable);
	if (!is_ours(name) || getenv(name))
		return 0;
	assert_item(section, "Ev", name, "");
	return 1;
}

/* Of the variables that a task finds, and that are carried there. */
static void page_has_each_variable(void **state)
{
	cleanup_free char *section = read_section("ENVIRONMENT");
	char *item = section;
	size_t n = 0;

	(void)state;
	run_job("a.yaml");
	for (const char *p = fake->task[0].env; *p; p += strlen(p) + 1)
		if (aq_starts_with(p, "AQ_")) /* others are carried */
			n += check_variable(section, p);
	for (size_t i = 0; rim_inherited[i]; i++)
		n += check_variable(section, rim_inherited[i]);
	while ((item = strstr(item, "\n.It Ev "))) {
		item += strlen("\n.It Ev ");
		n -= is_ours(item);
	}
	if (n)
		fail_msg("spank_aq(8) has %zd variables too many", -(ssize_t)n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(page_has_each_option),
		TEST(page_has_each_argument),
		TEST(page_has_each_variable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
