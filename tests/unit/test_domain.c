/* SPDX-License-Identifier: Apache-2.0 */
/* common/domain.c, private.c: what is private, and whose it is. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/canonical.h"
#include "common/io.h"
#include "common/layout.h"
#include "common/private.h"
#include "common/request.h"
#include "tests/unit/example_conf.h"

#define BIT(input) (1U << AQ_INPUT_##input)
#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void each_kind_is_read_and_the_rest_is_refused(void **state)
{
	enum aq_policy p[AQ_INPUT_N];
	struct aq_err err;

	(void)state;
	assert_int_equal(aq_policy_parse("", p, &err), 0);
	for (size_t i = 0; i < AQ_INPUT_N; i++)
		assert_int_equal(p[i], AQ_POLICY_REFUSE);
	assert_int_equal(aq_policy_parse(" vcs=private\tlocal=refuse script=private ",
					 p, &err), 0);
	assert_int_equal(p[AQ_INPUT_VCS], AQ_POLICY_PRIVATE);
	assert_int_equal(p[AQ_INPUT_LOCAL], AQ_POLICY_REFUSE);
	assert_int_equal(p[AQ_INPUT_SOURCE], AQ_POLICY_REFUSE);
	assert_int_equal(p[AQ_INPUT_SCRIPT], AQ_POLICY_PRIVATE);
}

static void what_would_break_the_shared_domain_is_no_rule(void **state)
{
	static const struct {
		const char *value, *why;
	} cases[] = {
		{ "vcs=shared", "'vcs' cannot be 'shared'" },
		{ "source=shared", "write 'source=private'" },
		{ "script=shared", "write 'script=private'" },
		{ "vcs", "'vcs' is no rule" },
		{ "vcs=", "'vcs=' is no rule" },
		{ "vcs=privat", "write 'vcs=private' or 'vcs=refuse'" },
		{ "=private", "is no rule" },
		{ "vcs=private pip=private", "'pip=private' is no rule" },
	};
	enum aq_policy p[AQ_INPUT_N];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct aq_err err = { 0 };

		assert_int_equal(aq_policy_parse(cases[i].value, p, &err),
				 AQ_USER);
		if (!strstr(err.text, cases[i].why))
			fail_msg("'%s': %s", cases[i].value, err.text);
	}
}

static void the_bytes_tell_the_domain(void **state)
{
	static const struct {
		const char *text;
		unsigned int inputs;
	} cases[] = {
		{ "", 0 },
		{ "pip a\n", 0 },
		{ "pip a @ git+https://h/p\n", BIT(VCS) },
		{ "x\npip a[b] @ git+file:///p ; os_name == \"a\"\n", BIT(VCS) },
		{ "pip a @ file:///p.whl#sha256=0\n", BIT(LOCAL) },
		/* what is not known is not shared */
		{ "pip a @ https://h/p.whl\n", BIT(LOCAL) },
		{ "pip a\nno-binary a\nvariable A=1\n", BIT(SOURCE) },
		{ "pip a @ git+x\npip b @ file:///x\nno-binary a",
		  BIT(VCS) | BIT(LOCAL) | BIT(SOURCE) },
		/* no requirements */
		{ "variable A=pip a @ git+x\n", 0 },
		{ "variable A=\tno-binary a\n", 0 },
		{ "pip a; os_name == \"b @ git+x\"\n", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (aq_domain_inputs(cases[i].text, strlen(cases[i].text)) !=
		    cases[i].inputs)
			fail_msg("'%s'", cases[i].text);
	/* not past their end */
	assert_int_equal(aq_domain_inputs("pip a @ git+x", 6), 0);
}

static const char vcs[] = AQ_CANONICAL_HEADER
	"python 3.9.*\npip a @ git+https://h/p@v1\npip b\n";

static int parse(const char *text, enum aq_policy policy, enum aq_input input,
		 struct aq_err *err)
{
	cleanup_request struct aq_request *req = NULL;
	struct aq_conf conf = example_conf;

	conf.policy[input] = policy;
	return aq_request_parse(text, strlen(text), &conf, &req, err);
}

