/* SPDX-License-Identifier: Apache-2.0 */
/* builder/order.c: whose build begins next. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "builder/order.h"
#include "common/str.h"

#define TICKETS 64

/* A case as text: tickets in the order of their arrival, "USER:KEY" each, with
 * '*' behind one that is built, '-' behind one whose key another one holds; who
 * was served, the last one at the end.
 */
struct queue {
	struct ticket v[TICKETS];
	uint32_t served[TICKETS];
	struct order o;
};

static void read_case(struct queue *q, const char *tickets, const char *served,
		      uint64_t max_builds, uint64_t max_builds_user)
{
	char text[1024], *rest = text, *word;

	*q = (struct queue){ 0 };
	snprintf(text, sizeof(text), "%s", tickets);
	while ((word = strsep(&rest, " ")) && *word) {
		struct ticket *t = &q->v[q->o.n];
		char *end = word + strlen(word) - 1;

		t->state = *end == '*' ? TICKET_BUILDS :
			   *end == '-' ? TICKET_WAITS : TICKET_QUEUES;
		if (*end == '*' || *end == '-')
			*end = '\0';
		t->at = ++q->o.n;
		t->uid = (uint32_t)strtoul(word, &word, 10);
		snprintf(t->key, sizeof(t->key), "%s", word + 1);
	}
	snprintf(text, sizeof(text), "%s", served);
	for (rest = text; (word = strsep(&rest, " ")) && *word;)
		q->served[q->o.n_served++] = (uint32_t)strtoul(word, NULL, 10);
	q->o.v = q->v;
	q->o.served = q->served;
	q->o.max_builds = max_builds;
	q->o.max_builds_user = max_builds_user;
}

static const char *next_of(struct queue *q)
{
	static char text[64];
	const struct ticket *t = order_next(&q->o);

	if (!t)
		return "";
	snprintf(text, sizeof(text), "%u:%s", t->uid, t->key);
	return text;
}

static void next_one(void **state)
{
	static const struct {
		const char *tickets, *served;
		uint64_t max_builds, max_builds_user;
		const char *next;
	} cases[] = {
		{ "", "", 2, 1, "" },
		{ "1:a", "", 2, 1, "1:a" },
		/* who came first, within a user */
		{ "1:a 1:b", "", 2, 1, "1:a" },
		{ "1:a* 1:b 1:c", "1", 2, 1, "" },
		{ "1:a* 1:b 1:c", "1", 2, 2, "1:b" },
		{ "1:a* 1:b* 1:c", "1", 2, 2, "" },
		{ "1:a* 1:b* 1:c", "1", 0, 0, "1:c" },
		/* another user's one is before the rest of many */
		{ "1:a* 1:b 1:c 1:d 2:e", "1", 2, 1, "2:e" },
		{ "1:a* 1:b 1:c 1:d 2:e", "1", 2, 2, "2:e" },
		{ "1:a* 1:b 1:c 1:d 2:e", "1", 1, 1, "" },
		{ "1:b 1:c 1:d 2:e", "1", 1, 1, "2:e" },
		/* users take turns: who was served least recently */
		{ "1:b 2:d 3:e", "3 1 2", 1, 1, "3:e" },
		{ "1:b 2:d 3:e", "3 2 1", 1, 1, "3:e" },
		{ "1:b 2:d", "3 2 1", 1, 1, "2:d" },
		{ "1:b 2:d 3:e", "1 2", 1, 1, "3:e" },
		/* one that was noted twice, by somebody who was killed */
		{ "1:b 2:d", "1 2 1", 1, 1, "2:d" },
		/* who may have no more keeps nobody else waiting */
		{ "1:a* 1:b 2:c", "2 3 1", 2, 1, "2:c" },
		{ "1:b 2:a* 2:c", "1 2", 2, 1, "1:b" },
		/* a key that is built already is nobody's turn */
		{ "1:a* 2:a- 3:b", "1", 2, 1, "3:b" },
		{ "1:a* 2:a-", "1", 2, 1, "" },
		/* built in the turn of whoever of its users is next */
		{ "1:a 1:b 1:c 2:c-", "1", 2, 1, "2:c" },
		{ "1:a* 1:b 1:c 2:c-", "1", 2, 1, "2:c" },
		/* nobody holds it: its holder was killed, another one will */
		{ "2:c- 1:a", "1", 2, 1, "1:a" },
		{ "2:c-", "1", 2, 1, "" },
		/* root's wait for nobody, and do not count */
		{ "1:a* 2:b* 1:c 0:d", "1 2", 2, 1, "0:d" },
		{ "1:a* 2:b* 1:c 0:c-", "1 2", 2, 1, "0:c" },
		{ "0:a* 0:b* 1:c", "", 1, 1, "1:c" },
		{ "0:a* 0:b", "", 1, 1, "0:b" },
	};
	struct queue q;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		read_case(&q, cases[i].tickets, cases[i].served,
			  cases[i].max_builds, cases[i].max_builds_user);
		if (strcmp(next_of(&q), cases[i].next) != 0)
			fail_msg("'%s' served '%s': '%s' is next, not '%s'",
				 cases[i].tickets, cases[i].served,
				 next_of(&q), cases[i].next);
	}
}

