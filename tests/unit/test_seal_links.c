/* SPDX-License-Identifier: Apache-2.0 */
/* builder/seal: links, and layers. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/seal_inside.h"
#include "common/io.h"
#include "common/walk.h"
#include "tests/unit/sealed.h"
#include "builder/inherit.h"
#include "builder/seal.h"

/* -- links -- */

/* What judging a link 'path' to 'target' says. */
static int judge_link(const struct aq_conf *conf, const char *path,
		      const char *target, enum aq_env_kind kind)
{
	struct prefix p;
	int rc;

	begin(&p, conf);
	p.b.kind = kind;
	/* what chains are made of; "up" leads out of what it is in */
	put_dir(&p, "a");
	put_dir(&p, "a/b");
	put_dir(&p, "a/b/c");
	put_link(&p, "a/b/c/up", "../../..");
	put_link(&p, "a/dot", ".");
	put_link(&p, "a/self", p.b.prefix);
	put_link(&p, path, target);
	rc = seal_judge_link(&p.b, p.root, path, NULL);
	end(&p);
	return rc;
}

static void links_may_lead_where_only_root_writes(void **state)
{
	static const char *const good[] = {
		"python", "a", ".", "..", "../a/b", "missing", "a/missing/../x",
		"/dev/null", "/usr/bin/env", "/usr/share/zoneinfo",
		"/usr/share/none/either", "a/b/c/up/bin/python",
		"a/b/c/up/a/b/c/up", "../a/self/bin",
		/* what conda's fontconfig had: the place it was built at */
		"/aq-no-home/feedstock_root/_h_env_placehold/share/fonts",
	};
	static const char *const bad[] = {
		"../..", "../../x", "../../../../../../../../tmp/x", "/tmp/x",
		"/tmp", "/proc/self/cwd/x", "/dev/fd/3", "/dev/shm/x",
		"/usr/../tmp/x", "x", "../a/b/c/up/../x",
		"../a/b/c/up/../../../../tmp/x", "../a/dot/../../x",
		"../a/self/../x", "../../" BASE "/bin/python",
	};

	if (geteuid() != 0)
		skip();
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		if (judge_link(*state, "bin/x", good[i], AQ_ENV_CREATED) != 0)
			fail_msg("'%s' is refused", good[i]);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (judge_link(*state, "bin/x", bad[i], AQ_ENV_CREATED) != AQ_USER)
			fail_msg("'%s' is not refused", bad[i]);
}

static void a_layers_links_may_lead_to_its_base(void **state)
{
	const struct aq_conf *conf = *state;
	char path[2048];

	if (geteuid() != 0)
		skip();
	assert_int_equal(judge_link(conf, "bin/x", "../../" BASE "/bin/x",
				    AQ_ENV_INHERITED), 0);
	assert_int_equal(judge_link(conf, "x", "../" BASE, AQ_ENV_INHERITED), 0);
	assert_int_equal(judge_link(conf, "bin/x", "../../" BASE "/../x",
				    AQ_ENV_INHERITED), AQ_USER);
	assert_int_equal(judge_link(conf, "bin/x", "../../" BASE "x",
				    AQ_ENV_INHERITED), AQ_USER);
	snprintf(path, sizeof(path), "%s/envs/" BASE "/bin/x", conf->cache_dir);
	assert_int_equal(judge_link(conf, "bin/x", path, AQ_ENV_INHERITED), 0);
	assert_int_equal(judge_link(conf, "bin/x", path, AQ_ENV_CREATED), AQ_USER);
	snprintf(path, sizeof(path), "%s/envs/" NAME "/bin/python",
		 conf->cache_dir);
	assert_int_equal(judge_link(conf, "bin/x", path, AQ_ENV_CREATED), 0);
	/* the package cache is the builder's, and elsewhere once it is built */
	snprintf(path, sizeof(path), "%s/work/pkgs/x", conf->cache_dir);
	assert_int_equal(judge_link(conf, "bin/x", path, AQ_ENV_CREATED), AQ_USER);
}

