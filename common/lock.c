/* SPDX-License-Identifier: Apache-2.0 */
#include "common/lock.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/direct.h"
#include "common/grow.h"
#include "common/url.h"

#define LOCK_VERSION "aq-lock 1"
#define WORD_MAX 4096 /* bytes of a URL */
#define FIELDS_MAX 6

int aq_lock_new(const char *platform, struct aq_lock **ret, struct aq_err *err)
{
	cleanup_lock struct aq_lock *lock = calloc(1, sizeof(*lock));

	if (!lock)
		return aq_fail(err, AQ_SYS, "out of memory for a lock");
	lock->virtuals.max = AQ_LOCK_ITEMS_MAX;
	lock->platform = strdup(platform);
	if (!lock->platform)
		return aq_fail(err, AQ_SYS, "out of memory for a lock");
	*ret = steal(&lock);
	return 0;
}

static void free_item(struct aq_lock_item *item)
{
	free(item->name);
	free(item->version);
	free(item->build);
	free(item->url);
}

void aq_lock_free(struct aq_lock *lock)
{
	if (!lock)
		return;
	for (size_t i = 0; i < lock->n_items; i++)
		free_item(&lock->items[i]);
	free(lock->items);
	aq_strv_free(&lock->virtuals);
	free(lock->platform);
	free(lock->python);
	free(lock->text);
	free(lock);
}

/* A field of a line: printable ASCII without a space, as in any URL; and without
 * what ends a string, or escapes in one, where clients read it (pylock.toml).
 */
static bool is_word(const char *text)
{
	size_t len = strlen(text);

	if (!len || len > WORD_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~' || text[i] == '"' ||
		    text[i] == '\\')
			return false;
	return true;
}

/* Of a place that can be fetched from. */
static bool is_url(const char *url)
{
	return is_word(url) && (aq_starts_with(url, "file:///") ||
				aq_starts_with(url, "https://") ||
				aq_starts_with(url, "http://"));
}

/* A commit's: SHA-1, or where a repository has it SHA-256. */
static bool is_commit(const char *text)
{
	return aq_is_hex(text, 40) || aq_is_hex(text, 64);
}

/* "git+URL@COMMIT", that very one. */
static bool is_vcs(const char *url, const char *commit)
{
	cleanup_str struct aq_str judged = AQ_STR_INIT(WORD_MAX);
	size_t len = strcspn(url, "#"), n = strlen(commit);

	return aq_starts_with(url, "git+") &&
	       aq_direct_url(url, strlen(url), &judged, NULL) == 0 &&
	       len > n && url[len - n - 1] == '@' &&
	       memcmp(url + len - n, commit, n) == 0;
}

const char *aq_lock_kind_name(enum aq_lock_kind kind)
{
	static const char *const names[] = {
		[AQ_LOCK_CONDA] = "conda",
		[AQ_LOCK_WHEEL] = "wheel",
		[AQ_LOCK_SOURCE] = "source",
		[AQ_LOCK_VCS] = "vcs",
	};

	return names[kind];
}

/* conda's names and PEP 508's; nothing that looks like an option or a path. */
static bool is_name(const char *text)
{
	static const char others[] = "._-";

	if (!is_word(text) || *text == '.' || *text == '-')
		return false;
	for (; *text; text++)
		if (!isalnum((unsigned char)*text) && !strchr(others, *text))
			return false;
	return true;
}

/* A virtual package, its version, its build: "__archspec 1 x86_64". */
static bool is_virtual(const char *text)
{
	size_t len = strlen(text);

	if (!aq_starts_with(text, "__") || len > WORD_MAX ||
	    text[len - 1] == ' ' || strstr(text, "  "))
		return false;
	for (const char *p = text; *p; p++)
		if (*p < ' ' || *p > '~')
			return false;
	return true;
}

