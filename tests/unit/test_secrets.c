/* SPDX-License-Identifier: Apache-2.0 */
/* builder/secrets.c: what a program says of a server that refuses it. */
#include "tests/unit/unit.h"

#include <string.h>

#include "builder/builder.h"
#include "builder/run.h"
#include "builder/secrets.h"

/* What a build is told whose program has said 'said'; "": that was something else. */
static const char *judge(const char *said)
{
	static struct aq_err err;
	static char no_file[] = "";
	struct aq_conf conf = { .credentials = no_file };
	struct build b = { .conf = &conf };
	struct command cmd = { .errors = AQ_STR_INIT(4096),
			       .secrets.hosts = AQ_STRV_INIT(4) };
	int rc;

	err.text[0] = '\0';
	aq_str_add(&cmd.errors, said);
	aq_strv_add(&cmd.secrets.hosts, "127.0.0.6");
	rc = secrets_judge(&b, &cmd, &err);
	assert_int_equal(rc, *err.text ? AQ_SYS : 0);
	aq_str_free(&cmd.errors);
	aq_strv_free(&cmd.secrets.hosts);
	return err.text;
}

static void a_status_is_found_wherever_it_stands(void **state)
{
	static const char wants[] = "'127.0.0.6' wants credentials";

	(void)state;
	assert_non_null(strstr(judge("An index URL (http://127.0.0.6:8080/simple) could "
				     "not be queried (401 Unauthorized)\n"), wants));
	/* behind a port with the same digits */
	assert_non_null(strstr(judge("An index URL (http://127.0.0.6:42401/simple) could "
				     "not be queried (401 Unauthorized)\n"), wants));
	assert_non_null(strstr(judge("error: 401: http://127.0.0.6/401.whl\n"), wants));
	assert_string_equal(judge("error: http://127.0.0.6:42401/simple is not there\n"), "");
	assert_string_equal(judge("401 packages\n"), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_status_is_found_wherever_it_stands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
