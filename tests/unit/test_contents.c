/* SPDX-License-Identifier: Apache-2.0 */
/* What is in a prefix: everything that can be wrong, once; and that what is
 * right is found so.
 */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/manifest.h"
#include "tests/unit/prefixes.h"

/* -- files -- */

enum what { WRITE, REMOVE, LINK, CHMOD };
static const struct damage {
	enum what what;
	const char *name;  /* of the file */
	const char *value; /* new text, target */
	unsigned int mode;
	bool has_contents; /* only seen in these */
	enum aq_finding_kind kind;
	const char *text;
} damages[] = {
	{ WRITE, "lib/p/a.py", "A = 2\n", 0, true, AQ_FINDING_CONTENT,
	  "'lib/p/a.py' of package 'p' was changed" },
	{ WRITE, "lib/p/data", "data of q\n", 0, true, AQ_FINDING_CONTENT,
	  "of package 'p' was changed" },
	{ WRITE, PREFIX_SITE "/w.py", "W = 2\n", 0, true, AQ_FINDING_CONTENT,
	  "of package 'w-w' was changed" },
	{ WRITE, PREFIX_SITE "/w/say \"so\", it.py", "SO = 2\n", 0, true,
	  AQ_FINDING_CONTENT, "of package 'w-w' was changed" },
	{ WRITE, "bin/w", "#!/bin/sh\n# of v\n", 0, true, AQ_FINDING_CONTENT,
	  "'bin/w' of package 'w-w' was changed" },
	{ WRITE, "bin/wrapper", "#!/bin/sh\nexec v\n", 0, true,
	  AQ_FINDING_CONTENT, "'bin/wrapper' was changed" },
	{ WRITE, "lib/p/__pycache__/a.cpython-312.pyc", "byte-code of b", 0,
	  true, AQ_FINDING_CONTENT, "a.cpython-312.pyc' of package 'p' was changed" },
	{ WRITE, "lib/p/extra", "x", 0, true, AQ_FINDING_EXTRA,
	  "'lib/p/extra' is of no package" },
	{ WRITE, "lib/p/__pycache__/b.cpython-312.pyc", "x", 0, true,
	  AQ_FINDING_EXTRA, "b.cpython-312.pyc' is of no package" },
	{ LINK, "lib/p/link", "data", 0, true, AQ_FINDING_EXTRA,
	  "'lib/p/link' is of no package" },
	{ LINK, "share", "lib", 0, true, AQ_FINDING_CONTENT,
	  "'share' leads elsewhere" },
	{ LINK, "lib/p/data", "a.py", 0, true, AQ_FINDING_CONTENT,
	  "was replaced by a link" },
	{ REMOVE, "lib/p/a.py", NULL, 0, true, AQ_FINDING_MISSING,
	  "'lib/p/a.py' of package 'p' is missing" },
	{ REMOVE, PREFIX_SITE "/w.py", NULL, 0, true, AQ_FINDING_MISSING,
	  "of package 'w-w' is missing" },
	{ REMOVE, "bin/wrapper", NULL, 0, true, AQ_FINDING_MISSING,
	  "'bin/wrapper' is missing" },
	{ REMOVE, "share", NULL, 0, true, AQ_FINDING_MISSING,
	  "'share' is missing" },
	{ REMOVE, "bin/wrapper", NULL, 0, false, AQ_FINDING_SIZE,
	  "its row says" },
	{ CHMOD, "lib/p/data", NULL, 0644, false, AQ_FINDING_SEAL,
	  "'lib/p/data' has mode 0644, not 0444" },
	{ CHMOD, "bin/p", NULL, 04555, false, AQ_FINDING_SEAL,
	  "'bin/p' has mode 04555, not 0555" },
	{ CHMOD, "lib/p", NULL, 0755, false, AQ_FINDING_SEAL,
	  "'lib/p' has mode 0755, not 0555" },
	{ CHMOD, "", NULL, 0755, false, AQ_FINDING_SEAL,
	  "'its prefix' has mode 0755" },
};

static void damage(const struct prefix *p, const struct damage *d)
{
	switch (d->what) {
	case WRITE:
		prefix_write(p, d->name, d->value);
		break;
	case REMOVE:
		prefix_remove(p, d->name);
		break;
	case LINK:
		prefix_link(p, d->name, d->value);
		break;
	case CHMOD:
		prefix_chmod(p, d->name, d->mode);
		break;
	}
}

static void each_damage_of_files_is_found(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
		const struct damage *d = &damages[i];
		struct prefix p = prefix_make(*state, (unsigned int)i, NULL);

		prefix_expect_clean(*state, p.s->env.name);
		damage(&p, d);
		prefix_expect(*state, p.s->env.name, d->has_contents, d->kind,
		       *d->name && d->kind != AQ_FINDING_SIZE ? d->name : NULL,
		       d->text);
		prefix_free(&p);
	}
}

