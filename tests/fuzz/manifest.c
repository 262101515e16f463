/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the files of a manifest, with byte 0xff between them: manifest,
 * lock, request, context, activation.  A fuzzer finds no digest: "@NAME@",
 * "@LOCK@" and "@SUM@" in the first stand for what the others make right.
 * What is read can be written, and is the same then.
 */
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/io.h"
#include "common/manifest.h"

const char fuzz_name[] = "manifest";

#define MARK ((char)0xff)
#define GENERATION 1

static const char *const names[] = { "manifest", "lock", "request", "context",
				     "activation" };
enum { MANIFEST, LOCK, REQUEST, CONTEXT, ACTIVATION, N_FILES };

struct files {
	struct aq_str text[N_FILES];
	char lock[AQ_SHA256_HEX_SIZE], name[AQ_ENV_NAME_SIZE];
	char sum[AQ_SHA256_HEX_SIZE];
};

static struct aq_conf conf;

static void set_up(void)
{
	static char cache[4096], meta[sizeof(cache) + 8];

	if (conf.cache_dir)
		return;
	snprintf(cache, sizeof(cache), "%s", fuzz_dir());
	snprintf(meta, sizeof(meta), "%s/meta", cache);
	fuzz_check(mkdir(meta, 0700) == 0);
	conf.cache_dir = cache;
}

/* 'text' with 'value' wherever 'word' stands. */
static void replace(struct aq_str *text, const char *word, const char *value)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(SIZE_MAX / 2);
	const char *at = aq_str_get(text), *end = at + text->len, *found;

	while ((found = memmem(at, (size_t)(end - at), word, strlen(word)))) {
		aq_str_add_mem(&out, at, (size_t)(found - at));
		aq_str_add(&out, value);
		at = found + strlen(word);
	}
	aq_str_add_mem(&out, at, (size_t)(end - at));
	aq_str_truncate(text, 0);
	aq_str_add_mem(text, aq_str_get(&out), out.len);
}

/* As the header has it: of the lines before it, then of three files. */
static void make_sum(struct files *f)
{
	cleanup_str struct aq_str all = AQ_STR_INIT(SIZE_MAX / 2);
	const char *text = aq_str_get(&f->text[MANIFEST]);
	const char *sum = strstr(text, "\nsum ");

	if (!sum)
		return;
	aq_str_add_mem(&all, text, (size_t)(sum + 1 - text));
	aq_str_add_mem(&all, "", 1);
	aq_str_add(&all, aq_str_get(&f->text[REQUEST]));
	aq_str_add_mem(&all, "", 1);
	aq_str_add(&all, aq_str_get(&f->text[CONTEXT]));
	aq_str_add_mem(&all, "", 1);
	aq_str_add_mem(&all, aq_str_get(&f->text[ACTIVATION]),
		       f->text[ACTIVATION].len);
	fuzz_check(!aq_sha256(aq_str_get(&all), all.len, f->sum, NULL));
	replace(&f->text[MANIFEST], "@SUM@", f->sum);
}

static void read_input(struct fuzz_input *in, struct files *f)
{
	for (size_t i = 0; i < N_FILES; i++) {
		size_t len;
		char *text = fuzz_piece(in, MARK, &len);

		f->text[i] = (struct aq_str)AQ_STR_INIT(SIZE_MAX / 2);
		aq_str_add_mem(&f->text[i], text, len);
		free(text);
	}
	fuzz_check(!aq_sha256(aq_str_get(&f->text[LOCK]), f->text[LOCK].len,
			      f->lock, NULL));
	aq_env_make_name(f->lock, GENERATION, f->name);
	replace(&f->text[MANIFEST], "@NAME@", f->name);
	replace(&f->text[MANIFEST], "@LOCK@", f->lock);
	make_sum(f);
}

static void write_files(const struct files *f)
{
	char path[8192];

	snprintf(path, sizeof(path), "%s/meta/%s", conf.cache_dir, f->name);
	fuzz_check(mkdir(path, 0700) == 0);
	for (size_t i = 0; i < N_FILES; i++) {
		cleanup_close int fd = -1;

		snprintf(path, sizeof(path), "%s/meta/%s/%s", conf.cache_dir,
			 f->name, names[i]);
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		fuzz_check(fd >= 0 && !aq_write_all(fd, aq_str_get(&f->text[i]),
						    f->text[i].len, NULL));
	}
}

