/* SPDX-License-Identifier: Apache-2.0 */
/* Where symbolic links of a prefix lead, as whoever uses it would follow them. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "builder/seal_inside.h"
#include "common/trust.h"
#include "common/walk.h"

struct way {
	struct build *b;
	const char *link;     /* that is judged */
	int root;
	char at[PATH_MAX];    /* in the prefix, directories and no link */
	char rest[2 * PATH_MAX];
	unsigned int links;
};

static int refuse(const struct way *w, const char *what, struct aq_err *err)
{
	return seal_refuse(w->b, w->link, what, err);
}

/* The absolute 'path': back into the prefix (w->rest is set), or out of it, which
 * ends the way.
 */
static int go_to(struct way *w, const char *path, bool *ret_is_over,
		 struct aq_err *err)
{
	const struct build *b = w->b;
	const char *in = aq_path_in(path, b->prefix), *rest;

	*ret_is_over = !in;
	w->at[0] = '\0';
	if (in)
		return aq_copy_text(w->rest, sizeof(w->rest), in) ?
			0 : refuse(w, "a link that is too long", err);
	if (aq_path_climbs(path))
		return refuse(w, "a link that climbs out of the environment", err);
	rest = b->kind == AQ_ENV_INHERITED ? aq_path_in(path, b->base_prefix) : NULL;
	if (rest)
		return 0;
	if (aq_path_in(path, b->conf->cache_dir) || aq_trust_lasting(path, NULL) != 0)
		return refuse(w, "a link to what others than root can change",
			      err);
	return 0;
}

/* ".." of the prefix itself: envs/, where the base is. */
static int climb(struct way *w, bool *ret_is_over, struct aq_err *err)
{
	char path[3 * PATH_MAX];

	snprintf(path, sizeof(path), "%.*s%s",
		 (int)(strrchr(w->b->prefix, '/') - w->b->prefix),
		 w->b->prefix, w->rest);
	return go_to(w, path, ret_is_over, err);
}

/* The link at w->at leads to 'target'. */
static int follow(struct way *w, const char *target, bool *ret_is_over,
		  struct aq_err *err)
{
	char path[3 * PATH_MAX];
	char *slash = strrchr(w->at, '/');

	if (++w->links > AQ_TRUST_LINKS_MAX)
		return refuse(w, "a link that leads in circles", err);
	snprintf(path, sizeof(path), "%s%s", target, w->rest);
	if (*target == '/')
		return go_to(w, path, ret_is_over, err);
	*(slash ? slash : w->at) = '\0';
	return snprintf(w->rest, sizeof(w->rest), "/%s", path) <
			       (int)sizeof(w->rest) ?
		       0 : refuse(w, "a link that is too long", err);
}

/* Go to the first part of w->rest. */
static int step(struct way *w, bool *ret_is_over, struct aq_err *err)
{
	char target[PATH_MAX];
	size_t skip = strspn(w->rest, "/"), at = strlen(w->at);
	size_t len = strcspn(w->rest + skip, "/");
	const char *part = w->rest + skip;
	bool is_up = len == 2 && strncmp(part, "..", 2) == 0;
	ssize_t n;

	if (!is_up && len && !(len == 1 && *part == '.') &&
	    snprintf(w->at + at, sizeof(w->at) - at, "%s%.*s", at ? "/" : "",
		     (int)len, part) >= (int)(sizeof(w->at) - at))
		return refuse(w, "a link that is too long", err);
	memmove(w->rest, part + len, strlen(part + len) + 1);
	if (is_up && !at)
		return climb(w, ret_is_over, err);
	if (is_up)
		*(strrchr(w->at, '/') ? strrchr(w->at, '/') : w->at) = '\0';
	if (is_up || strlen(w->at) == at)
		return 0;
	n = readlinkat(w->root, w->at, target, sizeof(target) - 1);
	if (n < 0) {
		/* what is not there stays so: nobody can write here any more */
		*ret_is_over = errno == ENOENT || errno == ENOTDIR;
		return *ret_is_over || errno == EINVAL ?
			0 : aq_fail_errno(err, "cannot read link '%s'", w->at);
	}
	target[n] = '\0';
	return follow(w, target, ret_is_over, err);
}

int seal_judge_link(struct build *b, int root, const char *path,
		    struct aq_err *err)
{
	struct way w = { .b = b, .link = path, .root = root };
	bool is_over = false;
	int rc;

	rc = snprintf(w.rest, sizeof(w.rest), "/%s", path) <
			     (int)sizeof(w.rest) ?
		     0 : refuse(&w, "a link that is too long", err);
	while (!rc && !is_over && w.rest[0])
		rc = step(&w, &is_over, err);
	return rc;
}

struct links {
	struct build *b;
	int root;
};

static int judge_entry(const struct aq_walk_entry *e, void *arg,
		       struct aq_err *err)
{
	const struct links *l = arg;

	return S_ISLNK(e->st->st_mode) ?
		       seal_judge_link(l->b, l->root, e->path, err) : 0;
}

int seal_judge_links(struct build *b, int root, struct aq_err *err)
{
	struct links l = { b, root };

	return b->is_personal ? 0 : aq_walk(root, ".", judge_entry, &l, err);
}
