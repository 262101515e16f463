/* SPDX-License-Identifier: Apache-2.0 */
#include "builder/pylock.h"

#include <string.h>

/* The text between KEY and the next quote, in [at, end). */
static bool string_after(const char *at, const char *end, const char *key,
			 char *ret, size_t size)
{
	const char *p = memmem(at, (size_t)(end - at), key, strlen(key));
	const char *quote;

	if (!p)
		return false;
	p += strlen(key);
	quote = memchr(p, '"', (size_t)(end - p));
	/* a backslash begins an escape (TOML 1.0), which no URL needs */
	if (!quote || (size_t)(quote - p) >= size ||
	    memchr(p, '\\', (size_t)(quote - p)))
		return false;
	memcpy(ret, p, (size_t)(quote - p));
	ret[quote - p] = '\0';
	return true;
}

/* One [[packages]] table, [at, end). */
static int read_package(const char *at, const char *end,
			const struct aq_strv *known, struct aq_str *lines,
			struct aq_err *err)
{
	const char *wheels = memmem(at, (size_t)(end - at), "\nwheels = [", 11);
	char name[256], version[128], url[4096], sha256[80];

	if (!string_after(at, end, "\nname = \"", name, sizeof(name)) ||
	    !string_after(at, end, "\nversion = \"", version, sizeof(version)))
		return aq_fail(err, AQ_CORRUPT, "a package of the pylock has no name or version");
	if (known && aq_strv_has(known, name))
		return 0;
	if (!wheels || !string_after(wheels, end, "url = \"", url, sizeof(url)) ||
	    !string_after(wheels, end, "sha256 = \"", sha256, sizeof(sha256)))
		return aq_fail(err, AQ_USER,
			       "'%s' %s has no wheel with a hash for this platform, and sources are not built here: ask for another version",
			       name, version);
	aq_str_add_fmt(lines, "wheel %s %s %s %s\n", url, sha256, name,
		       version);
	return 0;
}

int pylock_read(const char *text, const struct aq_strv *known,
		struct aq_str *lines, struct aq_err *err)
{
	static const char head[] = "[[packages]]\n";
	const char *at = strstr(text, head);
	int rc = 0;

	if (!strstr(text, "lock-version = "))
		return aq_fail(err, AQ_CORRUPT, "this is no pylock");
	while (at && !rc) {
		const char *next = strstr(at + 1, head);

		rc = read_package(at, next ? next : at + strlen(at), known,
				  lines, err);
		at = next;
	}
	return rc;
}

void pylock_write(const struct aq_lock *lock, struct aq_str *out)
{
	aq_str_add(out, "lock-version = \"1.0\"\ncreated-by = \"slurm-aq\"\n");
	for (size_t i = 0; i < lock->n_items; i++) {
		const struct aq_lock_item *w = &lock->items[i];

		if (w->kind == AQ_LOCK_WHEEL)
			aq_str_add_fmt(out, "\n[[packages]]\nname = \"%s\"\n"
				       "version = \"%s\"\nwheels = [{ url = \"%s\", "
				       "hashes = { sha256 = \"%s\" } }]\n",
				       w->name, w->version, w->url, w->sha256);
	}
}
