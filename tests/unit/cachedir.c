/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/io.h"
#include "common/layout.h"
#include "common/sha256.h"
#include "common/tally.h"
#include "tests/unit/cachedir.h"

struct dirs {
	struct aq_conf conf; /* first: what *state points to */
	char top[64];
};

static int set_up_in(const char *where, void **state)
{
	struct dirs *d = calloc(1, sizeof(*d));
	struct aq_err err = { 0 };

	assert_non_null(d);
	snprintf(d->top, sizeof(d->top), "%s/aq-test-store-XXXXXX", where);
	assert_non_null(mkdtemp(d->top));
	d->conf.cache_dir = path_below(d->top, "cache");
	d->conf.run_dir = path_below(d->top, "run");
	d->conf.public_dir = path_below(d->top, "run-public");
	d->conf.node = strdup("n1");
	if (aq_layout_prepare(&d->conf, &err) != 0)
		fail_msg("%s", err.text);
	*state = &d->conf;
	return 0;
}

int cachedir_setup(void **state)
{
	return set_up_in("/tmp", state);
}

int cachedir_setup_in_memory(void **state)
{
	return set_up_in("/dev/shm", state);
}

int cachedir_teardown(void **state)
{
	struct dirs *d = *state;
	struct aq_err err;
	int rc = aq_remove_tree(AT_FDCWD, d->top, &err);

	free(d->conf.cache_dir);
	free(d->conf.run_dir);
	free(d->conf.public_dir);
	free(d->conf.node);
	free(d);
	return rc;
}

/* -- samples -- */

static void make_lock(struct sample *s, unsigned int n)
{
	struct aq_err err = { 0 };
	char url[64];

	snprintf(url, sizeof(url), "https://c.example/linux-64/p-%u.conda", n);
	assert_int_equal(aq_lock_new("linux-64", &s->lock, &err), 0);
	assert_int_equal(aq_lock_add(s->lock, AQ_LOCK_CONDA, url, s->digest,
				     "p", "1.0", "h_0", &err), 0);
	if (aq_lock_finish(s->lock, &err) != 0)
		fail_msg("%s", err.text);
}

struct sample *sample(unsigned int n, uint32_t generation)
{
	struct sample *s = calloc(1, sizeof(*s));
	struct aq_str ops = AQ_STR_INIT(sizeof(s->ops));
	struct aq_err err;
	char text[64];

	assert_non_null(s);
	snprintf(s->canonical, sizeof(s->canonical), "request %u\n", n);
	assert_int_equal(aq_sha256(s->canonical, strlen(s->canonical),
				   s->digest, &err), 0);
	snprintf(text, sizeof(text), "key %u", n);
	assert_int_equal(aq_sha256(text, strlen(text), s->key, &err), 0);
	make_lock(s, n);
	snprintf(text, sizeof(text), "value %u", n);
	aq_envops_add(&ops, AQ_ENVOP_SET, "AQ_SAMPLE", text);
	memcpy(s->ops, aq_str_get(&ops), ops.len);
	s->env = (struct aq_env){ .generation = generation,
				  .kind = AQ_ENV_CREATED,
				  .python = "3.12.1",
				  .reason = "",
				  .created = 1000 + n,
				  .last_used = 1000 + n,
				  .build_ms = 7,
				  .size_own = 11,
				  .size_shared = 13,
				  .packages = 1,
				  .uid = 1000 + n,
				  .ops = s->ops,
				  .ops_len = ops.len };
	memcpy(s->env.lock, s->lock->digest, sizeof(s->env.lock));
	aq_env_make_name(s->env.lock, generation, s->env.name);
	s->tie = (struct aq_binding){ .key = s->key,
				      .digest = s->digest,
				      .context = "context\n",
				      .canonical = s->canonical };
	aq_str_free(&ops);
	return s;
}

void sample_free(struct sample *s)
{
	aq_lock_free(s->lock);
	free(s);
}

/* -- files -- */

unsigned long count_of(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 10) : otherwise;
}

char *path_below(const char *dir, const char *name)
{
	char *path = NULL;

	assert_true(asprintf(&path, "%s/%s", dir, name) > 0);
	return path;
}

void scribble(const char *path, long offset, const void *mem, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, mem, len, offset), (ssize_t)len);
	close(fd);
}

unsigned int mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode & 07777;
}

int hold_hit(struct aq_refs *refs, const struct aq_step *step, const char *env,
	     uint64_t now)
{
	const struct aq_tally hit = { .n[AQ_TALLY_HIT] = 1 };

	return aq_refs_hold_built(refs, step, env, now, &hit, NULL);
}

struct aq_store *must_open_store(const struct aq_conf *conf,
				 enum aq_store_mode mode)
{
	struct aq_store *store = NULL;
	struct aq_err err = { 0 };

	if (aq_store_open(conf, mode, &store, &err) != 0)
		fail_msg("%s", err.text);
	return store;
}

void commit_sample(struct aq_store *store, const struct sample *s)
{
	struct aq_err err = { 0 };

	if (aq_store_commit(store, &s->env, &s->tie, &err) != 0)
		fail_msg("%s", err.text);
}
