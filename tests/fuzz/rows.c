/* SPDX-License-Identifier: Apache-2.0 */
/* Any rows in cache.db: what is read of them is refused, or sound.  The first byte
 * says whether the tables keep their constraints, and which question is asked, the
 * second of what; then a byte for a table, and for each of its columns a byte for
 * the kind of a value, and the value.
 */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/collect.h"
#include "common/store_inside.h"
#include "common/store_list.h"
#include "common/store_schema.h"
#include "common/tally.h"
#include "common/workflows.h"

#include "common/base.h"

const char fuzz_name[] = "rows";

#define MARK ((char)0xff)
#define ROWS_MAX 24 /* some of each table; more only take longer */
#define NOW 1700000000
#define COLUMNS_MAX 16
#define SAMPLES 4 /* that fit together: names, digests, users */

static const struct table {
	const char *name;
	size_t n_columns;
} tables[] = {
	{ "environments", 16 }, { "activations", 2 }, { "keys", 4 },
	{ "requests", 5 },	{ "failures", 5 },    { "bases", 2 },
	{ "workflows", 5 },	{ "counts", 3 },
};

/* -- what fits together -- */

static char locks[SAMPLES][AQ_SHA256_HEX_SIZE];
static char names[SAMPLES][AQ_ENV_NAME_SIZE];

static void make_samples(void)
{
	for (unsigned int i = 0; i < SAMPLES; i++) {
		fuzz_check(!aq_sha256(&i, sizeof(i), locks[i], NULL));
		aq_env_make_name(locks[i], i + 1, names[i]);
	}
}

/* -- databases -- */

enum { STRICT, LOOSE, N_STORES };

/* Without types, keys and indexes, as a hostile file may have them. */
static void loosen(struct aq_db *db)
{
	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		const char *name = tables[i].name;
		char sql[256];

		snprintf(sql, sizeof(sql),
			 "CREATE TABLE x AS SELECT * FROM %s WHERE 0;"
			 "DROP TABLE %s; ALTER TABLE x RENAME TO %s",
			 name, name, name);
		fuzz_check(!aq_db_script(db, sql, NULL));
	}
}

static struct aq_store *store_of(unsigned char kind)
{
	static struct aq_store stores[N_STORES];
	struct aq_store *s = &stores[kind % N_STORES];
	struct aq_err err = { 0 };

	if (s->db)
		return s;
	make_samples();
	s->max_workflows = 2;
	snprintf(s->cache_dir, sizeof(s->cache_dir), "%s", fuzz_dir());
	fuzz_check(!aq_db_open_memory(&s->db, &err));
	for (uint32_t i = 0; i < aq_store_kind.version; i++)
		fuzz_check_text(!aq_db_script(s->db, aq_store_kind.migrations[i],
					      &err), err.text);
	if (kind % N_STORES == LOOSE)
		loosen(s->db);
	return s;
}

/* Bits of 'filled': tables with rows. */
static void empty(struct aq_store *s, unsigned int filled)
{
	static const char *const deletes[ARRAY_LEN(tables)] = {
		"DELETE FROM environments", "DELETE FROM activations",
		"DELETE FROM keys",	    "DELETE FROM requests",
		"DELETE FROM failures",	    "DELETE FROM bases",
		"DELETE FROM workflows",    "DELETE FROM counts",
	};

	fuzz_check(!aq_db_begin(s->db, NULL));
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		if (filled >> i & 1)
			fuzz_check(!aq_db_run(s->db, deletes[i], NULL, 0, NULL,
					      NULL, NULL));
	fuzz_check(!aq_db_end(s->db, 0, NULL));
}

/* -- rows -- */

/* How SQL says a value: one text for all, which is compiled once. */
enum { AS_IT_IS, HALVED, AS_TEXT };
#define VALUE "CASE ? WHEN 0 THEN ? WHEN 1 THEN ? / 2.0 ELSE CAST(? AS TEXT) END"
#define VALUE_PARAMS 4