static void arrival_is_what_tickets_say(void **state)
{
	struct queue q;

	(void)state;
	read_case(&q, "1:a 1:b 1:c", "", 1, 1);
	q.v[0].at = 10;
	assert_string_equal(next_of(&q), "1:b");
}

static void how_many_are_before(void **state)
{
	static const struct {
		const char *tickets, *served, *key;
		size_t before;
	} cases[] = {
		{ "1:a", "", "a", 0 },
		{ "1:a* 1:b", "1", "b", 0 },
		{ "1:a* 1:b 1:c", "1", "c", 1 },
		/* one of each user's, then the next of each */
		{ "1:a 1:b 1:c 2:d 2:e", "", "d", 1 },
		{ "1:a 1:b 1:c 2:d 2:e", "", "e", 3 },
		{ "1:a 1:b 1:c 2:d 2:e", "", "c", 4 },
		{ "1:a 1:b 1:c 2:d 2:e", "1", "c", 4 },
		{ "1:a 1:b 1:c 2:d 2:e", "1", "a", 1 },
		/* a key counts once, in the first of its turns */
		{ "1:a 2:a- 3:a- 1:b", "", "b", 1 },
		{ "1:a 1:b 1:c 2:c-", "", "c", 1 },
		/* root's first */
		{ "1:a 0:b", "", "a", 1 },
		{ "1:a 0:b", "", "b", 0 },
	};
	struct queue q;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		read_case(&q, cases[i].tickets, cases[i].served, 2, 1);
		if (order_count_before(&q.o, cases[i].key) != cases[i].before)
			fail_msg("'%s' served '%s': %zu are before '%s', not %zu",
				 cases[i].tickets, cases[i].served,
				 order_count_before(&q.o, cases[i].key),
				 cases[i].key, cases[i].before);
	}
}

/* Run a queue to its end, one build at a time, and say in which order. */
static void play(struct queue *q, struct aq_str *ret)
{
	struct ticket *t;

	aq_str_truncate(ret, 0);
	while ((t = order_next(&q->o))) {
		uint32_t uid = t->uid;
		char key[ORDER_KEY_DIGITS + 1];
		size_t n = 0;

		memcpy(key, t->key, sizeof(key));
		aq_str_add(ret, key);
		for (size_t i = 0; i < q->o.n; i++)
			if (strcmp(q->v[i].key, key) != 0)
				q->v[n++] = q->v[i];
		q->o.n = n;
		n = 0;
		for (size_t i = 0; i < q->o.n_served; i++)
			if (q->served[i] != uid)
				q->served[n++] = q->served[i];
		q->served[n++] = uid;
		q->o.n_served = n;
	}
}

static void all_are_served_by_turns(void **state)
{
	cleanup_str struct aq_str order = AQ_STR_INIT(64);
	struct queue q;

	(void)state;
	read_case(&q, "1:a 1:b 1:c 1:d 1:e 2:f 2:g 3:h", "", 1, 1);
	play(&q, &order);
	assert_string_equal(aq_str_get(&order), "afhbgcde");
	read_case(&q, "1:a 1:b 1:c 2:c- 2:d 3:a- 3:b-", "", 1, 1);
	play(&q, &order);
	assert_string_equal(aq_str_get(&order), "acbd");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(next_one),
		cmocka_unit_test(arrival_is_what_tickets_say),
		cmocka_unit_test(how_many_are_before),
		cmocka_unit_test(all_are_served_by_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
