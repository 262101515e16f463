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
	/* a backslash begins an escape (TOML 1.0), which no URL needs; and what has
	 * a newline in it would be two lines of ours
	 */
	if (!quote || (size_t)(quote - p) >= size ||
	    memchr(p, '\\', (size_t)(quote - p)) ||
	    memchr(p, '\n', (size_t)(quote - p)))
		return false;
	memcpy(ret, p, (size_t)(quote - p));
	ret[quote - p] = '\0';
	return true;
}

/* One [[packages]] table, [at, end), and what it is of. */
struct package {
	const char *at, *end;
	char name[256], version[128];
};

/* The inline table (TOML 1.0) behind KEY, up to its line's end; NULL: it has none. */
static const char *table(const struct package *p, const char *key,
			 const char **ret_end)
{
	const char *at = memmem(p->at, (size_t)(p->end - p->at), key,
				strlen(key));
	const char *newline;

	if (!at)
		return NULL;
	at += strlen(key);
	newline = memchr(at, '\n', (size_t)(p->end - at));
	*ret_end = newline ? newline : p->end;
	return at;
}

static int corrupt(const struct package *p, struct aq_err *err)
{
	return aq_fail(err, AQ_CORRUPT, "the pylock's entry of '%s' is damaged",
		       p->name);
}

static int read_vcs(const struct package *p, const char *at, const char *end,
		    struct aq_str *lines, struct aq_err *err)
{
	char url[4096], commit[80], sub[1024] = "";

	if (!string_after(at, end, "type = \"", sub, sizeof(sub)) ||
	    strcmp(sub, "git") != 0 ||
	    !string_after(at, end, "url = \"", url, sizeof(url)) ||
	    !string_after(at, end, "commit-id = \"", commit, sizeof(commit)))
		return corrupt(p, err);
	sub[0] = '\0';
	(void)string_after(at, end, "subdirectory = \"", sub, sizeof(sub));
	aq_str_add_fmt(lines, "vcs git+%s@%s%s%s %s %s %s\n", url, commit,
		       *sub ? "#subdirectory=" : "", sub, commit, p->name,
		       p->version);
	return 0;
}

/* An archive, or one of a list of them. */
static bool read_file(const struct package *p, const char *at, const char *end,
		      const char *kind, struct aq_str *lines)
{
	char url[4096], sha256[80];
	bool is_path = !string_after(at, end, "url = \"", url, sizeof(url));

	if ((is_path && !string_after(at, end, "path = \"", url, sizeof(url))) ||
	    !string_after(at, end, "sha256 = \"", sha256, sizeof(sha256)))
		return false;
	aq_str_add_fmt(lines, "%s %s%s %s %s %s\n", kind,
		       is_path ? "file://" : "", url, sha256, p->name,
		       p->version);
	return true;
}

static int refuse(const struct package *p, bool has_source, struct aq_err *err)
{
	return aq_fail(err, AQ_USER,
		       "'%s' %s has no wheel with a hash for this platform, and sources are not built here: ask for another version%s%s%s",
		       p->name, p->version,
		       has_source ? ", or, if the site builds from source for its users, add '--no-binary " : "",
		       has_source ? p->name : "", has_source ? "'" : "");
}

static int read_package(const struct package *p, const struct aq_strv *sources,
			struct aq_str *lines, struct aq_err *err)
{
	const char *wheels = memmem(p->at, (size_t)(p->end - p->at),
				    "\nwheels = [", 11);
	const char *at, *end, *source;

	at = table(p, "\nvcs = {", &end);
	if (at)
		return read_vcs(p, at, end, lines, err);
	at = table(p, "\narchive = {", &end);
	if (at && read_file(p, at, end, "wheel", lines))
		return 0;
	if (wheels && read_file(p, wheels, p->end, "wheel", lines))
		return 0;
	source = table(p, "\nsdist = {", &end);
	if (source && !wheels && sources && aq_strv_has(sources, p->name) &&
	    read_file(p, source, end, "source", lines))
		return 0;
	return refuse(p, source, err);
}

static int read_named(const char *at, const char *end,
		      const struct aq_strv *known,
		      const struct aq_strv *sources, struct aq_str *lines,
		      struct aq_err *err)
{
	struct package p = { .at = at, .end = end };

	if (!string_after(at, end, "\nname = \"", p.name, sizeof(p.name)) ||
	    !string_after(at, end, "\nversion = \"", p.version,
			  sizeof(p.version)))
		return aq_fail(err, AQ_CORRUPT, "a package of the pylock has no name or version");
	return known && aq_strv_has(known, p.name) ?
		0 : read_package(&p, sources, lines, err);
}

int pylock_read(const char *text, const struct aq_strv *known,
		const struct aq_strv *sources, struct aq_str *lines,
		struct aq_err *err)
{
	static const char head[] = "[[packages]]\n";
	const char *at = strstr(text, head);
	int rc = 0;

	if (!strstr(text, "lock-version = "))
		return aq_fail(err, AQ_CORRUPT, "this is no pylock");
	while (at && !rc) {
		const char *next = strstr(at + 1, head);

		rc = read_named(at, next ? next : at + strlen(at), known,
				sources, lines, err);
		at = next;
	}
	return rc;
}

/* "git+URL@COMMIT#subdirectory=PATH" */
static void write_vcs(const struct aq_lock_item *w, struct aq_str *out)
{
	size_t len = strcspn(w->url, "#");
	const char *url = w->url + strlen("git+");
	const char *sub = w->url[len] ? strchr(w->url + len, '=') + 1 : NULL;

	len -= strlen("git+") + 1 + strlen(w->sha256);
	aq_str_add_fmt(out, "vcs = { type = \"git\", url = \"%.*s\", ", (int)len,
		       url);
	if (sub)
		aq_str_add_fmt(out, "subdirectory = \"%s\", ", sub);
	aq_str_add_fmt(out, "commit-id = \"%s\" }\n", w->sha256);
}

static void write_file(const struct aq_lock_item *w,
		       const struct pylock_files *files,
		       struct aq_str *out)
{
	bool is_wheel = w->kind == AQ_LOCK_WHEEL;
	char path[PYLOCK_PATH_SIZE], name[PYLOCK_NAME_SIZE];

	if (is_wheel && files && files->find(w, path, name, files->arg)) {
		aq_str_add_fmt(out, "wheels = [{ name = \"%s\", path = \"%s\", hashes = { sha256 = \"%s\" } }]\n",
			       name, path, w->sha256);
		return;
	}
	aq_str_add_fmt(out, "%s{ url = \"%s\", hashes = { sha256 = \"%s\" } }%s\n",
		       is_wheel ? "wheels = [" : "sdist = ", w->url, w->sha256,
		       is_wheel ? "]" : "");
}

void pylock_write(const struct aq_lock *lock, const struct pylock_files *files,
		  struct aq_str *out)
{
	aq_str_add(out, "lock-version = \"1.0\"\ncreated-by = \"slurm-aq\"\n");
	for (size_t i = 0; i < lock->n_items; i++) {
		const struct aq_lock_item *w = &lock->items[i];

		if (w->kind == AQ_LOCK_CONDA)
			continue;
		aq_str_add_fmt(out, "\n[[packages]]\nname = \"%s\"\n"
			       "version = \"%s\"\n", w->name, w->version);
		if (w->kind == AQ_LOCK_VCS)
			write_vcs(w, out);
		else
			write_file(w, files, out);
	}
}