static void what_was_there_when_it_was_built_is_right(void **state)
{
	struct prefix p = prefix_make(*state, 1, NULL);

	/* a client rewrote a file that it had recorded, and added another */
	prefix_remove(&p, "bin/w");
	prefix_write(&p, "bin/w", "#!/elsewhere/sh\n");
	prefix_write(&p, "lib/p/cache", "made by a link script");
	prefix_accept(*state, &p);
	prefix_expect_clean(*state, p.s->env.name);
	prefix_free(&p);
}

static void byte_code_that_is_being_added_is_no_finding(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_free char *work = path_below(conf->cache_dir, "work/bytecode");
	cleanup_free char *pending = path_below(work, "pending");
	cleanup_free char *mark = NULL;
	struct prefix p = prefix_make(conf, 1, NULL);

	assert_int_equal(mkdir(work, 0755), 0);
	assert_int_equal(mkdir(pending, 0755), 0);
	mark = path_below(pending, p.s->env.name);
	scribble(mark, 0, "", 0);
	prefix_write(&p, "lib/p/__pycache__/b.cpython-312.pyc", "new");
	prefix_chmod(&p, "lib/p/__pycache__", 0755);
	prefix_expect_clean(conf, p.s->env.name);
	/* only that */
	prefix_write(&p, "lib/p/b.py", "new");
	prefix_expect(conf, p.s->env.name, true, AQ_FINDING_EXTRA, "lib/p/b.py",
	       "of no package");
	prefix_free(&p);
}

static void a_wheel_takes_a_packages_place(void **state)
{
	struct prefix p = prefix_make(*state, 1, NULL);
	const char json[] =
		"{\"name\": \"p\", \"version\": \"1.0\", \"build\": \"h_0\","
		" \"sha256\": \"%s\", \"paths_data\": {\"paths\": ["
		"{\"_path\": \"" PREFIX_SITE "/w_w-0.9.dist-info/RECORD\"},"
		"{\"_path\": \"lib/p/a.py\"}, {\"_path\": \"lib/p/data\"},"
		"{\"_path\": \"lib/p/gone\"}, {\"_path\": \"bin/p\"}]}}";
	char text[1024];

	snprintf(text, sizeof(text), json, p.s->digest);
	prefix_write(&p, "conda-meta/p-1.0-h_0.json", text);
	prefix_accept(*state, &p);
	prefix_expect_clean(*state, p.s->env.name);
	prefix_free(&p);
}

/* As conda records one: paths as the package has them, and byte-code that was to be
 * made.
 */
static void a_package_for_any_python(void **state)
{
	struct prefix p = prefix_make(*state, 1, NULL);
	const char json[] =
		"{\"name\": \"p\", \"version\": \"1.0\", \"build\": \"h_0\","
		" \"sha256\": \"%s\", \"noarch\": \"%s\","
		" \"paths_data\": {\"paths\": ["
		"{\"_path\": \"lib/p/a.py\"}, {\"_path\": \"lib/p/data\"},"
		"{\"_path\": \"bin/p\"},"
		"{\"_path\": \"site-packages/c.py\"},"
		"{\"_path\": \"python-scripts/q\"},"
		"{\"_path\": \"" PREFIX_SITE "/__pycache__/c.cpython-312.pyc\","
		" \"path_type\": \"pyc_file\"}]}}";
	char text[1024];

	prefix_write(&p, PREFIX_SITE "/c.py", "new");
	prefix_write(&p, "bin/q", "new");
	snprintf(text, sizeof(text), json, p.s->digest, "python");
	prefix_write(&p, "conda-meta/p-1.0-h_0.json", text);
	prefix_accept(*state, &p);
	prefix_expect_clean(*state, p.s->env.name);
	/* in no other these mean anything */
	prefix_remove(&p, PREFIX_SITE "/c.py");
	prefix_remove(&p, "bin/q");
	snprintf(text, sizeof(text), json, p.s->digest, "generic");
	prefix_write(&p, "conda-meta/p-1.0-h_0.json", text);
	prefix_accept(*state, &p);
	prefix_expect(*state, p.s->env.name, true, AQ_FINDING_MISSING,
		      "site-packages/c.py", "is missing");
	prefix_free(&p);
}

/* -- records -- */

static void record(const struct prefix *p, const char *name, const char *json)
{
	char path[128];

	snprintf(path, sizeof(path), "conda-meta/%s.json", name);
	prefix_write(p, path, json);
}

