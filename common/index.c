/* SPDX-License-Identifier: Apache-2.0 */
#include "common/index.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/flock.h"
#include "common/grow.h"
#include "common/io.h"

#define INDEX_MAX (256 * 1024 * 1024) /* bytes; a line has 100 */
#define MAGIC "aq-index 1 "
#define NAME "index"
#define NEW "index.new"
#define LOCK "index"
#define N_FIELDS 9

static const char *or_dash(const char *text)
{
	return *text ? text : "-";
}

/* -- writing -- */

static int write_one(const struct aq_listed *l, void *arg, struct aq_err *err)
{
	const struct aq_env *e = l->env;
	char marks[32];
	FILE *f = arg;

	(void)err;
	snprintf(marks, sizeof(marks), "%s%s%s", l->is_base ? ",base" : "",
		 e->pinned ? ",pinned" : "", l->is_obsolete ? ",obsolete" : "");
	fprintf(f, "%s\t%s\t%s\t%" PRIu32 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64
		"\t%s\t%s\n", e->name, aq_env_kind_name(e->kind),
		or_dash(e->python), e->packages, e->created, e->size_own,
		e->size_shared, or_dash(e->base), *marks ? marks + 1 : "-");
	return 0;
}

static int write_all(const struct aq_conf *conf, FILE *f, struct aq_err *err)
{
	cleanup_store struct aq_store *store = NULL;
	int rc = aq_store_open(conf, AQ_STORE_READ, &store, err);

	fprintf(f, MAGIC "%llu\n", (unsigned long long)time(NULL));
	if (!rc)
		rc = aq_store_list(store, NULL, AQ_STORE_BY_NAME, false,
				   write_one, f, err);
	return rc == AQ_MISS ? 0 : rc; /* no cache yet */
}

/* The file under its other name, for everybody to read. */
static int open_new(int dir, FILE **ret, struct aq_err *err)
{
	cleanup_close int fd = -1;

	(void)unlinkat(dir, NEW, 0);
	fd = openat(dir, NEW,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0 || fchmod(fd, 0644) < 0)
		return aq_fail_errno(err, "cannot make '%s'", NEW);
	*ret = fdopen(fd, "w");
	if (!*ret)
		return aq_fail(err, AQ_SYS, "out of memory");
	(void)steal_fd(&fd);
	return 0;
}

int aq_index_write(const struct aq_conf *conf, struct aq_err *err)
{
	cleanup_close int lock = -1, dir = -1;
	cleanup_fclose FILE *f = NULL;
	int rc = aq_flock_wait(conf, LOCK, AQ_FLOCK_EXCLUSIVE, NULL, NULL,
			       &lock, err);

	if (!rc)
		rc = aq_open_dir(AT_FDCWD, conf->public_dir, &dir, err);
	if (!rc)
		rc = open_new(dir, &f, err);
	if (!rc)
		rc = write_all(conf, f, err);
	if (rc)
		return rc;
	if (fflush(f) != 0 || ferror(f) || renameat(dir, NEW, dir, NAME) < 0)
		return aq_fail_errno(err, "cannot write '%s/%s'",
				     conf->public_dir, NAME);
	return 0;
}

/* -- reading -- */

struct line {
	char *text;   /* cut into its fields */
	uint64_t key; /* what it is sorted by, upwards, then by name */
};

struct lines {
	struct line *v;
	size_t n;
	enum aq_store_order order;
	bool is_reverse;
};

static int fail_damaged(struct aq_err *err)
{
	return aq_fail(err, AQ_CORRUPT, "the public index is damaged: 'aq gc' as root writes it anew");
}

static bool is_marked(const char *marks, const char *mark)
{
	const char *at = strstr(marks, mark);

	return at && (at == marks || at[-1] == ',');
}

static bool parse_kind(const char *text, enum aq_env_kind *ret)
{
	for (int i = AQ_ENV_CREATED; i <= AQ_ENV_BASE; i++)
		if (strcmp(text, aq_env_kind_name((enum aq_env_kind)i)) == 0) {
			*ret = (enum aq_env_kind)i;
			return true;
		}
	return false;
}

static const char *no_dash(const char *text)
{
	return strcmp(text, "-") == 0 ? "" : text;
}

