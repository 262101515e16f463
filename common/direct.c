/* SPDX-License-Identifier: Apache-2.0 */
#include "common/direct.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/sha256.h"
#include "common/text.h"
#include "common/url.h"

#define URL_MAX 2048
#define FILE_SCHEME "file://"
/* The user whom git's hosts give to everybody (PEP 610); http needs none. */
#define ANYBODY "git@"
#define HASH "#sha256="
#define SUBDIRECTORY "#subdirectory="
/* Of a wheel that a request names, in bytes: it is read at submission. */
#define WHEEL_MAX ((size_t)4 * 1024 * 1024 * 1024)

static const char *const repositories[] = { "git+https://", "git+http://",
					    "git+file:///" };

/* -- URLs -- */

const char *aq_direct_find(const char *text)
{
	const char *at = strchr(text, '@');
	const char *marker = strchr(text, ';');

	if (!at || at == text || (marker && marker < at))
		return NULL;
	at++;
	return at + strspn(at, " \t");
}

/* What no shell, git or URL parser reads as anything else. */
static bool is_plain(const char *text)
{
	for (; *text; text++)
		if (!isalnum((unsigned char)*text) &&
		    !strchr("-_.~+=,:/@%", *text))
			return false;
	return true;
}

static int fail_url(const char *url, const char *why, struct aq_err *err)
{
	char show[AQ_SHOW_SIZE];

	return aq_fail(err, AQ_USER, "'%s' %s", aq_show(url, show), why);
}

/* How much of it is a repository's scheme; 0: it is none that is known. */
static size_t repository(const char *url)
{
	for (size_t i = 0; i < ARRAY_LEN(repositories); i++)
		if (aq_starts_with(url, repositories[i]))
			return strlen(repositories[i]);
	return 0;
}

static int judge_repository(const char *url, char *rest, struct aq_err *err)
{
	char *fragment = strchr(rest, '#');
	const char *revision;

	if (aq_url_userinfo(rest, strlen(rest)))
		return aq_fail(err, AQ_USER,
			       "a repository's URL has credentials in it: builds have none, name one that all can read");
	if (fragment && (!aq_starts_with(fragment, SUBDIRECTORY) ||
			 !fragment[strlen(SUBDIRECTORY)] ||
			 fragment[strlen(SUBDIRECTORY)] == '/' ||
			 aq_path_climbs(fragment + strlen(SUBDIRECTORY)) ||
			 !is_plain(fragment + 1)))
		return fail_url(url, "has something else behind '#' than subdirectory=PATH",
				err);
	if (fragment)
		*fragment = '\0';
	revision = strrchr(rest, '@');
	if (!is_plain(rest) || strchr("-@/", *rest) ||
	    strchr("-/", revision ? revision[1] : 'x') ||
	    (revision && !revision[1]))
		return fail_url(url, "is no repository's URL: write 'git+https://HOST/PATH@REVISION'",
				err);
	return 0;
}

static int judge_wheel(const char *url, char *path, struct aq_err *err)
{
	char *hash = strstr(path, HASH);

	if (hash && !aq_is_hex(hash + strlen(HASH), AQ_SHA256_HEX_SIZE - 1))
		return fail_url(url, "has no SHA-256 behind '#sha256='", err);
	if (hash)
		*hash = '\0';
	if (*path != '/' || strchr(path, '%') || !is_plain(path) ||
	    aq_path_climbs(path))
		return fail_url(url, "has characters in its path that a local file here must not have: letters, digits, and any of -_.~+=,:/@",
				err);
	return aq_ends_with(path, ".whl") ?
		0 : fail_url(url, "is no wheel: write 'NAME==VERSION' for a released package (what 'pip freeze' wrote in conda's environments is where it was built), or make one with 'pip wheel --no-deps', and name that",
			     err);
}

int aq_direct_url(const char *url, size_t len, struct aq_str *ret,
		  struct aq_err *err)
{
	char whole[URL_MAX], copy[URL_MAX];
	size_t scheme, skip = strlen(ANYBODY);
	int rc;