int aq_lock_add(struct aq_lock *lock, enum aq_lock_kind kind, const char *url,
		const char *sha256, const char *name, const char *version,
		const char *build, struct aq_err *err)
{
	struct aq_lock_item item = { .kind = kind };

	if (lock->n_items >= AQ_LOCK_ITEMS_MAX)
		return aq_fail(err, AQ_CORRUPT, "a lock has over %d packages",
			       AQ_LOCK_ITEMS_MAX);
	/* a lock is for everybody's eyes */
	if (aq_url_has_secret(url))
		return aq_fail(err, AQ_CORRUPT,
			       "the URL of a package has credentials in it, which a lock must not have");
	if ((kind != AQ_LOCK_VCS && !is_url(url)) || !is_name(name) ||
	    !is_word(version) ||
	    (kind == AQ_LOCK_CONDA) != (build != NULL) ||
	    (build && !is_word(build)))
		return aq_fail(err, AQ_CORRUPT,
			       "a package of the lock has no proper URL, name or version");
	if (kind == AQ_LOCK_VCS ? !is_commit(sha256) || !is_vcs(url, sha256) :
				  !aq_is_hex(sha256, AQ_SHA256_HEX_SIZE - 1))
		return aq_fail(err, AQ_CORRUPT, "package '%s' has no %s", name,
			       kind == AQ_LOCK_VCS ? "commit" : "SHA-256");
	if (!aq_grow(lock->items, lock->n_items, AQ_LOCK_ITEMS_MAX))
		return aq_fail_errno(err, "cannot remember a lock");
	item.name = strdup(name);
	item.version = strdup(version);
	item.build = build ? strdup(build) : NULL;
	item.url = strdup(url);
	(void)!aq_copy_text(item.sha256, sizeof(item.sha256), sha256);
	if (!item.name || !item.version || !item.url ||
	    (build && !item.build)) {
		free_item(&item);
		return aq_fail(err, AQ_SYS, "out of memory for a lock");
	}
	lock->items[lock->n_items++] = item;
	return 0;
}

/* Conda's first, each by name: a stable order whatever the client's was. */
static int by_kind_and_name(const void *a, const void *b)
{
	const struct aq_lock_item *x = a, *y = b;
	int cmp = (int)x->kind - (int)y->kind;

	if (!cmp)
		cmp = strcmp(x->name, y->name);
	if (!cmp)
		cmp = strcmp(x->url, y->url);
	if (!cmp)
		cmp = strcmp(x->sha256, y->sha256);
	if (!cmp)
		cmp = strcmp(x->version, y->version);
	return cmp || !x->build ? cmp : strcmp(x->build, y->build);
}

static bool is_same_package(const struct aq_lock_item *a,
			    const struct aq_lock_item *b)
{
	return a->kind == b->kind && strcmp(a->name, b->name) == 0;
}

/* Whatever it returns the lock has each of its items once: it will be freed. */
static int drop_equals(struct aq_lock *lock, struct aq_err *err)
{
	size_t out = 0;
	int rc = 0;

	for (size_t i = 0; i < lock->n_items; i++) {
		struct aq_lock_item *this = &lock->items[i];
		struct aq_lock_item *last = out ? &lock->items[out - 1] : NULL;

		if (last && by_kind_and_name(last, this) == 0) {
			free_item(this);
			continue;
		}
		if (last && is_same_package(last, this))
			rc = aq_fail(err, AQ_CORRUPT,
				     "the lock has package '%s' twice",
				     this->name);
		lock->items[out++] = *this;
	}
	lock->n_items = out;
	return rc;
}

static void write_item(struct aq_str *out, const struct aq_lock_item *i)
{
	aq_str_add_fmt(out, "%s %s %s %s %s",
		       aq_lock_kind_name(i->kind), i->url, i->sha256, i->name,
		       i->version);
	if (i->build)
		aq_str_add_fmt(out, " %s", i->build);
	aq_str_add_char(out, '\n');
}

static int check_head(const struct aq_lock *lock, struct aq_err *err)
{
	if (!is_name(lock->platform) ||
	    (lock->python && !is_word(lock->python)) ||
	    (lock->base[0] && !aq_is_hex(lock->base, AQ_SHA256_HEX_SIZE - 1)))
		return aq_fail(err, AQ_CORRUPT,
			       "the lock has no proper platform, Python or base");
	for (size_t i = 0; i < lock->virtuals.n; i++)
		if (!is_virtual(lock->virtuals.v[i]))
			return aq_fail(err, AQ_CORRUPT,
				       "the lock has no proper virtual packages");
	return 0;
}

int aq_lock_finish(struct aq_lock *lock, struct aq_err *err)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(AQ_LOCK_MAX);
	int rc = check_head(lock, err);

	if (rc)
		return rc;
	if (lock->n_items > 1)
		qsort(lock->items, lock->n_items, sizeof(*lock->items),
		      by_kind_and_name);
	rc = drop_equals(lock, err);
	if (rc)
		return rc;
	aq_strv_sort_unique(&lock->virtuals);
	aq_str_add_fmt(&out, LOCK_VERSION "\nplatform %s\n", lock->platform);
	if (lock->python)
		aq_str_add_fmt(&out, "python %s\n", lock->python);
	if (lock->base[0])
		aq_str_add_fmt(&out, "base %s\n", lock->base);
	for (size_t i = 0; i < lock->virtuals.n; i++)
		aq_str_add_fmt(&out, "virtual %s\n", lock->virtuals.v[i]);
	for (size_t i = 0; i < lock->n_items; i++)
		write_item(&out, &lock->items[i]);
	rc = aq_str_done(&out, "the lock", err);
	if (!rc)
		rc = aq_strv_done(&lock->virtuals, "the lock", err);
	if (!rc)
		rc = aq_sha256(aq_str_get(&out), out.len, lock->digest, err);
	if (rc)
		return rc;
	free(lock->text);
	lock->text_len = out.len;
	lock->text = steal(&out.s);
	return 0;
}

