/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as aq.conf: what is read can be written, and is the same then. */
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/conf_table.h"
#include "common/url.h"

const char fuzz_name[] = "conf";

#define NODE "n%1" /* a per cent sign is no placeholder there */
#define WARNINGS_MAX(len) (2 * (len) + 80)

/* The directory's path is trusted: it is ours, or below a sticky one of root's. */
static const char *write_conf(const char *mem, size_t len)
{
	static char path[4096];
	static int fd = -1;

	if (fd < 0) {
		snprintf(path, sizeof(path), "%s/aq.conf", fuzz_dir());
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	}
	fuzz_check(fd >= 0 && ftruncate(fd, 0) == 0 &&
		   pwrite(fd, mem, len, 0) == (ssize_t)len);
	return path;
}

/* -- writing -- */

static void add_text(struct aq_str *out, const char *text, bool is_dir)
{
	for (; *text; text++) {
		if (is_dir && *text == '%')
			aq_str_add_char(out, '%');
		aq_str_add_char(out, *text);
		/* blanks at a line's end are no part of a value */
		if (is_dir && !text[1] && strchr(" \t\r", *text))
			aq_str_add_char(out, '/');
	}
}

static void add_list(struct aq_str *out, const struct aq_strv *v)
{
	for (size_t i = 0; i < v->n; i++)
		aq_str_add_fmt(out, "%s ", v->v[i]);
}

static void add_policy(struct aq_str *out, const enum aq_policy *policy)
{
	for (int i = 0; i < AQ_INPUT_N; i++)
		aq_str_add_fmt(out, "%s=%s ", aq_input_name((enum aq_input)i),
			       policy[i] == AQ_POLICY_PRIVATE ? "private" :
								"refuse");
}

static void add_value(struct aq_str *out, const struct aq_conf *c,
		      const struct aq_conf_key *key)
{
	const char *field = (const char *)c + key->offset;
	bool is_dir = key->type == AQ_CONF_DIR;

	switch (key->type) {
	case AQ_CONF_TEXT:
	case AQ_CONF_NAME:
	case AQ_CONF_FILE:
	case AQ_CONF_DIR:
		add_text(out, *(const char *const *)field, is_dir);
		break;
	case AQ_CONF_LIST:
	case AQ_CONF_VIRTUALS:
		add_list(out, (const struct aq_strv *)field);
		break;
	case AQ_CONF_CHANNELS:
		for (size_t i = 0; i < c->n_channels; i++)
			aq_str_add_fmt(out, "%s=%s ", c->channels[i].name,
				       c->channels[i].url);
		break;
	case AQ_CONF_POLICY:
		add_policy(out, c->policy);
		break;
	case AQ_CONF_SWITCH:
		aq_str_add(out, *(const uint64_t *)field ? "yes" : "no");
		break;
	case AQ_CONF_SECONDS:
	case AQ_CONF_SIZE:
	case AQ_CONF_COUNT:
		aq_str_add_fmt(out, "%" PRIu64, *(const uint64_t *)field);
		break;
	}
}

static void write_all(struct aq_str *out, const struct aq_conf *c)
{
	for (size_t i = 0; i < aq_conf_n_keys; i++) {
		aq_str_add_fmt(out, "%s = ", aq_conf_keys[i].name);
		add_value(out, c, &aq_conf_keys[i]);
		aq_str_add_char(out, '\n');
	}
}

/* -- promises -- */

static void check_dir(const char *dir)
{
	fuzz_check_text(*dir == '/' && dir[1] && !aq_ends_with(dir, "/") &&
			!aq_path_climbs(dir), dir);
}

static void check_urls(const struct aq_strv *v)
{
	for (size_t i = 0; i < v->n; i++)
		fuzz_check_text(!aq_url_has_secret(v->v[i]), v->v[i]);
}

static void check_sound(const struct aq_conf *c, const char *path)
{
	fuzz_check(strcmp(c->path, path) == 0 && strcmp(c->node, NODE) == 0);
	check_dir(c->cache_dir);
	check_dir(c->run_dir);
	fuzz_check(aq_starts_with(c->public_dir, c->run_dir));
	for (size_t i = 0; i < c->n_channels; i++) {
		const struct aq_channel *ch = &c->channels[i];

		fuzz_check(*ch->name && aq_conf_channel(c, ch->name) &&
			   aq_conf_channel(c, ch->url));
		fuzz_check_text(!aq_url_has_secret(ch->url), ch->url);
	}
	fuzz_check_text(!aq_url_has_secret(c->pip_index), c->pip_index);
	check_urls(&c->find_links);
	check_urls(&c->bases);
	for (size_t i = 0; i < aq_conf_n_keys; i++) {
		const struct aq_conf_key *key = &aq_conf_keys[i];

		if (key->type >= AQ_CONF_SECONDS)
			fuzz_check_text(*(const uint64_t *)((const char *)c +
							    key->offset) <=
					key->max, key->name);
	}
}

static void check_warnings(const struct aq_conf *c, const char *path,
			   size_t size)
{
	size_t len = 0;

	for (size_t i = 0; i < c->warnings.n; i++) {
		fuzz_check(aq_starts_with(c->warnings.v[i], path));
		len += strlen(c->warnings.v[i]) - strlen(path);
	}
	/* a line has a key and its end at least, and its number is short */
	fuzz_check(len <= 16 * WARNINGS_MAX(size));
}

static void check_written(const struct aq_conf *c)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(SIZE_MAX / 2);
	cleanup_str struct aq_str again = AQ_STR_INIT(SIZE_MAX / 2);
	cleanup_conf struct aq_conf *read = NULL;
	struct aq_err err = { 0 };
	const char *path;

	write_all(&text, c);
	path = write_conf(aq_str_get(&text), text.len);
	fuzz_check_text(!aq_conf_load(path, NODE, &read, &err), err.text);
	fuzz_check(!read->warnings.n);
	write_all(&again, read);
	fuzz_check_text(strcmp(aq_str_get(&text), aq_str_get(&again)) == 0,
			aq_str_get(&text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = fuzz_input(data, size);
	const char *path = write_conf(in.at, size);
	cleanup_conf struct aq_conf *c = NULL;
	struct aq_err err = { 0 };
	int rc = aq_conf_load(path, NODE, &c, &err);

	fuzz_check_text(rc == 0 || rc == AQ_USER, err.text);
	if (rc) {
		fuzz_check_text(!c && strstr(err.text, path), err.text);
		return 0;
	}
	check_sound(c, path);
	fuzz_check(c->stamp == aq_hash(in.at, size));
	check_warnings(c, path, size);
	check_written(c);
	return 0;
}
