/* SPDX-License-Identifier: Apache-2.0 */
#include "common/answer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define IS_TERMINATED(array) (memchr(array, '\0', sizeof(array)) != NULL)

void aq_answer_begin(struct aq_answer *a)
{
	memset(a, 0, sizeof(*a));
	a->magic = AQ_ANSWER_MAGIC;
}

bool aq_answer_is_sound(const struct aq_answer *a)
{
	return a->magic == AQ_ANSWER_MAGIC &&
	       __atomic_load_n(&a->done, __ATOMIC_ACQUIRE) == 1 &&
	       a->class >= AQ_OK && a->class <= AQ_CORRUPT &&
	       IS_TERMINATED(a->resolution) && IS_TERMINATED(a->made) &&
	       IS_TERMINATED(a->key) && IS_TERMINATED(a->lock) && IS_TERMINATED(a->prefix) &&
	       IS_TERMINATED(a->log) && IS_TERMINATED(a->text) &&
	       a->ops_len <= sizeof(a->ops) &&
	       aq_envops_is_sound(a->ops, a->ops_len);
}

bool aq_answer_is_gone(const struct aq_answer *a)
{
	struct stat st;

	return lstat(a->prefix, &st) < 0 && errno == ENOENT;
}

bool aq_is_verbose(const char *value)
{
	return value && *value && strcmp(value, "0") != 0;
}

const char *aq_answer_env(const struct aq_answer *a)
{
	const char *slash = strrchr(a->prefix, '/');

	return slash ? slash + 1 : a->prefix;
}

void aq_answer_describe(const struct aq_answer *a, uint64_t us, char *ret,
			size_t size)
{
	char took[48] = "";

	if (us)
		snprintf(took, sizeof(took), ", found in %.1f ms",
			 (double)us / 1e3);
	snprintf(ret, size, "%s %s (%s)%s", a->resolution,
		 aq_answer_env(a), a->made, took);
}

void aq_answer_fail(struct aq_answer *a, enum aq_class class, const char *text)
{
	a->magic = AQ_ANSWER_MAGIC;
	a->class = (int32_t)class;
	a->ops_len = 0;
	snprintf(a->text, sizeof(a->text), "%s", text);
	__atomic_store_n(&a->done, 1, __ATOMIC_RELEASE);
}