/* The fields stand behind each other, NUL after each. */
static bool parse_line(const char *text, struct aq_env *e,
		       struct aq_listed *ret)
{
	const char *field[N_FIELDS];
	uint64_t packages;

	for (size_t i = 0; i < N_FIELDS; i++, text += strlen(text) + 1)
		field[i] = text;
	*e = (struct aq_env){ .reason = "" };
	*ret = (struct aq_listed){ .env = e };
	if (!aq_copy_text(e->name, sizeof(e->name), field[0]) ||
	    !parse_kind(field[1], &e->kind) ||
	    !aq_copy_text(e->python, sizeof(e->python), no_dash(field[2])) ||
	    !aq_parse_u64(field[3], UINT32_MAX, &packages) ||
	    !aq_parse_u64(field[4], INT64_MAX, &e->created) ||
	    !aq_parse_u64(field[5], INT64_MAX, &e->size_own) ||
	    !aq_parse_u64(field[6], INT64_MAX, &e->size_shared) ||
	    !aq_copy_text(e->base, sizeof(e->base), no_dash(field[7])))
		return false;
	e->packages = (uint32_t)packages;
	e->pinned = is_marked(field[8], "pinned");
	ret->is_base = is_marked(field[8], "base");
	ret->is_obsolete = is_marked(field[8], "obsolete");
	return true;
}

static int add_line(struct lines *l, char *text, struct aq_err *err)
{
	struct aq_listed listed;
	struct aq_env env;
	size_t n_fields = 1;

	for (char *p = text; (p = strchr(p, '\t')); n_fields++)
		*p++ = '\0';
	if (n_fields != N_FIELDS || !parse_line(text, &env, &listed))
		return fail_damaged(err);
	if (!aq_grow(l->v, l->n, AQ_STORE_ENVS_MAX))
		return aq_fail_errno(err, "cannot list the environments");
	l->v[l->n++] = (struct line){
		text, aq_store_sort_key(&env, l->order, l->is_reverse)
	};
	return 0;
}

static int compare_lines(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return strcmp(x->text, y->text);
}

/* 'text' is cut into lines, and these into fields. */
static int split(char *text, uint64_t *ret_written, struct lines *ret,
		 struct aq_err *err)
{
	char *end = strchr(text, '\n');
	int rc = 0;

	if (!end || !aq_starts_with(text, MAGIC))
		return fail_damaged(err);
	*end = '\0';
	if (!aq_parse_u64(text + strlen(MAGIC), INT64_MAX, ret_written))
		return fail_damaged(err);
	for (text = end + 1; !rc && *text; text = end + 1) {
		end = strchr(text, '\n');
		if (!end)
			return fail_damaged(err);
		*end = '\0';
		rc = add_line(ret, text, err);
	}
	if (ret->n)
		qsort(ret->v, ret->n, sizeof(*ret->v), compare_lines);
	return rc;
}

int aq_index_read(const struct aq_conf *conf, enum aq_store_order order,
		  bool is_reverse, uint64_t *ret_written, aq_listed_fn *fn,
		  void *arg, struct aq_err *err)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(INDEX_MAX);
	cleanup_close int dir = -1;
	struct lines lines = { .order = order, .is_reverse = is_reverse };
	bool is_backward = order == AQ_STORE_BY_NAME && is_reverse;
	int rc;

	if (order == AQ_STORE_BY_USES || order == AQ_STORE_BY_USED)
		return aq_fail(err, AQ_USER, "the public index does not tell uses: sort by name, size, own or created");
	rc = aq_open_dir(AT_FDCWD, conf->public_dir, &dir, err);
	if (!rc)
		rc = aq_read_file(dir, NAME, &text, err);
	if (!rc)
		rc = text.len && strlen(text.s) == text.len ?
			     split(text.s, ret_written, &lines, err) :
			     fail_damaged(err);
	for (size_t i = 0; !rc && i < lines.n; i++) {
		size_t at = is_backward ? lines.n - 1 - i : i;
		struct aq_listed listed;
		struct aq_env env;

		if (parse_line(lines.v[at].text, &env, &listed))
			rc = fn(&listed, arg, err);
	}
	free(lines.v);
	return rc;
}