static void records_are_those_of_the_lock(void **state)
{
	struct prefix p = prefix_make(*state, 1, NULL);
	const char *name = p.s->env.name;

	record(&p, "q", "{\"name\": \"q\", \"version\": \"1\", \"build\": \"0\"}");
	prefix_accept(*state, &p);
	prefix_expect(*state, name, true, AQ_FINDING_RECORD, "conda-meta/q.json",
	       "package 'q' is there, which its lock does not have");
	record(&p, "q", "no JSON");
	prefix_accept(*state, &p);
	prefix_expect(*state, name, true, AQ_FINDING_RECORD, "conda-meta/q.json",
	       "is no record of a package");
	prefix_remove(&p, "conda-meta/q.json");
	prefix_write(&p, PREFIX_SITE "/v-1.0.dist-info/RECORD", "");
	prefix_accept(*state, &p);
	prefix_expect(*state, name, true, AQ_FINDING_RECORD, NULL,
	       "wheel 'v' is there, which its lock does not have");
	prefix_remove(&p, PREFIX_SITE "/v-1.0.dist-info/RECORD");
	prefix_free(&p);
}

static void another_archive_is_found(void **state)
{
	static const struct {
		const char *version, *sha256, *text;
	} cases[] = {
		{ "2.0", "%s", "package 'p' is 2.0 h_0, its lock has 1.0 h_0" },
		{ "1.0", "0%.63s", "from another archive than that of its lock" },
	};
	struct prefix p = prefix_make(*state, 1, NULL);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		cleanup_findings struct aq_findings f = AQ_FINDINGS_INIT;
		char text[512], sha256[80];

		snprintf(sha256, sizeof(sha256), i ? "0%.63s" : "%s",
			 p.s->digest + (i ? 1 : 0));
		if (i) /* another first digit than it has */
			sha256[0] = p.s->digest[0] == '0' ? '1' : '0';
		snprintf(text, sizeof(text),
			 "{\"name\": \"p\", \"version\": \"%s\","
			 " \"build\": \"h_0\", \"sha256\": \"%s\"}",
			 cases[i].version, sha256);
		record(&p, "p-1.0-h_0", text);
		prefix_accept(*state, &p);
		assert_int_equal(prefix_look(*state, p.s->env.name, true, &f), 0);
		assert_non_null(prefix_find(&f, AQ_FINDING_RECORD, NULL));
		assert_non_null(strstr(prefix_find(&f, AQ_FINDING_RECORD, NULL)->text,
				       cases[i].text));
	}
	prefix_free(&p);
}

static void a_package_without_its_record_is_found(void **state)
{
	cleanup_findings struct aq_findings f = AQ_FINDINGS_INIT;
	struct prefix p = prefix_make(*state, 1, NULL);

	prefix_remove(&p, PREFIX_SITE "/W_w-1.0.dist-info/RECORD");
	prefix_accept(*state, &p);
	assert_int_equal(prefix_look(*state, p.s->env.name, true, &f), 0);
	assert_non_null(prefix_find(&f, AQ_FINDING_RECORD, NULL));
	assert_string_equal(prefix_find(&f, AQ_FINDING_RECORD, NULL)->text,
			    "package 'w-w' has no record, which its lock has");
	prefix_free(&p);
}

static void archives_are_those_of_the_lock(void **state)
{
	const struct aq_conf *conf = *state;
	struct prefix p = prefix_make(conf, 1, NULL);
	cleanup_free char *path = path_below(conf->cache_dir,
					     "work/pkgs/p-1.conda");

	scribble(path, 0, "no archive", 10);
	prefix_expect(conf, p.s->env.name, true, AQ_FINDING_ARCHIVE,
	       "work/pkgs/p-1.conda", "not the archive of 'p'");
	prefix_free(&p);
}

static void sums_that_are_damaged_are_said(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_free char *meta = path_below(conf->cache_dir, "meta");
	struct prefix p = prefix_make(conf, 1, NULL);
	cleanup_free char *dir = path_below(meta, p.s->env.name);
	cleanup_free char *sums = path_below(dir, "sums");

	scribble(sums, 80, "x", 1);
	prefix_expect(conf, p.s->env.name, true, AQ_FINDING_MANIFEST, NULL, "damaged");
	assert_int_equal(unlink(sums), 0);
	prefix_expect(conf, p.s->env.name, true, AQ_FINDING_MANIFEST, NULL,
	       "no 'sums' to compare with");
	prefix_free(&p);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, cachedir_setup, cachedir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_damage_of_files_is_found),
		TEST(what_was_there_when_it_was_built_is_right),
		TEST(byte_code_that_is_being_added_is_no_finding),
		TEST(a_wheel_takes_a_packages_place),
		TEST(a_package_for_any_python),
		TEST(records_are_those_of_the_lock),
		TEST(another_archive_is_found),
		TEST(a_package_without_its_record_is_found),
		TEST(archives_are_those_of_the_lock),
		TEST(sums_that_are_damaged_are_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
