/* SPDX-License-Identifier: Apache-2.0 */
/* The administrator's file of credentials, and URLs. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/credentials.h"
#include "common/url.h"

#define SECRET "hush-9x!%40"

static struct aq_credentials *parse(const char *text)
{
	struct aq_credentials *c = NULL;
	struct aq_err err = { 0 };

	if (aq_credentials_parse(text, "F", &c, &err) != 0)
		fail_msg("%s", err.text);
	return c;
}

/* Never with what stands in the file. */
static void expect_wrong(const char *text, const char *why)
{
	cleanup_credentials struct aq_credentials *c = NULL;
	struct aq_err err = { 0 };

	assert_int_equal(aq_credentials_parse(text, "F", &c, &err), AQ_SYS);
	assert_null(c);
	if (!strstr(err.text, why))
		fail_msg("expected '%s' in '%s'", why, err.text);
	assert_null(strstr(err.text, "hush"));
	assert_true(aq_starts_with(err.text, "F:"));
}

static void entries_are_read(void **state)
{
	cleanup_credentials struct aq_credentials *c = parse(
		"# of the site\n\n"
		"machine Conda.Example.org login anna password " SECRET "\r\n"
		"machine b.example\n\tlogin\tbob\n password hush-hush\n"
		"  # another comment\n"
		"machine t.example account bearer password tok-hush");
	const struct aq_credential *found;

	(void)state;
	assert_int_equal(c->n, 3);
	found = aq_credentials_find(c, "CONDA.example.org");
	assert_non_null(found);
	assert_string_equal(found->host, "conda.example.org");
	assert_string_equal(found->login, "anna");
	assert_string_equal(found->secret, SECRET);
	assert_int_equal(found->line, 3);
	assert_null(aq_credentials_find(c, "t.example")->login);
	assert_null(aq_credentials_find(c, "example.org"));
	assert_null(aq_credentials_find(c, ""));
}

static void an_empty_file_has_none(void **state)
{
	cleanup_credentials struct aq_credentials *c = parse("\n# nothing\n");

	(void)state;
	assert_int_equal(c->n, 0);
}

static void what_is_wrong_is_named_with_its_line(void **state)
{
	static const struct {
		const char *text, *why;
	} wrong[] = {
		{ "machine a login x\n", "F:1: this machine has no password" },
		{ "\nmachine a password hush-hush\n", "F:2: this machine has no login" },
		{ "machine a login x password hush-hush account bearer",
		  "both a login" },
		{ "machine a account hush password hush-hush", "'account' takes" },
		{ "login x password hush-hush\n", "F:1: 'machine HOST' must" },
		{ "password hush-hush\n", "F:1: 'machine HOST' must" },
		{ "account bearer\n", "F:1: 'account' takes" },
		{ "machine a login x password hush\n", "fewer than 8" },
		{ "machine a login x password hush-hush login y", "twice" },
		{ "machine a login x password hush-hush password hush-hush2",
		  "twice" },
		{ "machine a login x password hush-hush\nmachine A login y password hush-hush",
		  "F:2: this host has an entry" },
		{ "default login x password hush-hush\n", "name each host" },
		{ "macdef init\n", "name each host" },
		{ "machine a login x password\nhush-hush", "F:1: the line ends" },
		{ "machine a login x password hush-hush hush-word", "none of" },
		{ "hush-hush\n", "none of" },
		{ "machine https://a/ login x password hush-hush", "without https" },
		{ "machine a:8080 login x password hush-hush", "without a port" },
		{ "machine a$b login x password hush-hush", "a host's name" },
		{ "machine a login x password \"hush-hush\"", "quotes" },
		{ "machine a login x password hush\\hush", "quotes" },
		{ "machine a login x password #hush-hush", "quotes" },
		{ "machine a login x password hush-h\xc3\xbcsh", "printable" },
		{ "machine a login h\x01sh password hush-hush", "printable" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		expect_wrong(wrong[i].text, wrong[i].why);
}

static void too_much_is_refused(void **state)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(1 << 20);

	(void)state;
	for (int i = 0; i < 300; i++)
		aq_str_add_fmt(&text, "machine h%d login x password hush-hush\n", i);
	{
		cleanup_credentials struct aq_credentials *c = NULL;

		assert_int_equal(aq_credentials_parse(text.s, "F", &c, NULL),
				 AQ_SYS);
	}
	aq_str_truncate(&text, 0);
	aq_str_add(&text, "machine a login x password ");
	for (int i = 0; i < 2000; i++)
		aq_str_add(&text, "hush");
	expect_wrong(text.s, "too long");
}

static void clients_get_what_they_read(void **state)
{
	cleanup_credentials struct aq_credentials *c = parse(
		"machine a login anna password " SECRET "\n"
		"machine b account bearer password tok-hush\n");
	cleanup_str struct aq_str out = AQ_STR_INIT(4096);
	cleanup_strv struct aq_strv forms = AQ_STRV_INIT(16);

	(void)state;
	aq_credential_netrc(&c->v[0], &out);
	assert_string_equal(out.s, "machine a login anna password " SECRET "\n");
	aq_str_truncate(&out, 0);
	aq_credential_rattler(&c->v[0], &out);
	assert_string_equal(out.s, "\"a\": {\"BasicHTTP\": {\"username\": \"anna\", "
				   "\"password\": \"" SECRET "\"}}");
	aq_str_truncate(&out, 0);
	aq_credential_rattler(&c->v[1], &out);
	assert_string_equal(out.s, "\"b\": {\"BearerToken\": \"tok-hush\"}");
	aq_credential_forms(&c->v[0], &forms);
	assert_true(aq_strv_has(&forms, SECRET));
	assert_true(aq_strv_has(&forms, "hush-9x%21%2540"));
	/* printf %s 'anna:hush-9x!%40' | base64 */
	assert_true(aq_strv_has(&forms, "YW5uYTpodXNoLTl4ISU0MA=="));
	aq_credential_forms(&c->v[1], &forms);
	assert_true(aq_strv_has(&forms, "tok-hush"));
}

static void base64_of_every_length(void **state)
{
	/* RFC 4648, 10: of "a:" and these */
	static const char *const want[] = { "YTpmb29iYXJmbw==",
					    "YTpmb29iYXJmb28=",
					    "YTpmb29iYXJmb29i" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		cleanup_strv struct aq_strv forms = AQ_STRV_INIT(16);
		cleanup_credentials struct aq_credentials *c = NULL;
		char text[128];

		snprintf(text, sizeof(text), "machine h login a password %.*s",
			 (int)(8 + i), "foobarfoob");
		c = parse(text);
		aq_credential_forms(&c->v[0], &forms);
		assert_true(aq_strv_has(&forms, want[i]));
	}
}

static void the_file_is_roots_alone(void **state)
{
	char path[] = "/tmp/aq-test-credentials-XXXXXX";
	struct aq_conf conf = { .credentials = path };
	cleanup_credentials struct aq_credentials *c = NULL;
	struct aq_err err = { 0 };
	int fd = mkstemp(path);
	static const char text[] = "machine a login x password hush-hush\n";

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, 0640), 0);
	if (geteuid() != 0) {
		unlink(path);
		skip();
	}
	assert_int_equal(aq_credentials_load(&conf, &c, &err), AQ_SYS);
	assert_non_null(strstr(err.text, "chmod 600"));
	assert_int_equal(fchmod(fd, 0600), 0);
	assert_int_equal(fchown(fd, 1234, 0), 0);
	assert_int_equal(aq_credentials_load(&conf, &c, &err), AQ_SYS);
	assert_non_null(strstr(err.text, "chown root"));
	assert_null(c);
	assert_int_equal(fchown(fd, 0, 0), 0);
	assert_int_equal(aq_credentials_load(&conf, &c, &err), 0);
	assert_int_equal(c->n, 1);
	unlink(path);
	close(fd);
	aq_credentials_free(steal(&c));
	assert_int_equal(aq_credentials_load(&conf, &c, &err), AQ_SYS);
	assert_null(c);
	*path = '\0';
	assert_int_equal(aq_credentials_load(&conf, &c, &err), 0);
	assert_int_equal(c->n, 0);
}

