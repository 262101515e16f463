/* SPDX-License-Identifier: Apache-2.0 */
/* Other people's environment files: each is accepted, and then reads back from
 * its canonical form and with other line ends as the same; or it is refused
 * for the reasons that its line of tests/data/env-files.tsv names.  A file
 * that has no line there may be either, but a refusal must be one of the
 * reasons known here.
 *
 *   AQ_FILES=DIR AQ_SRCDIR=DIR tests/env-files    TAP; every *.yml and *.yaml
 *   … tests/env-files --write                     such a table instead
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/request.h"
#include "common/str.h"
#include "common/text.h"

#define FILES_MAX 10000
#define FILE_MAX (1024 * 1024) /* some are bigger than requests may be */

/* The channels that such files name most. */
static const char *const channels[] = { "conda-forge", "bioconda", "defaults",
					"pytorch",     "nvidia",   "anaconda",
					"rapidsai",    "main",	   "rdkit",
					"bokeh",       "pyg" };

/* What a message says, and the reason's name in the table. */
static const struct reason {
	const char *name, *says;
} reasons[] = {
	{ "channel", "in the administrator's map" },
	{ "editable", "an editable install" },
	{ "repository", "is a URL or a repository" },
	{ "repository", "is a URL, which" },
	{ "repository", "is a repository, which" },
	{ "path", "is a local path" },
	{ "path", "is a local file, which" },
	{ "option", "is not supported: remove it," },
	{ "option", "has an option behind it" },
	{ "include", "cannot open it" },
	{ "conda-in-pip", "is a conda spec" },
	{ "quotes", "has quotes inside" },
	{ "template", "template" },
	{ "alias", "aliases are not supported" },
	{ "not-yaml", "not valid YAML" },
	{ "no-map", "not an environment file" },
	{ "lock", "lock file" },
	{ "devenv", "is conda-devenv's" },
	{ "unknown-key", "unknown key" },
	{ "empty-item", "empty item" },
	{ "empty-file", "the file is empty" },
	{ "asks-nothing", "nothing is asked for" },
	{ "pip-list", "'pip' needs a list" },
	{ "variables-map", "'variables' needs" },
	{ "too-big", "is over 64 KiB" },
};

static int fd = -1; /* a copy with other line ends */
static char fd_path[64];

/* The table's line of 'name': its reasons, or NULL. */
static const char *find_line(const char *table, const char *name, size_t *len)
{
	size_t n = strlen(name);

	for (const char *line = table; *line;) {
		const char *end = line + strcspn(line, "\n");

		if (strncmp(line, name, n) == 0 && line[n] == '\t') {
			*len = (size_t)(end - line) - n - 1;
			return line + n + 1;
		}
		line = *end ? end + 1 : end;
	}
	return NULL;
}

/* The reasons of all lines of 'text', sorted: "channel,path". */
static bool classify(const char *text, struct aq_str *out)
{
	struct aq_strv names = AQ_STRV_INIT(64);
	bool is_known = true;

	while (*text) {
		size_t len = strcspn(text, "\n"), i = 0;
		char line[AQ_ERR_TEXT_MAX];

		snprintf(line, sizeof(line), "%.*s", (int)len, text);
		while (i < ARRAY_LEN(reasons) && !strstr(line, reasons[i].says))
			i++;
		if (i < ARRAY_LEN(reasons))
			aq_strv_add(&names, reasons[i].name);
		else if (!aq_starts_with(line, "and "))
			is_known = false;
		text += len + (text[len] == '\n');
	}
	aq_strv_sort_unique(&names);
	for (size_t i = 0; i < names.n; i++)
		aq_str_add_fmt(out, "%s%s", i ? "," : "", names.v[i]);
	aq_strv_free(&names);
	return is_known && out->len;
}

static bool read_bytes(const char *path, struct aq_str *out)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	bool ok = file >= 0 && aq_text_read(file, FILE_MAX, out, NULL) == 0;

	if (file >= 0)
		close(file);
	return ok;
}

/* The same request from UTF-8 with "\r\n" at each line's end? */
static bool survives_crlf(const char *path, const struct aq_conf *conf,
			  const struct aq_request *req)
{
	cleanup_str struct aq_str raw = AQ_STR_INIT(FILE_MAX);
	cleanup_str struct aq_str text = AQ_STR_INIT(FILE_MAX);
	cleanup_str struct aq_str crlf = AQ_STR_INIT(2 * FILE_MAX);
	cleanup_request struct aq_request *again = NULL;
	struct aq_strv warnings = AQ_STRV_INIT(1000);
	int rc;

	if (!read_bytes(path, &raw) ||
	    aq_text_decode(aq_str_get(&raw), raw.len, &text, NULL))
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.s[i] == '\n' && (!i || text.s[i - 1] != '\r'))
			aq_str_add_char(&crlf, '\r');
		aq_str_add_char(&crlf, text.s[i]);
	}
	if (ftruncate(fd, 0) < 0 ||
	    pwrite(fd, crlf.s, crlf.len, 0) != (ssize_t)crlf.len)
		return false;
	rc = aq_request_read(fd_path, conf, &again, &warnings, NULL);
	aq_strv_free(&warnings);
	return !rc && strcmp(again->digest, req->digest) == 0;
}

