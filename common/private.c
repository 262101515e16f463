/* SPDX-License-Identifier: Apache-2.0 */
#include "common/private.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/acl.h"
#include "common/grow.h"
#include "common/io.h"
#include "common/str.h"
#include "common/url.h"

#define PATH_SIZE 1024
#define SUB "private"
#define USER_FILE "user"
#define USER_MAX 256      /* bytes of an account's name */
#define DOMAINS_MAX 65536 /* of one node */
#define PASSWD_SIZE 16384 /* an entry of passwd(5), with what NSS makes of it */

/* -- making one -- */

static int set_text(char **field, char *text, struct aq_err *err)
{
	if (!text)
		return aq_fail(err, AQ_SYS, "out of memory for the configuration");
	free(*field);
	*field = text;
	return 0;
}

static int set_below(char **field, const char *dir, uid_t uid,
		     struct aq_err *err)
{
	char *text = NULL;

	if (asprintf(&text, "%s/" SUB "/%u", dir, (unsigned int)uid) < 0)
		text = NULL;
	return set_text(field, text, err);
}

/* What the site has for its own builds alone. */
static int drop_sites_own(struct aq_conf *conf, struct aq_err *err)
{
	int rc = set_text(&conf->credentials, strdup(""), err);

	if (!rc)
		rc = set_text(&conf->shared_dir, strdup(""), err);
	if (!rc && aq_url_has_secret(conf->proxy))
		rc = set_text(&conf->proxy, strdup(""), err);
	return rc;
}

/* A hit is of this user's name too. */
static uint64_t mix(uint64_t stamp, const char *user)
{
	return stamp ^ aq_hash(user, strlen(user));
}

static int load(const struct aq_conf *site, uid_t uid, const char *user,
		struct aq_conf **ret, struct aq_err *err)
{
	cleanup_conf struct aq_conf *conf = NULL;
	int rc = aq_conf_load(site->path, site->node, &conf, err);

	if (!rc)
		rc = set_below(&conf->cache_dir, site->cache_dir, uid, err);
	if (!rc)
		rc = set_below(&conf->run_dir, site->run_dir, uid, err);
	if (!rc)
		rc = set_below(&conf->public_dir, site->public_dir, uid, err);
	if (!rc)
		rc = set_text(&conf->builder_user, strdup(user), err);
	if (!rc)
		rc = set_text(&conf->probe_user, strdup(user), err);
	if (!rc)
		rc = set_text((char **)&conf->domain.user, strdup(user), err);
	if (!rc)
		rc = drop_sites_own(conf, err);
	if (rc)
		return rc;
	aq_strv_free(&conf->bases);
	conf->domain.kind = AQ_PRIVATE;
	conf->domain.uid = uid;
	conf->stamp = mix(conf->stamp, user);
	*ret = steal(&conf);
	return 0;
}

static int find_user(uid_t uid, char ret[USER_MAX], struct aq_err *err)
{
	cleanup_free char *buf = malloc(PASSWD_SIZE);
	struct passwd pw, *found = NULL;

	if (uid == 0)
		return aq_fail(err, AQ_USER,
			       "root has no private environments: ask for a repository, a local file or a build from source as the user who needs it");
	if (!buf)
		return aq_fail(err, AQ_SYS, "out of memory for an account");
	if (getpwuid_r(uid, &pw, buf, PASSWD_SIZE, &found) != 0 || !found ||
	    !aq_copy_text(ret, USER_MAX, found->pw_name) || !*ret)
		return aq_fail(err, AQ_SYS,
			       "there is no account with uid %u on this node",
			       (unsigned int)uid);
	return 0;
}

int aq_private_enter(struct aq_conf **conf, uid_t uid, struct aq_err *err)
{
	struct aq_conf *own = NULL;
	char user[USER_MAX];
	int rc = find_user(uid, user, err);

	if (!rc)
		rc = load(*conf, uid, user, &own, err);
	if (rc)
		return rc;
	own->site = *conf;
	*conf = own;
	return 0;
}

/* -- those that are there -- */

static void name_below(const char *dir, uid_t uid, char *ret, size_t size)
{
	snprintf(ret, size, "%s/" SUB "/%u", dir, (unsigned int)uid);
}

static bool is_there(const char *dir, uid_t uid)
{
	char path[PATH_SIZE];

	name_below(dir, uid, path, sizeof(path));
	return uid && access(path, F_OK) == 0;
}

void aq_private_run_dir(const struct aq_conf *site, uid_t uid, char *ret,
			size_t size)
{
	name_below(site->run_dir, uid, ret, size);
}

bool aq_private_is_in_use(const struct aq_conf *site, uid_t uid)
{
	return is_there(site->run_dir, uid);
}

