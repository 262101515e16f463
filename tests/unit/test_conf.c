/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/conf.h"

static char path[] = "/tmp/aq-test-conf-XXXXXX";

static int setup(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	close(fd);
	return fd < 0;
}

static int teardown(void **state)
{
	(void)state;
	return unlink(path);
}

static void write_conf(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, 0644), 0);
}

static void expect_refused(const char *text, const char *why)
{
	cleanup_conf struct aq_conf *conf = NULL;
	struct aq_err err = { 0 };

	write_conf(text);
	assert_int_equal(aq_conf_load(path, "n1", &conf, &err), AQ_USER);
	assert_null(conf);
	assert_non_null(strstr(err.text, why));
	assert_true(aq_starts_with(err.text, path));
}

static void every_key_is_read(void **state)
{
	cleanup_conf struct aq_conf *conf = NULL;
	struct aq_err err = { 0 };

	(void)state;
	write_conf("# comment\r\n"
		   "cache_dir = /srv/%n/aq//\r\n"
		   "run_dir=/run/aq-%n\n"
		   "builder_user = bob\n"
		   "channels = a=https://x/y#z/ b=file:///srv/ch\n"
		   "find_links = /w1 /w2\n"
		   "build_timeout = 7\n"
		   "virtual_packages = __cuda= __archspec=1=x86_64_v3\n"
		   "no_such = 1\n");
	assert_int_equal(aq_conf_load(path, "n1", &conf, &err), 0);
	assert_string_equal(conf->cache_dir, "/srv/n1/aq");
	assert_string_equal(conf->run_dir, "/run/aq-n1");
	assert_string_equal(conf->public_dir, "/run/aq-n1-public");
	assert_string_equal(conf->builder_user, "bob");
	assert_int_equal(conf->n_channels, 2);
	assert_string_equal(conf->channels[0].url, "https://x/y#z");
	assert_string_equal(aq_conf_channel(conf, "file:///srv/ch/")->name, "b");
	assert_null(aq_conf_channel(conf, "c"));
	assert_int_equal(conf->find_links.n, 2);
	assert_int_equal(conf->build_timeout, 7);
	assert_int_equal(conf->virtuals.n, 2);
	assert_string_equal(conf->client, "auto");
	assert_int_equal(conf->warnings.n, 1);
	assert_non_null(strstr(conf->warnings.v[0], ":9: unknown key 'no_such'"));
}

static void bad_values_name_their_line(void **state)
{
	(void)state;
	expect_refused("\nbuild_timeout = -1\n", ":2: ");
	expect_refused("cache_dir = rel\n", "absolute");
	expect_refused("cache_dir = /a/../b\n", "absolute");
	expect_refused("cache_dir = /\n", "absolute");
	expect_refused("cache_dir = /a/%x\n", "per cent");
	expect_refused("channels = x\n", "name=URL");
	expect_refused("channels = x=ftp://y\n", "https://");
	expect_refused("channels = x=https://u:p@h/c\n", "credentials");
	expect_refused("channels = x=https://h/t/tok/c\n", "credentials");
	expect_refused("pip_index = https://u:p@h/simple\n", "'pip_index'");
	expect_refused("find_links = /w https://u@h/w\n", "'find_links'");
	expect_refused("credentials = aq.credentials\n", "absolute");
	expect_refused("nonsense\n", "key = value");
	expect_refused("virtual_packages = __cuda\n", "'__cuda' is none of");
	expect_refused("virtual_packages = __cuda=12 __glibc=\n", "'__glibc='");
	expect_refused("virtual_packages = __archspec=zen4\n", "__archspec=1=NAME");
	expect_refused("virtual_packages = __cuda=-x\n", "'__cuda=-x'");
	expect_refused("virtual_packages = __unix=1\n", "'__unix=1'");
	expect_refused("builder_user = a b\n", "account");
}

/* Not even where it is written in the wrong place. */
static void credentials_are_not_quoted(void **state)
{
	static const char *const texts[] = {
		"channels = x=https://anna:hush@h/c\n",
		"channels = https://anna:hush@h/c\n",
		"pip_index = https://anna:hush@h/simple\n",
		"https://anna:hush@h/simple\n",
		"credentials = https://anna:hush@h\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		cleanup_conf struct aq_conf *conf = NULL;
		struct aq_err err = { 0 };

		write_conf(texts[i]);
		assert_int_equal(aq_conf_load(path, "n1", &conf, &err), AQ_USER);
		assert_null(strstr(err.text, "hush"));
	}
}

static void a_proxy_may_have_credentials(void **state)
{
	cleanup_conf struct aq_conf *conf = NULL;

	(void)state;
	write_conf("proxy = http://anna:hush@proxy:3128\n");
	assert_int_equal(aq_conf_load(path, "n1", &conf, NULL), 0);
	assert_string_equal(conf->proxy, "http://anna:hush@proxy:3128");
}

static void a_file_that_others_can_write_is_not_trusted(void **state)
{
	cleanup_conf struct aq_conf *conf = NULL;
	struct aq_err err = { 0 };

	(void)state;
	if (geteuid() != 0)
		skip();
	write_conf("");
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(aq_conf_load(path, NULL, &conf, &err), AQ_SYS);
	assert_non_null(strstr(err.text, "chmod go-w"));
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(chown(path, 1234, 0), 0);
	assert_int_equal(aq_conf_load(path, NULL, &conf, &err), AQ_SYS);
	assert_int_equal(chown(path, 0, 0), 0);
	assert_null(conf);
}

static void a_missing_file_is_named(void **state)
{
	cleanup_conf struct aq_conf *conf = NULL;
	struct aq_err err = { 0 };

	(void)state;
	assert_int_equal(aq_conf_load("/nonexistent/aq.conf", NULL, &conf,
				      &err), AQ_SYS);
	assert_non_null(strstr(err.text, "/nonexistent/aq.conf"));
}

static void a_person_has_directories_of_their_own(void **state)
{
	cleanup_conf struct aq_conf *conf = NULL;
	struct aq_err err = { 0 };

	(void)state;
	write_conf("channels = a=https://x\n");
	setenv("XDG_CACHE_HOME", "/xdg", 1);
	assert_int_equal(aq_conf_load_personal(path, &conf, &err), 0);
	assert_string_equal(conf->cache_dir, "/xdg/slurm-aq");
	assert_string_equal(conf->run_dir, "/xdg/slurm-aq/run");
	assert_int_equal(conf->n_channels, 1);
	aq_conf_free(steal(&conf));
	setenv("XDG_CACHE_HOME", "relative", 1);
	setenv("HOME", "/home/x", 1);
	assert_int_equal(aq_conf_load_personal(path, &conf, &err), 0);
	assert_string_equal(conf->cache_dir, "/home/x/.cache/slurm-aq");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_is_read),
		cmocka_unit_test(bad_values_name_their_line),
		cmocka_unit_test(credentials_are_not_quoted),
		cmocka_unit_test(a_proxy_may_have_credentials),
		cmocka_unit_test(a_file_that_others_can_write_is_not_trusted),
		cmocka_unit_test(a_missing_file_is_named),
		cmocka_unit_test(a_person_has_directories_of_their_own),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
