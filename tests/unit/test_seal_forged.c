/* SPDX-License-Identifier: Apache-2.0 */
/* builder/seal_forged: what wheels may bring, and what they may not say. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "builder/seal.h"
#include "builder/seal_inside.h"
#include "common/io.h"
#include "tests/unit/sealed.h"

static void take_away(const struct prefix *p, const char *path)
{
	assert_int_equal(aq_remove_tree(p->root, path, NULL), 0);
}

/* -- what is no forgery -- */

static void names_like_interpreters(const struct prefix *p)
{
	put(p, "bin/python-argcomplete", "");
	put(p, "bin/python3.9-config", "");
	put(p, "bin/ruff", "");
	put(p, "bin/3.9", "");
}
static void records_of_the_wheel(const struct prefix *p)
{
	put_dir(p, SITE "/AQ-1.0.dist-info.d");
	put_dir(p, SITE "/AQ_pure-1.0.dist-info");
	put_dir(p, SITE "/aq.pure-1.0.dist-info");
	put_dir(p, SITE "/Aq__.pure-1.0.egg-info");
}

static void what_wheels_may_bring_passes(void **state)
{
	static maker *const makers[] = { names_like_interpreters,
					 records_of_the_wheel };
	struct aq_err err = { 0 };
	struct prefix p;

	if (geteuid() != 0)
		skip();
	for (size_t i = 0; i < ARRAY_LEN(makers); i++) {
		begin(&p, *state);
		makers[i](&p);
		if (seal_check_metadata(&p.b, &err) != 0)
			fail_msg("%zu: %s", i, err.text);
		end(&p);
	}
}

/* conda's own links may lead nowhere yet. */
static void what_conda_brought_is_known_again(void **state)
{
	struct prefix p;

	if (geteuid() != 0)
		skip();
	begin(&p, *state);
	put_link(&p, "bin/python2", "none");
	assert_int_equal(seal_note_metadata(&p.b, NULL), 0);
	assert_int_equal(seal_check_metadata(&p.b, NULL), 0);
	end(&p);
}

/* Nothing is there, and nothing is asked of it. */
static void without_python_there_are_no_records(void **state)
{
	struct prefix p;

	if (geteuid() != 0)
		skip();
	begin(&p, *state);
	free(p.b.lock->python);
	p.b.lock->python = NULL;
	take_away(&p, "bin");
	take_away(&p, "conda-meta");
	assert_int_equal(seal_note_metadata(&p.b, NULL), 0);
	put_dir(&p, SITE "/numpy-2.0.dist-info");
	assert_int_equal(seal_check_metadata(&p.b, NULL), 0);
	end(&p);
}

/* -- what is one -- */

static void record_of_a_conda_package(const struct prefix *p)
{
	put_dir(p, SITE "/python-3.9.6.dist-info");
}
static void record_of_a_part(const struct prefix *p)
{
	put_dir(p, SITE "/aq-1.0.dist-info");
}
static void record_of_more(const struct prefix *p)
{
	put_dir(p, SITE "/aq_pure_-1.0.dist-info");
}
static void record_before_it(const struct prefix *p)
{
	put_dir(p, SITE "/_aq_pure-1.0.dist-info");
}
static void record_without_marks(const struct prefix *p)
{
	put_dir(p, SITE "/aqpure-1.0.dist-info");
}
static void egg_link(const struct prefix *p)
{
	put(p, SITE "/numpy.egg-link", "/tmp");
}
static void venv_link(const struct prefix *p)
{
	put_link(p, "pyvenv.cfg", "none");
}
static void interpreter_link(const struct prefix *p)
{
	put_link(p, "bin/python4", "none");
}
static void meta_link(const struct prefix *p)
{
	take_away(p, "conda-meta");
	put_dir(p, "meta");
	put_link(p, "conda-meta", "meta");
}
static void bin_link(const struct prefix *p)
{
	take_away(p, "bin");
	put_dir(p, "programs");
	put_link(p, "bin", "programs");
}
static void site_link(const struct prefix *p)
{
	take_away(p, SITE);
	put_dir(p, "site");
	put_link(p, SITE, "../../site");
}

static void what_wheels_forge_is_refused(void **state)
{
	static const struct {
		maker *make;
		int rc;
	} cases[] = {
		{ record_of_a_conda_package, AQ_USER },
		{ record_of_a_part, AQ_USER },
		{ record_of_more, AQ_USER },
		/* PEP 503 leaves a mark there */
		{ record_before_it, AQ_USER },
		{ record_without_marks, AQ_USER },
		{ egg_link, AQ_USER }, { venv_link, AQ_USER },
		{ interpreter_link, AQ_USER },
		/* what cannot be looked at is not passed over */
		{ meta_link, AQ_SYS }, { bin_link, AQ_SYS },
		{ site_link, AQ_SYS },
	};

	if (geteuid() != 0)
		skip();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct aq_err err = { 0 };
		struct prefix p;
		int rc;

		begin(&p, *state);
		cases[i].make(&p);
		rc = seal_check_metadata(&p.b, &err);
		if (rc != cases[i].rc)
			fail_msg("%zu: %d '%s'", i, rc, err.text);
		end(&p);
	}
}

/* A conda package has been there first: what it says of others is not noted as
 * theirs.
 */
static void what_conda_packages_forge_is_refused(void **state)
{
	static const char *const records[] = {
		"conda-meta/numpy-2.0-0.json",
		"conda-meta/python-3.9.6-1.json",
		"conda-meta/aq-pure-1.0-(null).json", /* a wheel has none */
	};

	if (geteuid() != 0)
		skip();
	for (size_t i = 0; i < ARRAY_LEN(records); i++) {
		struct prefix p;

		begin(&p, *state);
		put(&p, records[i], "{}");
		assert_int_equal(seal_note_metadata(&p.b, NULL), 0);
		assert_int_equal(seal_check_metadata(&p.b, NULL), AQ_USER);
		end(&p);
	}
}

/* -- before wheels are installed -- */

static void links_out_are_refused_before_wheels_follow_them(void **state)
{
	struct aq_err err = { 0 };
	struct prefix p;

	if (geteuid() != 0)
		skip();
	begin(&p, *state);
	put_dir(&p, "share");
	put_link(&p, "share/in", "../lib");
	assert_int_equal(seal_note_metadata(&p.b, NULL), 0);
	put_link(&p, "share/out", "../../../pkgs/x-1-0/share");
	assert_int_equal(seal_note_metadata(&p.b, &err), AQ_USER);
	assert_non_null(strstr(err.text, "share/out"));
	assert_int_equal(p.b.verdict, BUILD_REFUSED);
	/* the seal will say so where no wheel is to come, and a cache of one's
	 * own is for oneself
	 */
	p.b.is_personal = true;
	assert_int_equal(seal_note_metadata(&p.b, NULL), 0);
	p.b.is_personal = false;
	for (size_t i = 0; i < p.b.lock->n_items; i++)
		p.b.lock->items[i].kind = AQ_LOCK_CONDA;
	assert_int_equal(seal_note_metadata(&p.b, NULL), 0);
	end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
		TEST(what_wheels_may_bring_passes),
		TEST(what_conda_brought_is_known_again),
		TEST(without_python_there_are_no_records),
		TEST(what_wheels_forge_is_refused),
		TEST(what_conda_packages_forge_is_refused),
		TEST(links_out_are_refused_before_wheels_follow_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
