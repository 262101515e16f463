/* SPDX-License-Identifier: Apache-2.0 */
/* aq.conf(5) and the example say of every key what the table says, and of no other. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/conf_table.h"
#include "common/io.h"
#include "tests/unit/page.h"

static const char *shown_default(const struct aq_conf_key *key)
{
	return *key->initial ? key->initial : "none";
}

static void manual_has_each_key_with_its_default(void **state)
{
	cleanup_free char *text = page_read("docs/man/aq.conf.5");
	char *end, item[128];
	char *keys = strstr(text, ".Sh KEYS");

	(void)state;
	assert_non_null(keys);
	end = strstr(keys, "\n.El");
	assert_non_null(end);
	*end = '\0';
	assert_int_equal(page_count(keys, "\n.It Ic "), aq_conf_n_keys);
	for (size_t i = 0; i < aq_conf_n_keys; i++) {
		const struct aq_conf_key *key = &aq_conf_keys[i];
		cleanup_free char *part = NULL;
		const char *at, *next;

		snprintf(item, sizeof(item), "\n.It Ic %s No = ", key->name);
		at = strstr(keys, item);
		if (!at) {
			fail_msg("aq.conf(5) lacks '%s'", key->name);
			return; /* gcc does not know that it never gets here */
		}
		next = strstr(at + 1, "\n.It ");
		part = next ? strndup(at, (size_t)(next - at)) : strdup(at);
		snprintf(item, sizeof(item), "\nDefault:\n.Li %s",
			 shown_default(key));
		if (!aq_ends_with(part, item))
			fail_msg("aq.conf(5): the default of '%s' is '%s'",
				 key->name, shown_default(key));
	}
}

static void example_has_each_key_and_is_read(void **state)
{
	cleanup_free char *text = page_read("packaging/aq.conf");
	cleanup_conf struct aq_conf *conf = NULL;
	char path[] = "/tmp/aq-test-conf-XXXXXX", line[256];
	struct aq_err err = { 0 };
	int fd = mkstemp(path);

	(void)state;
	for (size_t i = 0; i < aq_conf_n_keys; i++) {
		const struct aq_conf_key *key = &aq_conf_keys[i];

		snprintf(line, sizeof(line), "\n#%s =%s%s\n", key->name,
			 *key->initial ? " " : "", key->initial);
		if (*key->initial && !strstr(text, line))
			fail_msg("packaging/aq.conf lacks the line '%s'", line);
		snprintf(line, sizeof(line), "\n#%s = ", key->name);
		if (!strstr(text, line))
			fail_msg("packaging/aq.conf lacks '%s'", key->name);
	}
	/* with every line of it in force */
	for (char *p = text; (p = strstr(p, "\n#")); p++)
		if (p[2] != ' ' && p[2] != '\n')
			p[1] = ' ';
	assert_true(fd >= 0);
	assert_int_equal(aq_write_all(fd, text, strlen(text), NULL), 0);
	close(fd);
	if (aq_conf_load(path, "n1", &conf, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(conf->warnings.n, 0);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(manual_has_each_key_with_its_default),
		cmocka_unit_test(example_has_each_key_and_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