/* A value. */
static void read_value(struct fuzz_input *in, struct aq_db_value *ret,
		       uint64_t *how, char **text)
{
	unsigned char kind = fuzz_byte(in);
	size_t i = kind / 16 % SAMPLES;

	*text = NULL;
	*how = AS_IT_IS;
	*ret = (struct aq_db_value)AQ_TEXT("");
	switch (kind % 9) {
	case 0:
		ret->text = names[i];
		break;
	case 1:
		ret->text = locks[i];
		break;
	case 2:
		*ret = (struct aq_db_value)AQ_NUMBER(i);
		break;
	case 3:
		*ret = (struct aq_db_value)AQ_NUMBER(fuzz_number(in));
		break;
	case 4: /* no integer */
		*ret = (struct aq_db_value)AQ_NUMBER(fuzz_byte(in));
		*how = HALVED;
		break;
	case 5: /* SQL's NULL */
		ret->text = NULL;
		break;
	case 6:
		break;
	default: /* as text with NULs in it, or bytes */
		*text = fuzz_piece(in, MARK, &ret->len);
		ret->type = AQ_DB_BLOB;
		ret->text = *text;
		*how = kind % 9 == 7 ? AS_TEXT : AS_IT_IS;
	}
}

static const char *insert_sql(size_t which)
{
	static struct aq_str all[ARRAY_LEN(tables)];
	struct aq_str *sql = &all[which];

	if (sql->len)
		return aq_str_get(sql);
	*sql = (struct aq_str)AQ_STR_INIT(2048);
	aq_str_add_fmt(sql, "INSERT OR IGNORE INTO %s VALUES(",
		       tables[which].name);
	for (size_t i = 0; i < tables[which].n_columns; i++)
		aq_str_add(sql, i ? "," VALUE : VALUE);
	aq_str_add_char(sql, ')');
	return aq_str_get(sql);
}

/* What a table's constraints refuse is left out.  Returns which table it was. */
static size_t insert_row(struct aq_store *s, struct fuzz_input *in)
{
	size_t which = fuzz_byte(in) % ARRAY_LEN(tables), n = 0;
	struct aq_db_value values[VALUE_PARAMS * COLUMNS_MAX];
	char *texts[COLUMNS_MAX];

	for (size_t i = 0; i < tables[which].n_columns; i++) {
		uint64_t how;

		read_value(in, &values[n + 1], &how, &texts[i]);
		values[n] = (struct aq_db_value)AQ_NUMBER(how);
		values[n + 2] = values[n + 3] = values[n + 1];
		n += VALUE_PARAMS;
	}
	(void)!aq_db_run(s->db, insert_sql(which), values, n, NULL, NULL, NULL);
	for (size_t i = 0; i < tables[which].n_columns; i++)
		free(texts[i]);
	return which;
}

/* At once.  Returns bits of tables. */
static unsigned int insert_rows(struct aq_store *s, struct fuzz_input *in)
{
	unsigned int filled = 0;

	fuzz_check(!aq_db_begin(s->db, NULL));
	for (int i = 0; i < ROWS_MAX && in->at < in->end; i++)
		filled |= 1u << insert_row(s, in);
	fuzz_check(!aq_db_end(s->db, 0, NULL));
	return filled;
}

/* -- promises -- */

static void check_class(int rc, const struct aq_err *err)
{
	fuzz_check_text(rc == AQ_OK || rc == AQ_MISS || rc == AQ_BUSY ||
			rc == AQ_USER || rc == AQ_CORRUPT, err->text);
}

static void check_env(const struct aq_env *e)
{
	fuzz_check(aq_env_is_named_well(e) && aq_env_is_name(e->name));
	fuzz_check(strnlen(e->base, sizeof(e->base)) < sizeof(e->base) &&
		   strnlen(e->python, sizeof(e->python)) < sizeof(e->python));
	fuzz_check(!*e->base || aq_env_is_name(e->base));
	fuzz_check(e->kind <= AQ_ENV_BASE && e->reason);
	fuzz_check(!e->ops_len || aq_envops_is_sound(e->ops, e->ops_len));
}