bool aq_private_exists(const struct aq_conf *site, uid_t uid)
{
	return is_there(site->cache_dir, uid);
}

bool aq_private_is_public(const struct aq_conf *site, uid_t uid)
{
	return is_there(site->public_dir, uid);
}

static int let_in(const char *dir, uid_t uid, struct aq_err *err)
{
	cleanup_close int fd = -1;
	int rc = aq_open_dir(AT_FDCWD, dir, &fd, err);

	if (!rc)
		rc = aq_acl_let_read(fd, uid, err);
	return rc ? aq_fail_prefix(err, "'%s'", dir) : 0;
}

static int check_user(const struct aq_conf *conf, struct aq_err *err)
{
	cleanup_str struct aq_str was = AQ_STR_INIT(USER_MAX);
	const char *user = conf->domain.user;
	cleanup_close int dir = -1;
	int rc = aq_open_dir(AT_FDCWD, conf->cache_dir, &dir, err);

	if (!rc)
		rc = aq_read_file(dir, USER_FILE, &was, err);
	/* empty: whoever made it was killed; it had not got further */
	if (rc == AQ_MISS || (!rc && !was.len))
		return aq_write_file(dir, USER_FILE, user, strlen(user), err);
	if (!rc && strcmp(aq_str_get(&was), user) != 0)
		return aq_fail(err, AQ_SYS,
			       "'%s' was made for user '%.64s', whose uid '%.64s' has now: tell the administrator to remove it",
			       conf->cache_dir, aq_str_get(&was), user);
	return rc;
}

int aq_private_settle(const struct aq_conf *conf, struct aq_err *err)
{
	int rc = check_user(conf, err);

	if (!rc)
		rc = let_in(conf->cache_dir, conf->domain.uid, err);
	return rc ? rc : let_in(conf->public_dir, conf->domain.uid, err);
}

/* -- all of them -- */

struct uids {
	uid_t *v;
	size_t n;
};

static void free_uids(struct uids *uids)
{
	free(uids->v);
}

static int add_uid(const char *name, void *arg, struct aq_err *err)
{
	struct uids *uids = arg;
	uint64_t uid;

	if (!aq_parse_u64(name, UINT32_MAX - 1, &uid) || !uid)
		return 0;
	if (!aq_grow(uids->v, uids->n, DOMAINS_MAX))
		return aq_fail_errno(err, "cannot list the private domains");
	uids->v[uids->n++] = (uid_t)uid;
	return 0;
}

static int by_number(const void *a, const void *b)
{
	const uid_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int list(const struct aq_conf *site, struct uids *ret,
		struct aq_err *err)
{
	char path[PATH_SIZE];
	cleanup_close int fd = -1;
	int rc;

	snprintf(path, sizeof(path), "%s/" SUB, site->cache_dir);
	rc = aq_open_dir(AT_FDCWD, path, &fd, err);
	if (rc)
		return rc == AQ_MISS ? 0 : rc;
	rc = aq_each_entry(fd, path, add_uid, ret, err);
	if (ret->n > 1)
		qsort(ret->v, ret->n, sizeof(*ret->v), by_number);
	return rc;
}

int aq_private_open(struct aq_conf **conf, uid_t uid, struct aq_err *err)
{
	cleanup_str struct aq_str user = AQ_STR_INIT(USER_MAX);
	struct aq_conf *own = NULL;
	char path[PATH_SIZE];
	int rc;

	snprintf(path, sizeof(path), "%s/" SUB "/%u/" USER_FILE,
		 (*conf)->cache_dir, (unsigned int)uid);
	rc = aq_read_file(AT_FDCWD, path, &user, err);
	if (!rc)
		rc = load(*conf, uid, aq_str_get(&user), &own, err);
	if (rc)
		return rc;
	own->site = *conf;
	*conf = own;
	return 0;
}

int aq_private_one(const struct aq_conf *site, uid_t uid,
		   aq_private_each_fn *fn, void *arg, struct aq_err *err)
{
	cleanup_conf struct aq_conf *conf = NULL;
	int rc = aq_conf_load(site->path, site->node, &conf, err);

	if (!rc)
		rc = aq_private_open(&conf, uid, err);
	if (rc) /* it is just being made */
		return rc == AQ_MISS ? 0 : rc;
	return fn(conf, arg, err);
}

int aq_private_each(const struct aq_conf *site, aq_private_each_fn *fn,
		    void *arg, struct aq_err *err)
{
	__attribute__((cleanup(free_uids))) struct uids uids = { 0 };
	int rc = list(site, &uids, err);

	for (size_t i = 0; !rc && i < uids.n; i++)
		rc = aq_private_one(site, uids.v[i], fn, arg, err);
	return rc;
}