	if (!len)
		return aq_fail(err, AQ_USER, "a URL is missing behind '@'");
	if (!aq_copy_mem(whole, sizeof(whole), url, len))
		return aq_fail(err, AQ_USER, "a URL is over %d bytes",
			       URL_MAX - 1);
	scheme = repository(whole);
	if (scheme && aq_starts_with(whole + scheme, ANYBODY))
		memmove(whole + scheme, whole + scheme + skip,
			strlen(whole + scheme + skip) + 1);
	memcpy(copy, whole, sizeof(copy));
	if (scheme)
		rc = judge_repository(whole, copy + scheme, err);
	else if (aq_starts_with(whole, FILE_SCHEME "/"))
		rc = judge_wheel(whole, copy + strlen(FILE_SCHEME), err);
	else
		rc = fail_url(whole, "is a URL, which this site does not install from: name a released package, or a repository as 'NAME @ git+https://HOST/PATH'",
			      err);
	if (!rc)
		aq_str_add(ret, whole);
	return rc;
}

enum aq_input aq_direct_input(const char *url)
{
	return repository(url) ? AQ_INPUT_VCS : AQ_INPUT_LOCAL;
}

const char *aq_direct_sha256(const char *url)
{
	const char *hash = strstr(url, HASH);

	return hash ? hash + strlen(HASH) : NULL;
}

/* -- a wheel -- */

bool aq_direct_is_path(const char *text)
{
	size_t len = strcspn(text, " \t;#");

	return *text && *text != '-' && !strstr(text, "://") &&
	       (strchr("./~", *text) || memchr(text, '/', len) ||
		(len > 4 && memcmp(text + len - 4, ".whl", 4) == 0));
}

static int hash_file(const char *path, char ret[AQ_SHA256_HEX_SIZE],
		     struct aq_err *err)
{
	cleanup_close int fd = open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK |
						  O_CLOEXEC);
	char show[AQ_SHOW_PATH_SIZE];
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return aq_fail(err, AQ_USER, "cannot read '%s': %s",
			       aq_show_path(path, show), strerrordesc_np(errno));
	if (!S_ISREG(st.st_mode))
		return aq_fail(err, AQ_USER, "'%s' is no file: make a wheel with 'pip wheel --no-deps', and name that",
			       aq_show_path(path, show));
	return aq_sha256_fd(fd, WHEEL_MAX, ret, err);
}

int aq_direct_hash(const char *url, struct aq_str *ret, struct aq_err *err)
{
	const char *has = aq_direct_sha256(url);
	char sha256[AQ_SHA256_HEX_SIZE], path[URL_MAX];
	size_t len = has ? (size_t)(has - strlen(HASH) - url) : strlen(url);
	int rc;

	if (!aq_copy_mem(path, sizeof(path), url + strlen(FILE_SCHEME),
			 len - strlen(FILE_SCHEME)))
		return fail_url(url, "is too long", err);
	rc = hash_file(path, sha256, err);
	if (!rc && has && strcmp(has, sha256) != 0)
		rc = fail_url(url, "is another file by now than the one with that hash",
			      err);
	if (!rc)
		aq_str_add_fmt(ret, "%.*s" HASH "%s", (int)len, url, sha256);
	return rc;
}

int aq_direct_read(const char *path, const char *file, struct aq_str *ret,
		   struct aq_err *err)
{
	cleanup_str struct aq_str url = AQ_STR_INIT(URL_MAX);
	cleanup_str struct aq_str clean = AQ_STR_INIT(URL_MAX);
	const char *slash = strrchr(file, '/'), *name;
	char from[2 * PATH_MAX], whole[PATH_MAX], show[AQ_SHOW_PATH_SIZE];
	size_t len = strcspn(path, " \t;#");
	int rc;

	if (path[len + strspn(path + len, " \t")])
		return fail_url(path, "has something behind its path", err);
	snprintf(from, sizeof(from), "%.*s%.*s",
		 *path != '/' && slash ? (int)(slash - file) + 1 : 0, file,
		 (int)len, path);
	if (!realpath(from, whole))
		return aq_fail(err, AQ_USER, "cannot find '%s': %s",
			       aq_show_path(from, show), strerrordesc_np(errno));
	aq_str_add_fmt(&url, FILE_SCHEME "%s", whole);
	rc = aq_str_done(&url, "a path", err);
	if (!rc)
		rc = aq_direct_url(aq_str_get(&url), url.len, &clean, err);
	if (rc)
		return rc;
	name = strrchr(whole, '/') + 1;
	aq_str_add_fmt(ret, "%.*s @ ", (int)strcspn(name, "-"), name);
	return aq_direct_hash(aq_str_get(&clean), ret, err);
}
