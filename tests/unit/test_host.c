/* SPDX-License-Identifier: Apache-2.0 */
/* What a node has of what packages may need, and which environments fit it. */
#include "tests/unit/unit.h"

#include <gnu/libc-version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/host.h"
#include "tests/unit/cachedir.h"

#define STAMP aq_host_stamp(AQ_HOST_DRIVER)

/* A client has said that. */
static void say(const struct aq_conf *conf, const char *lines)
{
	struct aq_err err = { 0 };

	if (aq_host_keep(conf, STAMP, lines, &err) != 0)
		fail_msg("%s", err.text);
}

static int has(const struct aq_conf *conf, const char *need)
{
	struct aq_host host;

	aq_host_find(conf, &host);
	return aq_host_has(&host, need, NULL);
}

static void a_driver_is_part_of_the_stamp(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_free char *driver = path_below(conf->run_dir, "driver");
	const uint64_t none = aq_host_stamp(driver);
	uint64_t old;

	assert_int_equal(aq_host_stamp(driver), none);
	scribble(driver, 0, "NVRM version: 535.1\n", 20);
	old = aq_host_stamp(driver);
	assert_int_not_equal(old, none);
	assert_int_equal(aq_host_stamp(driver), old);
	scribble(driver, 0, "NVRM version: 550.2\n", 20);
	assert_int_not_equal(aq_host_stamp(driver), old);
	assert_int_equal(unlink(driver), 0);
	assert_int_equal(aq_host_stamp(driver), none);
}

static void a_process_knows_some_by_itself(void **state)
{
	char need[64];

	assert_int_equal(has(*state, "__glibc >=2.17"), 0);
	assert_int_equal(has(*state, "__glibc >=99"), AQ_USER);
	snprintf(need, sizeof(need), "__glibc %s", gnu_get_libc_version());
	assert_int_not_equal(has(*state, need), AQ_USER);
	assert_int_equal(has(*state, "__linux >=3"), 0);
	assert_int_equal(has(*state, "__linux >=99"), AQ_USER);
	assert_int_equal(has(*state, "__unix"), 0);
	assert_int_equal(has(*state, "__cuda"), AQ_MISS);
	assert_int_equal(has(*state, "__archspec 1 zen4"), AQ_MISS);
	assert_int_equal(has(*state, "__glibc ]"), AQ_MISS);
}

static void a_client_knows_the_rest(void **state)
{
	say(*state, "__cuda 12.4 0\n__archspec 1 zen4\n__glibc 99 0\n");
	assert_int_equal(has(*state, "__cuda >=12"), 0);
	assert_int_equal(has(*state, "__cuda >=12.5"), AQ_USER);
	assert_int_equal(has(*state, "__archspec 1 zen4"), 0);
	assert_int_equal(has(*state, "__archspec 1 zen5"), AQ_USER);
	/* what it does not say is not there; of the rest a process knows better */
	assert_int_equal(has(*state, "__win"), AQ_USER);
	assert_int_equal(has(*state, "__glibc >=99"), AQ_USER);
	say(*state, "__archspec 1 zen4\n");
	assert_int_equal(has(*state, "__cuda"), AQ_USER);
	say(*state, NULL);
	assert_int_equal(has(*state, "__cuda"), AQ_MISS);
}

static void what_it_said_counts_for_that_node_alone(void **state)
{
	struct aq_conf *conf = *state;

	assert_int_equal(aq_host_keep(conf, STAMP + 1, "__cuda 12 0\n", NULL), 0);
	assert_int_equal(has(conf, "__cuda"), AQ_MISS);
	say(conf, "__cuda 12 0\n");
	assert_int_equal(has(conf, "__cuda"), 0);
	conf->stamp++;
	assert_int_equal(has(conf, "__cuda"), AQ_MISS);
	conf->stamp--;
	assert_int_equal(has(conf, "__cuda"), 0);
}

