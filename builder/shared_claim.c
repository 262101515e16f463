/* SPDX-License-Identifier: Apache-2.0 */
/* Who works at a key for all nodes: shared_dir.h says why so. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "builder/shared_inside.h"
#include "common/clock.h"
#include "common/io.h"

/* In place of a node, whose name does not begin so. */
#define OVER "-over-"
#define CLAIM_MAX 256 /* bytes */

static void name_claim(const struct shared_dir *d, const struct shared_claim *c,
		       uint64_t n, char ret[SHARED_NAME_SIZE])
{
	snprintf(ret, SHARED_NAME_SIZE, "%s.%s%" PRIu64, d->key, c->kind, n);
}

/* Always as long, so that it is overwritten in one call. */
static size_t write_text(const struct shared_claim *c, char ret[CLAIM_MAX])
{
	return (size_t)snprintf(ret, CLAIM_MAX, "%-79s %010lu\n", c->who,
				c->renewed);
}

void shared_claim_init(struct shared_claim *c, const char *kind, const char *node)
{
	uint32_t random = 0;

	*c = (struct shared_claim){ .kind = kind, .fd = -1 };
	(void)!getrandom(&random, sizeof(random), 0);
	snprintf(c->who, sizeof(c->who), "%.48s %d %08" PRIx32, node, getpid(),
		 random);
}

/* Another's claim 'n' is there.  Whether it is nobody's by now. */
static bool is_stale(const struct shared_dir *d, struct shared_claim *c,
		     uint64_t n, bool *ret_is_given_up)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(CLAIM_MAX);
	char name[SHARED_NAME_SIZE];
	int64_t now = aq_now_ms();
	bool is_other;

	name_claim(d, c, n, name);
	/* what cannot be read does not change */
	(void)!shared_read_own(d, name, &text, NULL);
	if (aq_starts_with(aq_str_get(&text), OVER)) {
		*ret_is_given_up = c->n == n;
		return true;
	}
	is_other = c->n != n ||
		   strncmp(c->seen, aq_str_get(&text), sizeof(c->seen) - 1) != 0;
	if (!is_other)
		return now - c->since >= SHARED_STALE_MS;
	c->n = n;
	c->since = now;
	snprintf(c->seen, sizeof(c->seen), "%.*s", (int)sizeof(c->seen) - 1,
		 aq_str_get(&text));
	return false;
}

/* Ours is the claim 'n', if nobody else was faster. */
static int take_number(const struct shared_dir *d, struct shared_claim *c,
		       uint64_t n, struct aq_err *err)
{
	char text[CLAIM_MAX], made[SHARED_NAME_SIZE], name[SHARED_NAME_SIZE];
	cleanup_close int fd = -1;
	int rc = shared_write_new(d, text, write_text(c, text), made, err);

	if (rc)
		return rc;
	fd = openat(d->fd, made, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		rc = aq_fail_errno(err, "cannot open '%s'", made);
	name_claim(d, c, n, name);
	if (!rc)
		rc = shared_give_name(d, made, name, err);
	(void)unlinkat(d->fd, made, 0);
	if (rc)
		return rc;
	c->n = n;
	c->fd = steal_fd(&fd);
	return 0;
}

/* *ret is the number of the last one, which is nobody's by now; 0: there was none. */
static int look(const struct shared_dir *d, struct shared_claim *c, uint64_t *ret,
		struct aq_err *err)
{
	bool is_given_up = false;
	int rc = shared_find_highest(d, c->kind, SHARED_NUMBER_MAX + 1, ret, err);

	if (rc)
		return rc;
	if (*ret && !is_stale(d, c, *ret, &is_given_up))
		return AQ_BUSY;
	return is_given_up ? aq_fail(err, AQ_MISS, "who resolved it has given up") : 0;
}

int shared_claim_look(const struct shared_dir *d, struct shared_claim *c,
		      struct aq_err *err)
{
	uint64_t n = 0;

	return look(d, c, &n, err);
}

int shared_claim_take(const struct shared_dir *d, struct shared_claim *c,
		      struct aq_err *err)
{
	char name[SHARED_NAME_SIZE];
	bool is_given_up = false;
	uint64_t n = 0;
	int rc = look(d, c, &n, err);

	if (rc)
		return rc;
	rc = take_number(d, c, n + 1, err);
	if (rc == AQ_BUSY) /* who was faster has it */
		(void)is_stale(d, c, n + 1, &is_given_up);
	name_claim(d, c, n, name);
	if (!rc && n)
		(void)unlinkat(d->fd, name, 0);
	return rc;
}

void shared_claim_renew(struct shared_claim *c)
{
	char text[CLAIM_MAX];
	size_t len;

	if (c->fd < 0)
		return;
	c->renewed++;
	len = write_text(c, text);
	/* where this fails others resolve too */
	(void)!pwrite(c->fd, text, len, 0);
	(void)!fdatasync(c->fd);
}

void shared_claim_drop(const struct shared_dir *d, struct shared_claim *c,
		       bool is_over)
{
	char name[SHARED_NAME_SIZE];

	if (c->fd < 0)
		return;
	name_claim(d, c, c->n, name);
	if (is_over) {
		(void)!pwrite(c->fd, OVER, strlen(OVER), 0);
		(void)!fdatasync(c->fd);
	} else {
		(void)unlinkat(d->fd, name, 0);
	}
	aq_close_fd(&c->fd);
}

bool shared_claim_adopt(const struct shared_dir *d, struct shared_claim *c)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(CLAIM_MAX);
	const size_t head = strcspn(c->who, " ") + 1;
	char name[SHARED_NAME_SIZE];
	uint64_t n = 0;

	if (shared_find_highest(d, c->kind, SHARED_NUMBER_MAX + 1, &n, NULL) != 0 || !n)
		return false;
	name_claim(d, c, n, name);
	if (shared_read_own(d, name, &text, NULL) != 0 ||
	    strncmp(aq_str_get(&text), c->who, head) != 0)
		return false;
	c->fd = openat(d->fd, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	c->n = n;
	shared_claim_renew(c);
	return c->fd >= 0;
}
