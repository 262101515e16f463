/* SPDX-License-Identifier: Apache-2.0 */
/* Digests of files with several names: environments share most of theirs, and
 * reading them is what takes long.
 */
#include <stdlib.h>
#include <string.h>

#include "common/sums.h"
#include "common/verify_inside.h"

struct hash {
	ino_t inode; /* 0: free */
	off_t size;
	struct timespec mtime, ctime;
	char sha256[AQ_SHA256_HEX_SIZE];
};
struct aq_verify_hashes {
	struct hash *v;
	size_t n, size; /* size: a power of two, at most half full */
};
#define HASHES_MAX 2000000 /* more are read once more */

void verify_hashes_free(struct aq_verify_hashes *h)
{
	if (h)
		free(h->v);
	free(h);
}

static struct hash *find(const struct aq_verify_hashes *h, ino_t inode)
{
	size_t at = (size_t)(inode * 0x9e3779b97f4a7c15ull >> 20);

	for (;; at++) {
		struct hash *k = &h->v[at & (h->size - 1)];

		if (k->inode == inode || !k->inode)
			return k;
	}
}

static bool grow(struct aq_verify_hashes *h)
{
	struct aq_verify_hashes bigger = *h;

	if (h->n * 2 < h->size)
		return true;
	if (h->n >= HASHES_MAX)
		return false;
	bigger.size = h->size ? h->size * 2 : 4096;
	bigger.v = calloc(bigger.size, sizeof(*bigger.v));
	if (!bigger.v)
		return false;
	for (size_t i = 0; i < h->size; i++)
		if (h->v[i].inode)
			*find(&bigger, h->v[i].inode) = h->v[i];
	free(h->v);
	*h = bigger;
	return true;
}

static bool is_same(const struct hash *k, const struct stat *st)
{
	return k->size == st->st_size &&
	       memcmp(&k->mtime, &st->st_mtim, sizeof(k->mtime)) == 0 &&
	       memcmp(&k->ctime, &st->st_ctim, sizeof(k->ctime)) == 0;
}

int verify_hash(struct aq_verify *v, int dirfd, const char *name,
		const struct stat *st, bool is_met_again,
		char ret[AQ_SHA256_HEX_SIZE], struct aq_err *err)
{
	struct hash *k = NULL;
	int rc;

	if (!v->hashes)
		v->hashes = calloc(1, sizeof(*v->hashes));
	if (is_met_again && v->hashes && grow(v->hashes))
		k = find(v->hashes, st->st_ino);
	if (k && k->inode && is_same(k, st)) {
		memcpy(ret, k->sha256, AQ_SHA256_HEX_SIZE);
		return 0;
	}
	rc = aq_sums_file(dirfd, name, ret, err);
	if (rc || !k)
		return rc;
	if (!k->inode)
		v->hashes->n++;
	*k = (struct hash){ .inode = st->st_ino, .size = st->st_size,
			    .mtime = st->st_mtim, .ctime = st->st_ctim };
	memcpy(k->sha256, ret, AQ_SHA256_HEX_SIZE);
	return 0;
}