static void hostile_lines_are_none(void **state)
{
	static const char *const bad[] = {
		"", "\n", "__cuda\n", "__cuda 12\n", "__cuda 12 0", "cuda 12 0\n",
		"__cuda  12 0\n", "__cuda 12 0 1\n", "__cuda \x1b 0\n",
		"__cuda 1111111111111111111111111111111111111111111111111111111111111111111 0\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		say(*state, "__cuda 12 0\n");
		say(*state, bad[i]);
		if (has(*state, "__cuda") != AQ_MISS)
			fail_msg("'%s' was taken", bad[i]);
	}
	/* nor does one spoil the others */
	say(*state, "__a \n__cuda 12 0\n__cuda 13 0\n");
	assert_int_equal(has(*state, "__cuda 12.*"), 0);
}

static void too_many_are_cut(void **state)
{
	struct aq_str lines = AQ_STR_INIT(64 * 1024);

	for (int i = 0; i < 1000; i++)
		aq_str_add_fmt(&lines, "__virtual%d %d 0\n", i, i);
	say(*state, aq_str_get(&lines));
	assert_int_equal(has(*state, "__virtual1 >=1"), 0);
	assert_int_equal(has(*state, "__virtual999"), AQ_USER);
	aq_str_free(&lines);
}

static void the_configuration_comes_first(void **state)
{
	struct aq_conf *conf = *state;
	char *list[] = { (char[]){ "__cuda=" }, (char[]){ "__glibc=2.5" },
			 (char[]){ "__archspec=1=zen4" } };

	say(conf, "__cuda 12.4 0\n");
	assert_int_equal(has(conf, "__cuda"), 0);
	conf->virtuals = (struct aq_strv){ list, 3, 3, 3, 0 };
	assert_int_equal(has(conf, "__cuda"), AQ_USER);
	assert_int_equal(has(conf, "__glibc >=2.17"), AQ_USER);
	assert_int_equal(has(conf, "__glibc >=2.5"), 0);
	assert_int_equal(has(conf, "__archspec 1 zen4"), 0);
	list[0] = (char[]){ "__cuda=99.1" };
	assert_int_equal(has(conf, "__cuda >=99"), 0);
	conf->virtuals = (struct aq_strv){ 0 };
}

/* -- environments -- */

/* An environment of the key of 'first' whose lock has 'needs', behind 'behind'. */
static struct sample *commit(const struct aq_conf *conf, struct aq_store *store,
			     unsigned int n, const struct sample *first,
			     const char *needs, const char *behind)
{
	struct sample *s = sample(n, 1);
	struct aq_err err = { 0 };
	char name[128], text[512];
	cleanup_free char *dir = NULL, *path = NULL;

	if (first)
		s->tie = first->tie;
	s->tie.behind = behind;
	if (aq_store_commit(store, &s->env, &s->tie, &err) != 0)
		fail_msg("%s", err.text);
	snprintf(name, sizeof(name), "meta/%s", s->env.name);
	dir = path_below(conf->cache_dir, name);
	assert_int_equal(mkdir(dir, 0700), 0);
	path = path_below(dir, "lock");
	snprintf(text, sizeof(text), "aq-lock 1\nplatform linux-64\n%s", needs);
	scribble(path, 0, text, strlen(text));
	return s;
}

/* The name of what its key leads to, or why it leads nowhere. */
static const char *found(const struct aq_conf *conf, const struct sample *s,
			 bool by_request)
{
	static char ret[512];
	cleanup_store struct aq_store *store = NULL;
	cleanup_env struct aq_env *env = NULL;
	struct aq_err err = { 0 };
	struct aq_fit fit;
	int rc;

	assert_int_equal(aq_store_open(conf, AQ_STORE_READ, &store, &err), 0);
	aq_fit_only(conf, store, &fit);
	rc = by_request ? aq_store_find(store, s->tie.digest, s->tie.context,
					s->tie.canonical, &env, &err) :
			  aq_store_find_key(store, s->tie.key, &env, &err);
	assert_true(!rc || rc == AQ_MISS);
	snprintf(ret, sizeof(ret), "%s", !rc ? env->name :
		 fit.is_unknown ? "unknown" : fit.why);
	return ret;
}

static void expect_found(const struct aq_conf *conf, const struct sample *s,
			 const char *name)
{
	assert_string_equal(found(conf, s, false), name);
	assert_string_equal(found(conf, s, true), name);
}

