/* SPDX-License-Identifier: Apache-2.0 */
#include "builder/known.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/io.h"

#define ENTRY_MAX 8192     /* a URL and some words */
#define CONTEXT_DIGITS 16  /* of its SHA-256: two of one node never meet */

static int open_dir(const struct build *b, bool is_made, int *ret)
{
	char path[BUILD_PATH_MAX], digest[AQ_SHA256_HEX_SIZE];

	if (aq_sha256(b->context, strlen(b->context), digest, NULL) != 0)
		return AQ_SYS;
	snprintf(path, sizeof(path), "%s/known", b->work);
	if (is_made && mkdir(path, 0700) < 0 && errno != EEXIST)
		return AQ_SYS;
	snprintf(path, sizeof(path), "%s/known/%.*s", b->work, CONTEXT_DIGITS,
		 digest);
	if (is_made && mkdir(path, 0700) < 0 && errno != EEXIST)
		return AQ_SYS;
	return aq_open_dir(AT_FDCWD, path, ret, NULL);
}

/* Whether 'pin' is a file's name, and one that is no path. */
static bool is_pin(const char *pin, size_t len)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "-_.+!=";

	return len && len < 200 && *pin != '.' && strspn(pin, plain) >= len &&
	       memmem(pin, len, "==", 2);
}

/* "file INODE SIZE TIME\n" of a URL's file; nothing for others.  False: it
 * cannot be said.
 */
static bool add_stamp(const char *url, struct aq_str *out)
{
	const char *path = url + strlen("file://");
	struct stat st;

	if (!aq_starts_with(url, "file://"))
		return true;
	if (strchr(path, '%') || stat(path, &st) < 0)
		return false;
	aq_str_add_fmt(out, "file %" PRIu64 " %" PRIu64 " %" PRIu64 ".%09ld\n",
		       (uint64_t)st.st_ino, (uint64_t)st.st_size,
		       (uint64_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	return true;
}

/* The entry's line, if its file is as it was. */
static bool take_entry(const char *text, struct aq_str *lines)
{
	cleanup_str struct aq_str now = AQ_STR_INIT(ENTRY_MAX);
	const char *line = strstr(text, "wheel ");
	char url[4097];

	if (!line || sscanf(line, "wheel %4096s", url) != 1 ||
	    !add_stamp(url, &now) ||
	    strncmp(text, aq_str_get(&now), (size_t)(line - text)) != 0 ||
	    now.len != (size_t)(line - text))
		return false;
	aq_str_add(lines, line);
	return true;
}

static bool find_one(int dir, const char *pin, size_t len,
		     struct aq_str *lines)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(ENTRY_MAX);
	char name[256];

	if (!is_pin(pin, len))
		return false;
	snprintf(name, sizeof(name), "%.*s", (int)len, pin);
	return aq_read_file(dir, name, &text, NULL) == 0 &&
	       take_entry(aq_str_get(&text), lines);
}

static bool is_in(const struct aq_strv *base, const char *pin)
{
	cleanup_free char *name = strndup(pin, strcspn(pin, "="));

	return name && aq_strv_has(base, name);
}

bool known_find(const struct build *b, const char *pins,
		const struct aq_strv *base, struct aq_str *lines)
{
	cleanup_str struct aq_str found = AQ_STR_INIT(lines->max);
	cleanup_close int dir = -1;

	if (open_dir(b, false, &dir) != 0)
		return false;
	for (const char *p = pins; *p; p = aq_next_line(p)) {
		size_t len = strcspn(p, " \n");

		if (len && *p != '#' && *p != ' ' && !is_in(base, p) &&
		    !find_one(dir, p, len, &found))
			return false;
	}
	aq_str_add_mem(lines, aq_str_get(&found), found.len);
	return !found.broken;
}

static void note_one(int dir, const char *line)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(ENTRY_MAX);
	char url[4097], name[128], version[64], pin[256];

	if (sscanf(line, "wheel %4096s %*s %127s %63s", url, name, version) != 3)
		return;
	snprintf(pin, sizeof(pin), "%s==%s", name, version);
	if (!is_pin(pin, strlen(pin)) || !add_stamp(url, &text))
		return;
	aq_str_add_mem(&text, line, strcspn(line, "\n"));
	aq_str_add_char(&text, '\n');
	if (!text.broken &&
	    aq_write_file(dir, pin, aq_str_get(&text), text.len, NULL) != 0)
		(void)unlinkat(dir, pin, 0);
}

void known_note(const struct build *b, const char *lines)
{
	cleanup_close int dir = -1;

	if (open_dir(b, true, &dir) != 0)
		return;
	for (const char *p = lines; *p; p = aq_next_line(p))
		note_one(dir, p);
}