/* The number behind "\nNAME ". */
static uint64_t number_of(const struct files *f, const char *name)
{
	const char *text = aq_str_get(&f->text[MANIFEST]);
	const char *line = strstr(text, name);

	fuzz_check_text(line, text);
	return strtoull(line + strlen(name), NULL, 10);
}

static void check_numbers(const struct aq_env *e, const struct files *f)
{
	fuzz_check(e->generation == number_of(f, "\ngeneration ") &&
		   e->kind == number_of(f, "\nkind ") &&
		   e->created == number_of(f, "\ncreated ") &&
		   e->build_ms == number_of(f, "\nbuild_ms ") &&
		   e->size_own == number_of(f, "\nsize_own ") &&
		   e->size_shared == number_of(f, "\nsize_shared ") &&
		   e->uid == number_of(f, "\nuid "));
}

static void check_sound(const struct aq_manifest *m, const struct files *f)
{
	const char *sum = strstr(aq_str_get(&f->text[MANIFEST]), "\nsum ");

	fuzz_check(sum && strncmp(sum + strlen("\nsum "), f->sum,
				  sizeof(f->sum) - 1) == 0);
	check_numbers(m->env, f);
	fuzz_check(aq_env_is_named_well(m->env) &&
		   strcmp(m->env->name, f->name) == 0);
	fuzz_check(strcmp(m->env->lock, m->lock->digest) == 0);
	fuzz_check(m->lock->text_len == f->text[LOCK].len &&
		   memcmp(m->lock->text, aq_str_get(&f->text[LOCK]),
			  m->lock->text_len) == 0);
	fuzz_check(aq_envops_is_sound(m->env->ops, m->env->ops_len));
	fuzz_check(m->env->kind <= AQ_ENV_BASE);
	fuzz_check(!*m->env->base || aq_env_is_name(m->env->base));
	fuzz_check(aq_is_hex(m->key, AQ_SHA256_HEX_SIZE - 1) &&
		   aq_is_hex(m->digest, AQ_SHA256_HEX_SIZE - 1));
}

static bool is_same(const struct aq_manifest *a, const struct aq_manifest *b)
{
	const struct aq_env *x = a->env, *y = b->env;

	return fuzz_same(x->name, y->name) && fuzz_same(x->lock, y->lock) &&
	       x->generation == y->generation && x->kind == y->kind &&
	       fuzz_same(x->base, y->base) && fuzz_same(x->python, y->python) &&
	       fuzz_same(x->reason, y->reason) && x->created == y->created &&
	       x->build_ms == y->build_ms && x->size_own == y->size_own &&
	       x->size_shared == y->size_shared && x->uid == y->uid &&
	       x->packages == y->packages && x->ops_len == y->ops_len &&
	       memcmp(x->ops, y->ops, x->ops_len) == 0 &&
	       fuzz_same(a->key, b->key) && fuzz_same(a->digest, b->digest) &&
	       fuzz_same(a->context, b->context) &&
	       fuzz_same(a->canonical, b->canonical);
}

/* All of it anew; then its first file alone. */
static void check_written(const struct aq_manifest *m)
{
	const struct aq_binding tie = { .key = m->key, .digest = m->digest,
					.context = m->context,
					.canonical = m->canonical };
	struct aq_err err = { 0 };

	for (int i = 0; i < 2; i++) {
		cleanup_manifest struct aq_manifest *again = NULL;
		int rc = i ? aq_manifest_rewrite(&conf, m->env, &tie, &err) :
			     aq_manifest_write(&conf, m->env, &tie, m->lock,
					       &err);

		fuzz_check_text(!rc, err.text);
		if (aq_manifest_read(&conf, m->env->name, &again, &err))
			fuzz_broken(__FILE__, __LINE__, "read again", err.text);
		fuzz_check(is_same(m, again));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = fuzz_input(data, size);
	cleanup_manifest struct aq_manifest *m = NULL;
	struct aq_err err = { 0 };
	struct files f = { 0 };
	int rc;

	set_up();
	read_input(&in, &f);
	write_files(&f);
	rc = aq_manifest_read(&conf, f.name, &m, &err);
	fuzz_check_text(rc == 0 || rc == AQ_CORRUPT, err.text);
	if (!rc) {
		check_sound(m, &f);
		check_written(m);
	}
	fuzz_check(!aq_manifest_remove(&conf, f.name, &err));
	for (size_t i = 0; i < N_FILES; i++)
		aq_str_free(&f.text[i]);
	return 0;
}