typedef int finder(struct aq_store *store, const char *what,
		   struct aq_env **ret, struct aq_err *err);

static void check_found(struct aq_store *s, finder *find, const char *what)
{
	cleanup_env struct aq_env *e = NULL;
	struct aq_err err = { 0 };
	int rc = find(s, what, &e, &err);

	check_class(rc, &err);
	fuzz_check((rc == 0) == (e != NULL));
	if (e)
		check_env(e);
}

struct sorted {
	uint64_t key;
	enum aq_store_order order;
	char name[AQ_ENV_NAME_SIZE];
	bool is_reverse;
};

static int check_next(const struct aq_env *e, void *arg, struct aq_err *err)
{
	struct sorted *s = arg;
	uint64_t key = aq_store_sort_key(e, s->order, s->is_reverse);
	bool is_backward = s->order == AQ_STORE_BY_NAME && s->is_reverse;

	(void)err;
	check_env(e);
	if (*s->name)
		fuzz_check(s->key < key ||
			   (s->key == key &&
			    (is_backward ? strcmp(s->name, e->name) >= 0 :
					   strcmp(s->name, e->name) <= 0)));
	s->key = key;
	memcpy(s->name, e->name, sizeof(s->name));
	return 0;
}

/* One order and direction of them all, as the input says. */
static void check_list(struct aq_store *s, unsigned char which)
{
	struct sorted sorted = {
		.order = (enum aq_store_order)(which / 2 %
					       (AQ_STORE_BY_CREATED + 1)),
		.is_reverse = which % 2,
	};
	struct aq_err err = { 0 };

	check_class(aq_store_each(s, sorted.order, sorted.is_reverse,
				  check_next, &sorted, &err), &err);
}

static int check_tie(const struct aq_binding *b, void *arg, struct aq_err *err)
{
	(void)arg;
	(void)err;
	fuzz_check(b->key && b->digest && b->context && b->canonical);
	return 0;
}

/* By every name that there is, whatever it looks like. */
static void check_names(struct aq_store *s, unsigned char which)
{
	cleanup_strv struct aq_strv all = AQ_STRV_INIT(ROWS_MAX);
	cleanup_strv struct aq_strv texts = AQ_STRV_INIT(16 * ROWS_MAX);
	struct aq_err err = { 0 };
	uint64_t n;

	(void)which;
	check_class(aq_store_names(s, &all, &err), &err);
	for (size_t i = 0; i < all.n; i++) {
		check_found(s, aq_store_find_name, all.v[i]);
		check_found(s, aq_store_find_exact, all.v[i]);
		check_class(aq_store_digests(s, all.v[i], &texts, &err), &err);
		check_class(aq_store_children(s, all.v[i], &n, &err), &err);
		check_class(aq_store_bindings(s, all.v[i], check_tie, NULL,
					      &err), &err);
	}
}

static void check_sample(struct aq_store *s, unsigned char which)
{
	cleanup_env struct aq_env *e = NULL;
	struct aq_err err = { 0 };
	size_t i = which % SAMPLES;
	uint32_t generation = 0;
	uint64_t n, ms, size, left;
	bool is_plain;

	check_found(s, aq_store_find_key, locks[i]);
	check_found(s, aq_store_find_lock, locks[i]);
	check_class(aq_store_find(s, locks[i], "", "", &e, &err), &err);
	check_class(aq_store_is_plain(s, locks[i], &is_plain, &err), &err);
	/* of any class: it is what is remembered */
	(void)!aq_store_fail_get(s, locks[i], NOW, &left, &err);
	check_class(aq_store_size(s, (uint32_t)i, &size, &err), &err);
	check_class(aq_store_typical(s, (enum aq_env_kind)i, &n, &ms, &size,
				     &err), &err);
	check_class(aq_store_next_generation(s, locks[i], &generation, &err),
		    &err);
	fuzz_check(generation < UINT32_MAX);
}

