/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a lock: what is parsed is printed as it was, made of its items in
 * any order it is the same, and what clients are given of it leads back to it.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "builder/pylock.h"
#include "common/explicit.h"
#include "common/lock.h"

const char fuzz_name[] = "lock";

/* The items from the last to the first, each twice. */
static struct aq_lock *make_again(const struct aq_lock *lock)
{
	struct aq_lock *again = NULL;
	struct aq_err err = { 0 };

	fuzz_check(!aq_lock_new(lock->platform, &again, &err));
	again->python = lock->python ? strdup(lock->python) : NULL;
	memcpy(again->base, lock->base, sizeof(again->base));
	for (size_t i = lock->virtuals.n; i-- > 0;)
		aq_strv_add(&again->virtuals, lock->virtuals.v[i]);
	for (size_t i = 2 * lock->n_items; i-- > 0;) {
		const struct aq_lock_item *item = &lock->items[i / 2];

		fuzz_check_text(!aq_lock_add(again, item->kind, item->url,
					     item->sha256, item->name,
					     item->version, item->build, &err),
				err.text);
	}
	fuzz_check_text(!aq_lock_finish(again, &err), err.text);
	return again;
}

static void check_made(const struct aq_lock *lock)
{
	cleanup_lock struct aq_lock *again = NULL;

	if (2 * lock->n_items > AQ_LOCK_ITEMS_MAX)
		return;
	again = make_again(lock);
	fuzz_check(again->text_len == lock->text_len &&
		   strcmp(again->text, lock->text) == 0 &&
		   strcmp(again->digest, lock->digest) == 0);
}

static void check_explicit(const struct aq_lock *lock)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(AQ_LOCK_MAX);
	size_t n = 0;

	aq_explicit_print(lock, NULL, &out);
	fuzz_check(!out.broken && aq_explicit_is(aq_str_get(&out)));
	for (const char *p = aq_str_get(&out); (p = strstr(p, "\nhttp")); p++)
		n++;
	for (const char *p = aq_str_get(&out); (p = strstr(p, "\nfile")); p++)
		n++;
	fuzz_check(n == aq_lock_count(lock, AQ_LOCK_CONDA));
}

/* Its Python packages as a pylock, and that as lines of a lock. */
static void check_pylock(const struct aq_lock *lock)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(2 * AQ_LOCK_MAX);
	cleanup_str struct aq_str lines = AQ_STR_INIT(AQ_LOCK_MAX);
	cleanup_strv struct aq_strv sources = AQ_STRV_INIT(AQ_LOCK_ITEMS_MAX);
	const char *first = NULL;
	struct aq_err err = { 0 };

	for (size_t i = 0; i < lock->n_items; i++)
		if (lock->items[i].kind == AQ_LOCK_SOURCE)
			aq_strv_add(&sources, lock->items[i].name);
	pylock_write(lock, NULL, &text);
	fuzz_check(!text.broken);
	fuzz_check_text(!pylock_read(aq_str_get(&text), NULL, &sources, &lines,
				     &err), err.text);
	for (const char *p = lock->text; *p && !first; p = aq_next_line(p))
		if (aq_starts_with(p, "wheel ") || aq_starts_with(p, "source ") ||
		    aq_starts_with(p, "vcs "))
			first = p;
	fuzz_check_text(strcmp(first ? first : "", aq_str_get(&lines)) == 0,
			aq_str_get(&lines));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = fuzz_input(data, size);
	cleanup_lock struct aq_lock *lock = NULL;
	struct aq_err err = { 0 };
	int rc = aq_lock_parse(in.at, size, &lock, &err);

	if (rc) {
		fuzz_check_text(rc == AQ_CORRUPT && !lock, err.text);
		return 0;
	}
	fuzz_check(lock->text_len == size &&
		   memcmp(lock->text, in.at, size) == 0);
	check_made(lock);
	check_explicit(lock);
	check_pylock(lock);
	return 0;
}
