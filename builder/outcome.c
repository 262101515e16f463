/* SPDX-License-Identifier: Apache-2.0 */
/* What came of it: counted, and said to the user in one line. */
#include <stdio.h>
#include <time.h>

#include "builder/builder.h"
#include "builder/outcome.h"
#include "cli/units.h"
#include "common/clock.h"
#include "common/refs.h"

const char *outcome_resolution(enum aq_tally_what outcome)
{
	return outcome == AQ_TALLY_CREATED || outcome == AQ_TALLY_LINKED ||
			       outcome == AQ_TALLY_INHERITED ?
		       aq_tally_name(outcome) :
		       "reused";
}

enum aq_tally_what outcome_of_kind(enum aq_env_kind kind)
{
	return kind == AQ_ENV_INHERITED ? AQ_TALLY_INHERITED :
	       kind == AQ_ENV_LINKED	? AQ_TALLY_LINKED :
					  AQ_TALLY_CREATED;
}

static uint64_t less(uint64_t whole, uint64_t part)
{
	return whole > part ? whole - part : 0;
}

void outcome_note_build(struct build *b, struct aq_store *store,
			const struct aq_env *env)
{
	uint64_t n = 0, ms = 0, bytes = 0, *count = b->tally.n;

	count[AQ_TALLY_BUILD_MS] = env->build_ms;
	count[AQ_TALLY_BUILD_BYTES] = env->size_own;
	if (env->kind != AQ_ENV_INHERITED ||
	    aq_store_typical(store, AQ_ENV_CREATED, &n, &ms, &bytes, NULL) != 0 ||
	    !n)
		return;
	count[AQ_TALLY_INHERIT_MS] = less(ms, env->build_ms);
	count[AQ_TALLY_INHERIT_BYTES] = less(bytes, env->size_own);
}

/* Nothing is said of what was simply there. */
static void say_outcome(struct build *b, const struct aq_env *env,
			enum aq_tally_what outcome)
{
	uint64_t ms = (uint64_t)(aq_now_ms() - b->start_ms);
	char made[AQ_ENV_MADE_SIZE], time[UNITS_SIZE], own[UNITS_SIZE];
	char shared[UNITS_SIZE];

	if (outcome == AQ_TALLY_HIT)
		return;
	say_end(b); /* others have a line of their own */
	aq_env_say_made(env, made);
	if (outcome == AQ_TALLY_WAITED)
		say(b, "%s by another job, after %s of waiting", made,
		    units_ms(ms, time));
	else if (outcome == AQ_TALLY_BOUND)
		say(b, "resolved in %s to the packages of an environment that is there, nothing new on disk",
		    units_ms(ms, time));
	else
		say(b, "%s in %s, %s new on disk%s%s%s", made,
		    units_ms(env->build_ms, time), units_bytes(env->size_own, own),
		    env->size_shared ? ", " : "",
		    env->size_shared ? units_bytes(env->size_shared, shared) : "",
		    env->size_shared ? " shared with the package cache" : "");
}

void outcome_found(struct build *b, const struct aq_env *env,
		   enum aq_tally_what outcome)
{
	cleanup_refs struct aq_refs *refs = NULL;
	uint64_t now = (uint64_t)time(NULL);

	if (b->is_explain || (b->prefetch && outcome == AQ_TALLY_HIT))
		return;
	/* a base that is there is not looked for by anybody who would use it */
	if (!b->as_base || outcome != AQ_TALLY_HIT)
		b->tally.n[outcome] = 1;
	/* until this is written our step holds all that serves its digest */
	if (aq_refs_open(b->conf, &refs, NULL) == 0)
		(void)!(b->step ? aq_refs_hold_built(refs, b->step, env->name,
						     now, &b->tally, NULL) :
				  aq_refs_add_tally(refs, env->name, now,
						    &b->tally, NULL));
	say_outcome(b, env, outcome);
}

void outcome_failed(struct build *b, int rc)
{
	const enum aq_tally_what outcome =
		rc == AQ_USER ? AQ_TALLY_REFUSED :
		rc == AQ_BUSY || b->verdict == BUILD_ENDED ? AQ_TALLY_ENDED :
							     AQ_TALLY_FAULT;
	cleanup_refs struct aq_refs *refs = NULL;
	struct aq_tally tally = { 0 };

	tally.n[outcome] = 1;
	if (!build_is_look(b) && aq_refs_open(b->conf, &refs, NULL) == 0)
		(void)!aq_refs_add_tally(refs, NULL, (uint64_t)time(NULL),
					 &tally, NULL);
}