/* What a victim is called becomes a path. */
static void check_plan(struct aq_store *s, unsigned char which)
{
	const struct aq_conf conf = { .max_size = 1, .max_age = 1,
				      .min_free = 1, .user_quota = 1 };
	const struct aq_collect_state state = { .now = NOW, .size = 1000,
						.max_freed = UINT64_MAX };
	cleanup_plan struct aq_plan plan = { 0 };
	struct aq_candidate *v = NULL;
	struct aq_err err = { 0 };
	size_t n = 0;
	bool has_left;
	int rc = aq_store_candidates(s, NULL, &v, &n, &err);

	(void)which;
	check_class(rc, &err);
	for (size_t i = 0; i < n; i++)
		fuzz_check_text(aq_env_is_name(v[i].name), v[i].name);
	if (!rc)
		fuzz_check(!aq_plan_make(v, n, &conf, &state, &plan, &err));
	for (size_t i = 0; i < plan.n; i++)
		fuzz_check_text(aq_env_is_name(plan.v[i].name), plan.v[i].name);
	fuzz_check(plan.n <= n);
	check_class(aq_store_has_left(s, NULL, &has_left, &err), &err);
	free(v);
}

static int count_workflow(const struct aq_workflow_state *w, void *arg,
			  struct aq_err *err)
{
	size_t *n = arg;

	(void)err;
	fuzz_check(w->name && w->key && w->digest && w->env && w->canonical);
	/* each once, and so there is an end */
	fuzz_check(++*n <= ROWS_MAX);
	return 0;
}

static void check_others(struct aq_store *s, unsigned char which)
{
	struct aq_bases bases = { .n = 0 };
	struct aq_tally tally;
	struct aq_totals totals;
	struct aq_err err = { 0 };
	size_t n = 0;

	(void)which;
	check_class(aq_store_bases(s, &bases, &err), &err);
	for (size_t i = 0; i < bases.n; i++)
		fuzz_check(aq_base_is_name(bases.v[i].python));
	check_class(aq_store_each_workflow(s, AQ_WORKFLOWS_ALL, NULL,
					   count_workflow, &n, &err), &err);
	memset(&tally, 0, sizeof(tally));
	check_class(aq_tally_read(s->db, &tally, &err), &err);
	memset(&totals, 0, sizeof(totals));
	check_class(aq_store_totals(s, &totals, &err), &err);
}

/* What is healed is whole. */
static void check_healed(struct aq_store *s, unsigned char which)
{
	cleanup_strv struct aq_strv all = AQ_STRV_INIT(ROWS_MAX);
	struct aq_err err = { 0 };
	uint64_t n = 0;

	(void)which;
	check_class(aq_store_untie(s, &err), &err);
	check_class(aq_db_run(s->db,
			      "SELECT count(*) FROM keys WHERE env NOT IN"
			      " (SELECT name FROM environments)",
			      NULL, 0, aq_db_get_number, &n, &err), &err);
	fuzz_check(n == 0);
	check_class(aq_store_names(s, &all, &err), &err);
	for (size_t i = 0; i < all.n; i++)
		check_class(aq_store_remove_damaged(s, all.v[i], &err), &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const checks[])(struct aq_store *s, unsigned char which) = {
		check_names, check_list,   check_sample,
		check_plan,  check_others, check_healed,
	};
	struct fuzz_input in = fuzz_input(data, size);
	unsigned char kind = fuzz_byte(&in), which = fuzz_byte(&in);
	struct aq_store *s = store_of(kind);
	unsigned int filled = insert_rows(s, &in);

	checks[kind / N_STORES % ARRAY_LEN(checks)](s, which);
	empty(s, filled);
	return 0;
}