#define CUDA12 "virtual __cuda >=12\nvirtual __glibc >=2.17\n"
#define CUDA11 "virtual __cuda >=11\n"

/* A driver leaves, is another, and comes back. */
static void a_key_leads_to_what_fits(void **state)
{
	const struct aq_conf *conf = *state;
	struct aq_store *store;
	struct sample *s12, *s11, *none, *late;

	assert_int_equal(aq_store_open(conf, AQ_STORE_WRITE, &store, NULL), 0);
	s12 = commit(conf, store, 1, NULL, CUDA12, NULL);
	expect_found(conf, s12, "unknown");
	say(conf, "__cuda 12.4 0\n");
	expect_found(conf, s12, s12->env.name);
	say(conf, "__cuda 11.8 0\n");
	expect_found(conf, s12, "it needs '__cuda >=12', this node has 11.8");
	s11 = commit(conf, store, 2, s12, CUDA11, s12->env.name);
	expect_found(conf, s12, s11->env.name);
	say(conf, "__unix 0 0\n");
	expect_found(conf, s12, "it needs '__cuda >=11', and this node has none");
	none = commit(conf, store, 3, s12, "", s11->env.name);
	expect_found(conf, s12, none->env.name);
	say(conf, "__cuda 11.8 0\n");
	expect_found(conf, s12, s11->env.name);
	say(conf, "__cuda 12.6 0\n");
	expect_found(conf, s12, s12->env.name);
	/* a refresh meanwhile is for the node as it was then */
	say(conf, "__unix 0 0\n");
	late = commit(conf, store, 4, s12, "", s11->env.name);
	expect_found(conf, s12, late->env.name);
	say(conf, "__cuda 12.6 0\n");
	expect_found(conf, s12, s12->env.name);
	/* and a hit of what comes behind changes nothing */
	none->tie.behind = s11->env.name;
	assert_int_equal(aq_store_bind(store, none->env.name, &none->tie, NULL), 0);
	expect_found(conf, s12, s12->env.name);
	say(conf, "__unix 0 0\n");
	expect_found(conf, s12, none->env.name);
	/* what is behind itself, or behind what is not there, comes first */
	late->tie.behind = late->env.name;
	assert_int_equal(aq_store_bind(store, late->env.name, &late->tie, NULL), 0);
	expect_found(conf, s12, late->env.name);
	none->tie.behind = "no-1";
	assert_int_equal(aq_store_bind(store, none->env.name, &none->tie, NULL), 0);
	say(conf, "__cuda 12.6 0\n");
	expect_found(conf, s12, none->env.name);
	aq_store_close(store);
	sample_free(s12);
	sample_free(s11);
	sample_free(none);
	sample_free(late);
}

static void in_doubt_it_fits(void **state)
{
	const struct aq_conf *conf = *state;
	cleanup_free char *path = NULL;
	struct aq_store *store;
	struct sample *s;
	char name[128];

	assert_int_equal(aq_store_open(conf, AQ_STORE_WRITE, &store, NULL), 0);
	s = commit(conf, store, 1, NULL, CUDA12, NULL);
	/* who was asked cannot tell */
	say(conf, NULL);
	expect_found(conf, s, s->env.name);
	say(conf, "__unix 0 0\n");
	expect_found(conf, s, "it needs '__cuda >=12', and this node has none");
	snprintf(name, sizeof(name), "meta/%s/lock", s->env.name);
	path = path_below(conf->cache_dir, name);
	scribble(path, 28, "virtual __cuda ???\n", 19);
	expect_found(conf, s, s->env.name);
	assert_int_equal(unlink(path), 0);
	expect_found(conf, s, s->env.name);
	aq_store_close(store);
	sample_free(s);
}

int main(void)
{
#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, cachedir_setup, cachedir_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_driver_is_part_of_the_stamp),
		TEST(a_process_knows_some_by_itself),
		TEST(a_client_knows_the_rest),
		TEST(what_it_said_counts_for_that_node_alone),
		TEST(hostile_lines_are_none),
		TEST(too_many_are_cut),
		TEST(the_configuration_comes_first),
		TEST(a_key_leads_to_what_fits),
		TEST(in_doubt_it_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
