/* SPDX-License-Identifier: Apache-2.0 */
/* A prefix as builders leave it, for tests of the seal; they run as root. */
#ifndef AQ_SEALED_H
#define AQ_SEALED_H

#include "builder/builder.h"
#include "tests/unit/cachedir.h"

#define BUILDER 1234 /* whose it is */
#define OTHER 4321   /* somebody */
#define NAME "aaaaaaaaaaaaaaaaaaaa-1"
#define BASE "bbbbbbbbbbbbbbbbbbbb-1"
#define SITE "lib/python3.9/site-packages"

struct prefix {
	struct build b;
	int root;
};

/* cmocka's setup and teardown: *state is the struct aq_conf. */
int set_up(void **state);
int tear_down(void **state);

/* Make one that is harmless: conda's Python, a wheel; end() what it holds. */
void begin(struct prefix *p, const struct aq_conf *conf);
void end(struct prefix *p);
int seal_it(struct prefix *p, struct aq_err *err);

/* Put something of the builder's below it; give it to the builder. */
void put(const struct prefix *p, const char *path, const char *text);
void put_dir(const struct prefix *p, const char *path);
void put_link(const struct prefix *p, const char *path, const char *target);
void own(const struct prefix *p, const char *path);
void set_xattr(const struct prefix *p, const char *path, const char *name,
	       const void *value, size_t len);

typedef void maker(const struct prefix *p);

#endif
