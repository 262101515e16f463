/* SPDX-License-Identifier: Apache-2.0 */
/* The one table of aq.conf's keys: read by the parser, by `aq doctor` and by
 * the check that aq.conf(5) names every key with its default.
 */
#ifndef AQ_CONF_TABLE_H
#define AQ_CONF_TABLE_H

#include <stddef.h>

#include "common/conf.h"

enum aq_conf_type {
	AQ_CONF_TEXT,     /* char * */
	AQ_CONF_NAME,     /* char *, an account's name */
	AQ_CONF_DIR,      /* char *, absolute path, %n and %h expanded */
	AQ_CONF_FILE,     /* char *, absolute path or "" */
	AQ_CONF_LIST,     /* struct aq_strv, separated by white space */
	AQ_CONF_CHANNELS, /* name=URL, separated by white space */
	AQ_CONF_VIRTUALS, /* struct aq_strv, of NAME=VERSION[=BUILD] */
	AQ_CONF_POLICY,   /* enum aq_policy[AQ_INPUT_N] */
	AQ_CONF_SECONDS,  /* uint64_t */
	AQ_CONF_SIZE,     /* uint64_t, bytes; 500M: powers of 1024 */
	AQ_CONF_COUNT,    /* uint64_t */
	AQ_CONF_SWITCH,   /* uint64_t: yes is 1, no is 0 */
};

struct aq_conf_key {
	const char *name;
	enum aq_conf_type type;
	size_t offset;       /* of the field in struct aq_conf */
	const char *initial; /* the default, as one would write it */
	uint64_t max;        /* of numbers */
	const char *unit;    /* or what a value looks like */
	const char *help;
};

extern const struct aq_conf_key aq_conf_keys[];
extern const size_t aq_conf_n_keys;

/* -- conf_value.c -- */

#define AQ_CONF_ITEMS_MAX 1024 /* channels, find_links, warnings */

/* Where the value of 'key' is, of the type that it says. */
void *aq_conf_field(struct aq_conf *conf, const struct aq_conf_key *key);
/* Read 'value' as the key's type is written.  AQ_USER: it is none of that. */
AQ_CHECK int aq_conf_set_value(struct aq_conf *conf,
			       const struct aq_conf_key *key, const char *value,
			       struct aq_err *err);
/* Replace *dst, which is freed, by a copy of 'value'. */
AQ_CHECK int aq_conf_set_text(char **dst, const char *value, struct aq_err *err);
void aq_conf_drop_channels(struct aq_conf *conf);

#endif