const struct aq_lock_item *aq_lock_find(const struct aq_lock *lock,
					enum aq_lock_kind kind,
					const char *name)
{
	for (size_t i = 0; i < lock->n_items; i++)
		if (lock->items[i].kind == kind &&
		    strcmp(lock->items[i].name, name) == 0)
			return &lock->items[i];
	return NULL;
}

size_t aq_lock_count(const struct aq_lock *lock, enum aq_lock_kind kind)
{
	size_t n = 0;

	for (size_t i = 0; i < lock->n_items; i++)
		n += lock->items[i].kind == kind;
	return n;
}

size_t aq_lock_count_python(const struct aq_lock *lock)
{
	return lock->n_items - aq_lock_count(lock, AQ_LOCK_CONDA);
}

/* -- parsing -- */

/* Cut a line at its spaces; more than FIELDS_MAX fields are FIELDS_MAX + 1. */
static size_t cut(char *line, char *field[FIELDS_MAX + 1])
{
	size_t n = 0;

	for (char *p = line; p && n <= FIELDS_MAX; n++) {
		field[n] = p;
		p = strchr(p, ' ');
		if (p)
			*p++ = '\0';
	}
	return n;
}

static int damaged(const char *line, struct aq_err *err)
{
	return aq_fail(err, AQ_CORRUPT, "the lock's line '%.80s' is damaged",
		       line);
}

static int parse_line(struct aq_lock *lock, char *line, struct aq_err *err)
{
	char *f[FIELDS_MAX + 1];
	size_t n;

	if (aq_starts_with(line, "virtual ")) {
		aq_strv_add(&lock->virtuals, line + strlen("virtual "));
		return 0;
	}
	n = cut(line, f);
	if (n == 6 && strcmp(f[0], "conda") == 0)
		return aq_lock_add(lock, AQ_LOCK_CONDA, f[1], f[2], f[3], f[4],
				   f[5], err);
	for (int k = AQ_LOCK_WHEEL; n == 5 && k <= AQ_LOCK_VCS; k++)
		if (strcmp(f[0], aq_lock_kind_name((enum aq_lock_kind)k)) == 0)
			return aq_lock_add(lock, (enum aq_lock_kind)k, f[1],
					   f[2], f[3], f[4], NULL, err);
	if (n == 2 && strcmp(f[0], "python") == 0 && !lock->python) {
		lock->python = strdup(f[1]);
		return lock->python ? 0 : aq_fail(err, AQ_SYS,
						  "out of memory for a lock");
	}
	if (n == 2 && strcmp(f[0], "base") == 0 &&
	    aq_is_hex(f[1], AQ_SHA256_HEX_SIZE - 1))
		return aq_copy_text(lock->base, sizeof(lock->base), f[1]) ?
			       0 : damaged(line, err);
	return damaged(line, err);
}

void aq_lock_needs(const char *text, struct aq_strv *ret)
{
	static const char word[] = "virtual ";

	for (const char *p = text; *p; p = aq_next_line(p))
		if (aq_starts_with(p, word))
			aq_strv_add_mem(ret, p + strlen(word),
					strcspn(p, "\n") - strlen(word));
}

int aq_lock_parse(const char *text, size_t len, struct aq_lock **ret,
		  struct aq_err *err)
{
	static const char head[] = LOCK_VERSION "\nplatform ";
	cleanup_lock struct aq_lock *lock = NULL;
	cleanup_free char *copy = NULL;
	char *line, *next;
	int rc;

	if (len > AQ_LOCK_MAX || memchr(text, '\0', len) ||
	    len <= sizeof(head) || text[len - 1] != '\n' ||
	    memcmp(text, head, sizeof(head) - 1) != 0)
		return aq_fail(err, AQ_CORRUPT, "this is no lock");
	copy = strndup(text + sizeof(head) - 1, len - sizeof(head));
	if (!copy)
		return aq_fail(err, AQ_SYS, "out of memory for a lock");
	next = strchr(copy, '\n');
	if (next)
		*next++ = '\0';
	rc = aq_lock_new(copy, &lock, err);
	while (!rc && (line = next)) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		rc = parse_line(lock, line, err);
	}
	if (!rc)
		rc = aq_lock_finish(lock, err);
	if (!rc && (lock->text_len != len ||
		    memcmp(lock->text, text, len) != 0))
		rc = aq_fail(err, AQ_CORRUPT, "the lock is not in its canonical form");
	if (rc)
		return rc;
	*ret = steal(&lock);
	return 0;
}
