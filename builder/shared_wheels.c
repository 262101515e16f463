/* SPDX-License-Identifier: Apache-2.0 */
/* Wheels that nodes share.  uv takes them as files whose path, time and name it knows
 * what it has unpacked by: where it has its cache they lie in one place as long as it
 * has that (common/collect_caches.c), so that environments still share what is unpacked.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "builder/shared.h"
#include "builder/shared_store.h"
#include "builder/shared_talk.h"
#include "common/io.h"
#include "common/layout.h"

/* "a+b.whl" may be "a%2Bb.whl" in a URL. */
static bool decode(const char *from, char *to, size_t size)
{
	size_t len = 0;

	for (; *from; from++) {
		unsigned int c = (unsigned char)*from;

		if (c == '%' && sscanf(from, "%%%2x", &c) == 1)
			from += 2;
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			    "0123456789._+!-", (int)c) || !c || len + 1 >= size)
			return false;
		to[len++] = (char)c;
	}
	to[len] = '\0';
	return len > 0;
}

bool shared_find_wheel(const struct aq_lock_item *wheel,
		       char path[PYLOCK_PATH_SIZE], char name[PYLOCK_NAME_SIZE],
		       const void *arg)
{
	const struct build *b = arg;
	char file[SHARED_ARCHIVE_SIZE], here[2 * BUILD_PATH_MAX];
	const char *slash = strrchr(wheel->url, '/');

	if (!b->wheels[0] || !slash || !shared_archive_name(wheel, file) ||
	    !decode(slash + 1, name, PYLOCK_NAME_SIZE))
		return false;
	snprintf(here, sizeof(here), "%s/%s/%s", b->work, b->wheels, file);
	/* whatever lies there: who installs compares it with the lock */
	return snprintf(path, PYLOCK_PATH_SIZE, "%s/%s/%s", b->inside,
			b->wheels, file) < PYLOCK_PATH_SIZE &&
	       faccessat(AT_FDCWD, here, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int shared_wheels(struct build *b, const char *program, bool is_kept,
		  struct aq_err *err)
{
	cleanup_strv struct aq_strv names = AQ_STRV_INIT(AQ_LOCK_ITEMS_MAX);
	const struct shared_wanted wanted = { &names, bundled_download_wheels,
					      NULL, program, b->wheels };
	struct aq_err why = { 0 };

	b->wheels[0] = '\0';
	if (!shared_is_used(b) || b->sharing.is_off)
		return 0;
	shared_add_names(b, AQ_LOCK_WHEEL, &names);
	if (!names.n || names.broken)
		return 0;
	if (is_kept)
		snprintf(b->wheels, sizeof(b->wheels), "%s", AQ_WORK_WHEEL_FILES);
	else if (shared_make_place(b, "wheels", b->wheels, &why) != 0)
		say(b, "shared_dir: %s", why.text);
	if (!b->wheels[0])
		return 0;
	say(b, "%zu wheels from other nodes, or for them", names.n);
	return shared_get(b, &wanted, err);
}
