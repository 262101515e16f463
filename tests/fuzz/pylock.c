/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as what uv writes: pylock.toml (PEP 751).  The names behind byte 0xff
 * are known already, and those behind the next may be built from source.  What
 * comes of it is refused by the lock, or a lock.
 */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "builder/pylock.h"
#include "common/lock.h"

const char fuzz_name[] = "pylock";

#define MARK ((char)0xff)
#define FIELDS 5 /* KIND URL SHA256 NAME VERSION */
/* A package's entry has more text than its line, but for "git+" and "file://". */
#define LINES_MAX(len) (2 * (len) + 64)

/* One line as a package of 'lock', or what that says is wrong with it. */
static int take_line(struct aq_lock *lock, char *line,
		     const struct aq_strv *known, const struct aq_strv *sources)
{
	char *f[FIELDS] = { 0 }, *rest = line;
	struct aq_err err = { 0 };
	size_t n = 0;

	for (; rest && n < FIELDS; n++)
		f[n] = strsep(&rest, " ");
	fuzz_check_text(strcmp(f[0], "wheel") == 0 ||
			strcmp(f[0], "source") == 0 || strcmp(f[0], "vcs") == 0,
			line);
	if (n < FIELDS || rest)
		return AQ_CORRUPT;
	fuzz_check_text(!aq_strv_has(known, f[3]), f[3]);
	fuzz_check_text(f[0][0] != 's' || aq_strv_has(sources, f[3]), f[3]);
	for (int k = AQ_LOCK_WHEEL; k <= AQ_LOCK_VCS; k++)
		if (strcmp(f[0], aq_lock_kind_name((enum aq_lock_kind)k)) == 0)
			return aq_lock_add(lock, (enum aq_lock_kind)k, f[1],
					   f[2], f[3], f[4], NULL, &err);
	return AQ_CORRUPT;
}

static void check_lines(char *lines, const struct aq_strv *known,
			const struct aq_strv *sources)
{
	cleanup_lock struct aq_lock *lock = NULL, *again = NULL;
	struct aq_err err = { 0 };
	char *save = NULL;

	fuzz_check(!aq_lock_new("linux-64", &lock, &err));
	for (char *line = strtok_r(lines, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		if (take_line(lock, line, known, sources))
			return;
	if (aq_lock_finish(lock, &err))
		fuzz_check_text(err.class == AQ_CORRUPT, err.text);
	else
		fuzz_check_text(!aq_lock_parse(lock->text, lock->text_len,
					       &again, &err), lock->text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = fuzz_input(data, size);
	cleanup_free char *text = fuzz_piece(&in, MARK, NULL);
	cleanup_strv struct aq_strv known = AQ_STRV_INIT(size);
	cleanup_strv struct aq_strv sources = AQ_STRV_INIT(size);
	cleanup_str struct aq_str lines = AQ_STR_INIT(LINES_MAX(size));
	struct aq_err err = { 0 };
	int rc;

	fuzz_lines(&in, MARK, &known);
	fuzz_lines(&in, MARK, &sources);
	rc = pylock_read(text, &known, &sources, &lines, &err);
	fuzz_check(!lines.broken);
	fuzz_check_text(rc == 0 || rc == AQ_USER || rc == AQ_CORRUPT, err.text);
	if (!rc)
		check_lines(lines.s ? lines.s : (char[]){ "" }, &known, &sources);
	return 0;
}
