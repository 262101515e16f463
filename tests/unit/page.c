/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/page.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "tests/unit/unit.h"

char *page_read(const char *name)
{
	cleanup_str struct aq_str path = AQ_STR_INIT(4096);
	cleanup_str struct aq_str text = AQ_STR_INIT(1024 * 1024);
	const char *top = getenv("AQ_SRCDIR");

	aq_str_add_fmt(&path, "%s/%s", top ? top : ".", name);
	assert_int_equal(aq_read_file(AT_FDCWD, aq_str_get(&path), &text, NULL),
			 0);
	return strdup(aq_str_get(&text));
}

size_t page_count(const char *text, const char *what)
{
	size_t n = 0;

	while ((text = strstr(text, what))) {
		n++;
		text += strlen(what);
	}
	return n;
}