/* Root's or not, what is below cache_dir comes and goes. */
static void no_link_leads_to_another_environment(void **state)
{
	struct aq_conf conf;
	struct prefix p;

	if (geteuid() != 0)
		skip();
	begin(&p, *state);
	put_link(&p, "bin/x", "/usr/share/aq-none");
	put_link(&p, "bin/y", "/usr/share/../share/aq-none");
	assert_int_equal(seal_judge_link(&p.b, p.root, "bin/x", NULL), 0);
	assert_int_equal(seal_judge_link(&p.b, p.root, "bin/y", NULL), AQ_USER);
	conf = *p.b.conf;
	conf.cache_dir = (char *)(uintptr_t)"/usr/share";
	p.b.conf = &conf;
	assert_int_equal(seal_judge_link(&p.b, p.root, "bin/x", NULL), AQ_USER);
	end(&p);
}

static void a_wrong_link_ends_the_seal(void **state)
{
	struct aq_err err = { 0 };
	struct prefix p;

	if (geteuid() != 0)
		skip();
	begin(&p, *state);
	put_link(&p, SITE "/evil.py", "/tmp/evil.py");
	assert_int_equal(seal_it(&p, &err), AQ_USER);
	assert_non_null(strstr(err.text, "evil.py"));
	end(&p);
}

/* -- layers -- */

static void begin_layer(struct prefix *p, const struct aq_conf *conf)
{
	cleanup_str struct aq_str cfg = AQ_STR_INIT(4096);
	char target[2048];

	begin(p, conf);
	p->b.kind = AQ_ENV_INHERITED;
	snprintf(p->b.base.python, sizeof(p->b.base.python), "3.9");
	assert_int_equal(aq_remove_tree(p->root, "conda-meta", NULL), 0);
	assert_int_equal(aq_remove_tree(p->root, "bin", NULL), 0);
	put_dir(p, "bin");
	snprintf(target, sizeof(target), "%s/bin/python3.9", p->b.base_prefix);
	put_link(p, "bin/python", target);
	put_link(p, "bin/python3", "python");
	assert_int_equal(layer_write_cfg(&p->b, &cfg, NULL), 0);
	put(p, "pyvenv.cfg", aq_str_get(&cfg));
	assert_int_equal(seal_note_metadata(&p->b, NULL), 0);
}

static void layer_cfg(const struct prefix *p)
{
	put(p, "pyvenv.cfg", "home = /tmp/bin\n");
}
static void layer_python(const struct prefix *p)
{
	assert_int_equal(unlinkat(p->root, "bin/python", 0), 0);
	put_link(p, "bin/python", "python3");
}
/* as long as the base's, and another's */
static void layer_other_python(const struct prefix *p)
{
	char target[2048];

	snprintf(target, sizeof(target), "%s/bin/python3.8", p->b.base_prefix);
	assert_int_equal(unlinkat(p->root, "bin/python", 0), 0);
	put_link(p, "bin/python", target);
}
static void layer_without_cfg(const struct prefix *p)
{
	assert_int_equal(unlinkat(p->root, "pyvenv.cfg", 0), 0);
}
static void layer_own_python(const struct prefix *p)
{
	put(p, "bin/python3.9", "elf");
}
static void layer_meta(const struct prefix *p)
{
	put_dir(p, "conda-meta");
	put(p, "conda-meta/python-3.9.6-0.json", "{}");
}
static void layer_record(const struct prefix *p)
{
	put_dir(p, SITE "/numpy-2.0.dist-info");
}

static void forged_layers_are_refused(void **state)
{
	static maker *const makers[] = { layer_cfg, layer_without_cfg,
					 layer_python, layer_other_python,
					 layer_own_python, layer_meta,
					 layer_record };
	struct aq_err err = { 0 };
	struct prefix p;

	if (geteuid() != 0)
		skip();
	begin_layer(&p, *state);
	/* what completes a layer makes its links anew */
	assert_int_equal(unlinkat(p.root, "bin/python3", 0), 0);
	put_link(&p, "bin/python3", "./python");
	if (seal_it(&p, &err) != 0)
		fail_msg("%s", err.text);
	end(&p);
	for (size_t i = 0; i < ARRAY_LEN(makers); i++) {
		begin_layer(&p, *state);
		makers[i](&p);
		if (seal_it(&p, &err) != AQ_USER)
			fail_msg("layer %zu: '%s'", i, err.text);
		end(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
		TEST(links_may_lead_where_only_root_writes),
		TEST(a_layers_links_may_lead_to_its_base),
		TEST(no_link_leads_to_another_environment),
		TEST(a_wrong_link_ends_the_seal),
		TEST(forged_layers_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