static void expect_host(const char *url, const char *want, const char *port)
{
	char host[64] = "", got[8] = "";

	assert_true(aq_url_host(url, host, sizeof(host), got));
	assert_string_equal(host, want);
	assert_string_equal(got, port);
}

static void hosts_of_urls(void **state)
{
	char host[16], port[8];

	(void)state;
	expect_host("https://conda.example.org/conda-forge",
		    "conda.example.org", "443");
	expect_host("http://proxy:3128", "proxy", "3128");
	expect_host("http://user:secret@proxy.example.org:3128/", "proxy.example.org",
		    "3128");
	expect_host("http://[::1]:8080/x", "::1", "8080");
	expect_host("https://h?x@y", "h", "443");
	assert_false(aq_url_host("file:///srv", host, sizeof(host), port));
	assert_false(aq_url_host("https://", host, sizeof(host), port));
	assert_false(aq_url_host("https://[::1", host, sizeof(host), port));
	assert_false(aq_url_host("https://h:123456789", host, sizeof(host), port));
	assert_false(aq_url_host("https://0123456789abcdef", host, 16, port));
}

static void urls_with_secrets(void **state)
{
	static const char *const with[] = { "https://u:p@h/", "http://u@h",
					    "https://h/t/abc/conda",
					    "https://h/x/t/-/", "ftp://u:p@h" };
	static const char *const without[] = { "https://h/@x", "https://h?a@b",
					       "https://h/t//x", "/t/abc",
					       "file:///t/abc", "https://h/tt/a",
					       "", "https://h/t/" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(with); i++)
		if (!aq_url_has_secret(with[i]))
			fail_msg("'%s' has none", with[i]);
	for (size_t i = 0; i < ARRAY_LEN(without); i++)
		if (aq_url_has_secret(without[i]))
			fail_msg("'%s' has one", without[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_are_read),
		cmocka_unit_test(an_empty_file_has_none),
		cmocka_unit_test(what_is_wrong_is_named_with_its_line),
		cmocka_unit_test(too_much_is_refused),
		cmocka_unit_test(clients_get_what_they_read),
		cmocka_unit_test(base64_of_every_length),
		cmocka_unit_test(the_file_is_roots_alone),
		cmocka_unit_test(hosts_of_urls),
		cmocka_unit_test(urls_with_secrets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