/* Another site's request, or a forged one. */
static void a_node_asks_its_own_policy(void **state)
{
	static const struct {
		const char *text;
		enum aq_input input;
	} cases[] = {
		{ vcs, AQ_INPUT_VCS },
		{ AQ_CANONICAL_HEADER "python *\npip a @ file:///w/a-1-py3-none-any.whl#sha256=" SHA "\n",
		  AQ_INPUT_LOCAL },
		{ AQ_CANONICAL_HEADER "python *\npip a\nno-binary a\nno-binary b-c\n",
		  AQ_INPUT_SOURCE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct aq_err err = { 0 };
		char rule[32];

		if (parse(cases[i].text, AQ_POLICY_PRIVATE, cases[i].input,
			  &err) != 0)
			fail_msg("%s", err.text);
		assert_int_equal(parse(cases[i].text, AQ_POLICY_REFUSE,
				       cases[i].input, &err), AQ_USER);
		snprintf(rule, sizeof(rule), "%s=refuse",
			 aq_input_name(cases[i].input));
		assert_non_null(strstr(err.text, rule));
		assert_non_null(strstr(err.text, "ask the administrator"));
	}
}

static void what_is_not_its_normal_form_is_damaged(void **state)
{
	static const char *const texts[] = {
		"pip a@git+https://h/p\n",
		"pip a @ git+https://u:p@h/p\n",
		"pip a @ git+ssh://h/p\n",
		"pip a @ file:///w/a.whl\n", /* without its hash */
		"pip a\nno-binary A\n",
		"pip a\nno-binary b\nno-binary a\n",
		"pip a\nno-binary :all:\n",
		"pip a\nno-binary a>1\n",
		"no-binary a\n", /* of nothing */
		"pip a\nconstraint b @ git+https://h/p\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		cleanup_request struct aq_request *req = NULL;
		struct aq_conf conf = example_conf;
		struct aq_err err = { 0 };
		char text[512];

		for (size_t k = 0; k < AQ_INPUT_SCRIPT; k++)
			conf.policy[k] = AQ_POLICY_PRIVATE;
		snprintf(text, sizeof(text), AQ_CANONICAL_HEADER "python *\n%s",
			 texts[i]);
		if (aq_request_parse(text, strlen(text), &conf, &req, &err) !=
		    AQ_USER)
			fail_msg("'%s'", texts[i]);
	}
}

/* -- a domain's configuration -- */

static char dir[] = "/var/tmp/aq-test-domain-XXXXXX";

static int setup(void **state)
{
	(void)state;
	return !mkdtemp(dir) || chmod(dir, 0755) != 0;
}

static int teardown(void **state)
{
	(void)state;
	return aq_remove_tree(AT_FDCWD, dir, NULL);
}

static struct aq_conf *load(void)
{
	char path[64];
	struct aq_conf *conf = NULL;
	struct aq_err err = { 0 };
	FILE *f;

	snprintf(path, sizeof(path), "%s/aq.conf", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, "cache_dir = %s/lib\nrun_dir = %s/run\nbase = 3.9=x\n"
		   "credentials = /etc/secret\nproxy = http://u:p@h:1\n", dir, dir);
	fclose(f);
	assert_int_equal(chmod(path, 0644), 0);
	if (aq_conf_load(path, "n1", &conf, &err) != 0)
		fail_msg("%s", err.text);
	return conf;
}

static void it_is_a_cache_of_its_own_without_the_sites_secrets(void **state)
{
	cleanup_conf struct aq_conf *conf = load();
	uint64_t stamp = conf->stamp;
	struct aq_err err = { 0 };
	char want[128];

	(void)state;
	/* root has none, nor has who is no account */
	assert_int_equal(aq_private_enter(&conf, 0, &err), AQ_USER);
	assert_int_equal(aq_private_enter(&conf, 4000000000U, &err), AQ_SYS);
	assert_null(conf->site);
	if (aq_private_enter(&conf, 1, &err) != 0) /* daemon is everywhere */
		fail_msg("%s", err.text);
	snprintf(want, sizeof(want), "%s/lib/private/1", dir);
	assert_string_equal(conf->cache_dir, want);
	snprintf(want, sizeof(want), "%s/run/private/1", dir);
	assert_string_equal(conf->run_dir, want);
	snprintf(want, sizeof(want), "%s/run-public/private/1", dir);
	assert_string_equal(conf->public_dir, want);
	assert_string_equal(conf->domain.user, "daemon");
	assert_string_equal(conf->builder_user, "daemon");
	assert_string_equal(conf->probe_user, "daemon");
	assert_string_equal(conf->credentials, "");
	assert_string_equal(conf->proxy, "");
	assert_int_equal(conf->bases.n, 0);
	assert_true(conf->stamp != stamp);
	assert_ptr_equal(aq_conf_site(conf), conf->site);
	assert_ptr_equal(aq_conf_site(conf->site), conf->site);
}

static int count(struct aq_conf *conf, void *arg, struct aq_err *err)
{
	(void)err;
	assert_string_equal(conf->domain.user, "daemon");
	++*(int *)arg;
	return 0;
}

static void it_is_its_users_to_read_and_a_recycled_uid_is_refused(void **state)
{
	cleanup_conf struct aq_conf *conf = load();
	struct aq_err err = { 0 };
	char path[128];
	struct stat st;
	FILE *f;
	int n = 0;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(aq_private_each(conf, count, &n, &err), 0);
	assert_false(aq_private_exists(conf, 1));
	assert_int_equal(aq_private_enter(&conf, 1, &err), 0);
	for (int i = 0; i < 2; i++)
		if (aq_layout_prepare(conf, &err) != 0)
			fail_msg("%s", err.text);
	assert_true(aq_private_exists(conf->site, 1));
	assert_true(aq_private_is_in_use(conf->site, 1));
	assert_false(aq_private_exists(conf->site, 0));
	assert_int_equal(stat(conf->cache_dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
	assert_int_equal(st.st_uid, 0);
	assert_int_equal(st.st_gid, 0);
	assert_int_equal(stat(conf->run_dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(stat(conf->site->run_dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(aq_private_each(conf->site, count, &n, &err), 0);
	assert_int_equal(n, 1);
	snprintf(path, sizeof(path), "%s/user", conf->cache_dir);
	f = fopen(path, "w");
	fputs("mallory", f);
	fclose(f);
	assert_int_equal(aq_layout_prepare(conf, &err), AQ_SYS);
	assert_non_null(strstr(err.text, "was made for user 'mallory'"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_is_read_and_the_rest_is_refused),
		cmocka_unit_test(what_would_break_the_shared_domain_is_no_rule),
		cmocka_unit_test(the_bytes_tell_the_domain),
		cmocka_unit_test(a_node_asks_its_own_policy),
		cmocka_unit_test(what_is_not_its_normal_form_is_damaged),
		cmocka_unit_test(it_is_a_cache_of_its_own_without_the_sites_secrets),
		cmocka_unit_test(it_is_its_users_to_read_and_a_recycled_uid_is_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
