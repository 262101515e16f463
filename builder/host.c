/* SPDX-License-Identifier: Apache-2.0 */
#include "builder/host.h"

#include <ctype.h>
#include <string.h>

#include "builder/caches.h"
#include "builder/cage.h"
#include "builder/dialect.h"
#include "common/clock.h"
#include "common/flock.h"

/* That a client may take: conda looks for a driver in a process of its own. */
#define ASK_SECONDS 30

/* What it says of this node, "NAME VERSION BUILD" lines; false: nothing. */
static bool ask_client(struct build *b, struct aq_str *lines)
{
	const int64_t deadline_ms = b->deadline_ms, now = aq_now_ms();
	const enum build_verdict verdict = b->verdict;
	cleanup_close int caches = -1;
	struct aq_err err = { 0 };
	int rc = caches_enter(b, &caches, &err);

	if (deadline_ms - now > ASK_SECONDS * 1000)
		b->deadline_ms = now + ASK_SECONDS * 1000;
	if (!rc)
		rc = cage_prepare(b, &err);
	if (!rc)
		rc = client_tell(b, lines, &err);
	b->deadline_ms = deadline_ms;
	b->verdict = verdict;
	if (rc)
		say(b, "the client cannot tell what this node has: %.300s",
		    err.text);
	return rc == 0;
}

void host_ask(struct build *b, bool is_anew)
{
	cleanup_str struct aq_str lines = AQ_STR_INIT(AQ_HOST_MAX);
	cleanup_close int lock = -1;
	struct aq_err err = { 0 };
	struct aq_host host;
	uint64_t stamp;
	bool is_told;

	if (b->is_host_asked ||
	    aq_flock_wait(b->conf, "host", AQ_FLOCK_EXCLUSIVE, build_is_over, b,
			  &lock, NULL) != 0)
		return;
	aq_host_find(b->conf, &host);
	if ((host.is_asked || host.is_silent) && !is_anew)
		return;
	b->is_host_asked = true;
	stamp = aq_host_stamp(AQ_HOST_DRIVER);
	is_told = ask_client(b, &lines);
	/* a cancelled one could have told the next */
	if (!is_told && build_is_over(b))
		return;
	if (aq_host_keep(b->conf, stamp, is_told ? aq_str_get(&lines) : NULL,
			 &err) != 0)
		say(b, "cannot remember what this node has: %s", err.text);
}

void host_find(struct build *b, const struct aq_lock *lock, struct aq_host *ret)
{
	int rc = 0;

	aq_host_find(b->conf, ret);
	for (size_t i = 0; rc != AQ_MISS && i < lock->virtuals.n; i++)
		rc = aq_host_has(ret, lock->virtuals.v[i], NULL);
	if (rc != AQ_MISS)
		return;
	host_ask(b, false);
	aq_host_find(b->conf, ret);
}

int host_check(struct build *b, const struct aq_lock *lock, struct aq_err *err)
{
	struct aq_host host;
	int rc = 0;

	host_find(b, lock, &host);
	for (size_t i = 0; rc != AQ_USER && i < lock->virtuals.n; i++)
		rc = aq_host_has(&host, lock->virtuals.v[i], err);
	return rc == AQ_USER && !host.is_silent ? rc : 0;
}

void host_note_lock(struct build *b)
{
	uint64_t stamp = aq_host_stamp(AQ_HOST_DRIVER);

	/* else each look-up would send for another */
	if (host_check(b, b->lock, NULL) == AQ_USER)
		(void)!aq_host_keep(b->conf, stamp, NULL, NULL);
}

void host_add_overrides(const struct build *b, struct aq_strv *env)
{
	const struct aq_strv *list = &b->conf->virtuals;

	for (size_t i = 0; i < list->n; i++) {
		const char *name = list->v[i] + strlen("__");
		const char *value = strchr(name, '=') + 1;
		char upper[16] = "";

		for (size_t k = 0; name[k] != '=' && k + 1 < sizeof(upper); k++)
			upper[k] = (char)toupper((unsigned char)name[k]);
		/* a processor's name is a build of version 1 */
		if (aq_starts_with(value, "1=") && strcmp(upper, "ARCHSPEC") == 0)
			value += strlen("1=");
		aq_strv_add_fmt(env, "CONDA_OVERRIDE_%s=%s", upper, value);
	}
}
