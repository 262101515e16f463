/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cli/cli.h"
#include "cli/term.h"

/* "FILE:LINE:COLUMN: ", as compilers write it. */
static bool has_place(const char *line, size_t len)
{
	for (const char *p = line; (p = memchr(p, ':', len - (size_t)(p - line)));
	     p++) {
		size_t a = strspn(p + 1, "0123456789");
		size_t b = a && p[1 + a] == ':' ?
				   strspn(p + 2 + a, "0123456789") : 0;

		if (b && p[2 + a + b] == ':')
			return true;
	}
	return false;
}

int cli_fail(const struct aq_err *err)
{
	const char *text = err->text[0] ? err->text : "failed without a word";

	while (*text) {
		size_t len = strcspn(text, "\n");
		cleanup_free char *line = strndup(text, len);

		if (!has_place(text, len))
			term_print_in(stderr, TERM_RED, "aq: ");
		term_print(stderr, line ? line : "out of memory");
		fputc('\n', stderr);
		text += len;
		text += strspn(text, "\n");
	}
	switch (err->class) {
	case AQ_USER:
		return CLI_INPUT;
	case AQ_MISS:
		return CLI_NOT_FOUND;
	case AQ_OK:
	case AQ_BUSY:
	case AQ_SYS:
	case AQ_CORRUPT:
		break;
	}
	return CLI_SYSTEM;
}

int cli_read_request(const struct cli *cli, const char *path,
		     struct aq_request **ret, struct aq_strv *warnings)
{
	struct aq_err err = { 0 };
	int rc = aq_request_read(path, cli->conf, ret, warnings, &err);

	for (size_t i = 0; i < warnings->n; i++) {
		term_print_in(stderr, TERM_YELLOW, "warning: ");
		term_print(stderr, warnings->v[i]);
		fputc('\n', stderr);
	}
	if (!rc && cli->is_isolated)
		rc = aq_request_isolate(*ret, &err);
	return rc ? cli_fail(&err) : CLI_OK;
}
