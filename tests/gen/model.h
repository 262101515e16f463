/* SPDX-License-Identifier: Apache-2.0 */
/* Requests as meanings, made at random: what the generated-pairs test spells
 * in many ways and changes one thing of.
 */
#ifndef AQ_GEN_MODEL_H
#define AQ_GEN_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/str.h"

/* A small generator with a fixed sequence for each seed (xorshift64*,
 * Vigna 2016): the same pairs on every machine.
 */
struct rng {
	uint64_t state;
};

uint32_t rng_below(struct rng *r, uint32_t n); /* 0 … n-1 */
bool rng_chance(struct rng *r, uint32_t percent);

enum { MAX_LIST = 5, MAX_CONDITIONS = 3 };

enum form { FORM_ANY, FORM_PREFIX, FORM_EXACT, FORM_RANGE, FORM_EITHER };

/* Numbers of a version: "1.2.3", perhaps with a pre-release behind. */
struct version {
	int n, part[3];
	int pre; /* 0: none, else rcN */
};

struct condition {
	int op; /* index into gen_ops */
	struct version v;
};

extern const char *const gen_ops[4]; /* ">=", "<", "!=", "<=" */

/* What versions will do.  FORM_EITHER: the first or the second condition. */
struct wanted {
	enum form form;
	int n; /* conditions */
	struct condition c[MAX_CONDITIONS];
};

struct package {
	int name; /* index into gen_names */
	struct wanted wanted;
	int build;	     /* conda: 0 none, else index into gen_builds */
	int channel;	     /* conda: -1 none, else a channel */
	unsigned int extras; /* pip: a set of bits into gen_extras */
	int marker;	     /* pip: 0 none, else index into gen_markers */
};

enum {
	N_NAMES = 12,
	N_BUILDS = 5,
	N_EXTRAS = 3,
	N_MARKERS = 5,
	N_CHANNELS = 3
};
extern const char *const gen_names[N_NAMES];
extern const char *const gen_builds[N_BUILDS];
extern const char *const gen_extras[N_EXTRAS];
extern const char *const gen_channels[N_CHANNELS];

struct model {
	bool has_python;
	struct wanted python;
	int n_channels, channels[N_CHANNELS];
	int n_conda, n_pip, n_variables;
	struct package conda[MAX_LIST], pip[MAX_LIST];
	struct {
		int name, value;
	} variables[MAX_LIST];
};

/* A request at random; never an empty one. */
void model_make(struct rng *r, struct model *m);

/* Change one thing of its meaning; returns what, for messages. */
const char *model_mutate(struct rng *r, struct model *m);

/* Append a req.yaml that means 'm', in one of many spellings. */
void model_spell(struct rng *r, const struct model *m, struct aq_str *out);

/* Parts of it, spelt: for the tests of single specs. */
void spell_conda(struct rng *r, const struct package *p, struct aq_str *out);
void spell_pip(struct rng *r, const struct package *p, struct aq_str *out);

#endif