static bool survives_parse(const struct aq_request *req,
			   const struct aq_conf *conf)
{
	cleanup_request struct aq_request *again = NULL;

	return aq_request_parse(req->canonical, req->canonical_len, conf,
				&again, NULL) == 0 &&
	       strcmp(again->digest, req->digest) == 0;
}

/* What happened to one file: "accepted", or the reasons; false if that is
 * wrong in itself.
 */
static bool try_file(const char *path, const struct aq_conf *conf,
		     struct aq_str *outcome, struct aq_err *err)
{
	cleanup_request struct aq_request *req = NULL;
	struct aq_strv warnings = AQ_STRV_INIT(1000);
	int rc = aq_request_read(path, conf, &req, &warnings, err);

	aq_strv_free(&warnings);
	if (rc)
		return classify(err->text, outcome) && rc == AQ_USER;
	aq_str_add(outcome, "accepted");
	aq_fail(err, AQ_USER, "does not read back as itself");
	return survives_parse(req, conf) && survives_crlf(path, conf, req);
}

static void check_file(size_t number, const char *dir, const char *name,
		       const struct aq_conf *conf, const char *table)
{
	cleanup_str struct aq_str outcome = AQ_STR_INIT(4096);
	cleanup_str struct aq_str path = AQ_STR_INIT(8192);
	const char *want;
	struct aq_err err = { 0 };
	size_t len = 0;
	bool ok;

	aq_str_add_fmt(&path, "%s/%s", dir, name);
	ok = try_file(aq_str_get(&path), conf, &outcome, &err);
	want = find_line(table, name, &len);
	if (want && (strlen(aq_str_get(&outcome)) != len ||
		     strncmp(want, aq_str_get(&outcome), len) != 0))
		ok = false;
	printf("%sok %zu - %s: %s\n", ok ? "" : "not ", number, name,
	       aq_str_get(&outcome));
	for (char *c = err.text; !ok && *c; c++)
		if (*c == '\n') /* one line of TAP */
			*c = ';';
	if (!ok)
		printf("# expected: %.*s\n# %s\n", want ? (int)len : 20,
		       want ? want : "something reasoned", err.text);
}

static bool list_files(const char *dir, struct aq_strv *names)
{
	cleanup_closedir DIR *d = opendir(dir);

	for (struct dirent *e; d && (e = readdir(d));)
		if (aq_ends_with(e->d_name, ".yml") ||
		    aq_ends_with(e->d_name, ".yaml"))
			aq_strv_add(names, e->d_name);
	aq_strv_sort(names);
	return d && names->n && !names->broken;
}

static void make_conf(struct aq_conf *conf, struct aq_channel *map)
{
	static char python[] = "3.12";

	for (size_t i = 0; i < ARRAY_LEN(channels); i++) {
		map[i].name = strdup(channels[i]);
		if (asprintf(&map[i].url, "https://mirror.example/%s",
			     channels[i]) < 0)
			exit(1);
	}
	conf->channels = map;
	conf->n_channels = ARRAY_LEN(channels);
	conf->default_python = python;
}

static void write_table(const char *dir, const struct aq_strv *names,
			const struct aq_conf *conf)
{
	for (size_t i = 0; i < names->n; i++) {
		cleanup_str struct aq_str outcome = AQ_STR_INIT(4096);
		cleanup_str struct aq_str path = AQ_STR_INIT(8192);
		struct aq_err err;

		aq_str_add_fmt(&path, "%s/%s", dir, names->v[i]);
		try_file(aq_str_get(&path), conf, &outcome, &err);
		printf("%s\t%s\n", names->v[i], aq_str_get(&outcome));
	}
}

int main(int argc, char **argv)
{
	const char *dir = getenv("AQ_FILES"), *src = getenv("AQ_SRCDIR");
	cleanup_str struct aq_str table = AQ_STR_INIT(FILE_MAX);
	cleanup_str struct aq_str path = AQ_STR_INIT(8192);
	struct aq_strv names = AQ_STRV_INIT(FILES_MAX);
	struct aq_channel map[ARRAY_LEN(channels)];
	struct aq_conf conf = { 0 };

	if (!dir) {
		puts("1..0 # SKIP AQ_FILES names no directory");
		return 0;
	}
	fd = memfd_create("crlf", MFD_CLOEXEC);
	snprintf(fd_path, sizeof(fd_path), "/proc/self/fd/%d", fd);
	aq_str_add_fmt(&path, "%s/tests/data/env-files.tsv", src ? src : ".");
	if (fd < 0 || !list_files(dir, &names)) {
		printf("1..1\nnot ok 1 - no environment files in %s\n", dir);
		return 1;
	}
	make_conf(&conf, map);
	if (argc > 1 && strcmp(argv[1], "--write") == 0) {
		write_table(dir, &names, &conf);
	} else if (!read_bytes(aq_str_get(&path), &table)) {
		printf("1..1\nnot ok 1 - cannot read %s\n", aq_str_get(&path));
		return 1;
	} else {
		printf("1..%zu\n", names.n);
		for (size_t i = 0; i < names.n; i++)
			check_file(i + 1, dir, names.v[i], &conf,
				   aq_str_get(&table));
	}
	for (size_t i = 0; i < conf.n_channels; i++) {
		free(map[i].name);
		free(map[i].url);
	}
	aq_strv_free(&names);
	return 0;
}
