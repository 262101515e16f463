/* SPDX-License-Identifier: Apache-2.0 */
#include "common/envops.h"

#include <string.h>

static const char kind_letters[] = "SUPA"; /* by enum aq_envop_kind */
static const char template_letters[] = "supa";

static void add(struct aq_str *ops, char letter, const char *name,
		const char *value)
{
	aq_str_add_char(ops, letter);
	aq_str_add_mem(ops, name, strlen(name) + 1);
	aq_str_add_mem(ops, value, strlen(value) + 1);
}

void aq_envops_add(struct aq_str *ops, enum aq_envop_kind kind,
		   const char *name, const char *value)
{
	add(ops, kind_letters[kind], name, value);
}

void aq_envops_add_template(struct aq_str *ops, enum aq_envop_kind kind,
			    const char *name, const char *value)
{
	add(ops, template_letters[kind], name, value);
}

bool aq_is_env_name(const char *name, size_t len)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ_";

	if (!len || !strchr(first, name[0]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!name[i] || (!strchr(first, name[i]) &&
				 (name[i] < '0' || name[i] > '9')))
			return false;
	return true;
}

/* Every reference of a template is closed and names a variable. */
static bool is_template_sound(const char *value)
{
	while ((value = strchr(value, AQ_ENVOPS_REF))) {
		const char *end = strchr(++value, AQ_ENVOPS_REF_END);

		if (!end || !aq_is_env_name(value, (size_t)(end - value)))
			return false;
		value = end + 1;
	}
	return true;
}

/* The operation at *at; false if what is there is none. */
static bool next_op(const char **at, const char *end, struct aq_envop *ret)
{
	char letter = *(*at)++;
	const char *p = letter ? strchr(kind_letters, letter) : NULL;
	const char *nul;

	ret->is_template = !p;
	if (!p && letter)
		p = strchr(template_letters, letter);
	if (!p)
		return false;
	ret->kind = (enum aq_envop_kind)(
		p - (ret->is_template ? template_letters : kind_letters));
	ret->name = *at;
	nul = memchr(*at, '\0', (size_t)(end - *at));
	if (!nul || !aq_is_env_name(*at, (size_t)(nul - *at)))
		return false;
	*at = nul + 1;
	ret->value = *at;
	nul = memchr(*at, '\0', (size_t)(end - *at));
	if (!nul)
		return false;
	*at = nul + 1;
	return !ret->is_template || is_template_sound(ret->value);
}

bool aq_envops_each(const char *ops, size_t len,
		    bool (*each)(const struct aq_envop *op, void *arg),
		    void *arg)
{
	const char *at = ops, *end = ops + len;
	struct aq_envop op;

	while (at < end)
		if (!next_op(&at, end, &op) || !each(&op, arg))
			return false;
	return true;
}

static bool nothing(const struct aq_envop *op, void *arg)
{
	(void)op;
	(void)arg;
	return true;
}

bool aq_envops_is_sound(const char *ops, size_t len)
{
	return len <= AQ_ENVOPS_MAX && aq_envops_each(ops, len, nothing, NULL);
}
