/* SPDX-License-Identifier: Apache-2.0 */
#include "common/reqfile_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/direct.h"
#include "common/pep508.h"
#include "common/request.h"
#include "common/text.h"
#include "common/vspec.h"

/* A path that -r or -c names, joined to its file's directory. */
#define INCLUDE_PATH_MAX 4096

static int open_file(const char *path, int *ret_fd, struct aq_err *err)
{
	/* O_NONBLOCK: a FIFO without a writer is empty, not for ever */
	int fd = strcmp(path, "-") == 0
			 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
			 : open(path,
				O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0) {
		int class = errno == ENOENT || errno == EACCES ||
					    errno == ENOTDIR ||
					    errno == ENAMETOOLONG ||
					    errno == ELOOP
				    ? AQ_USER
				    : AQ_SYS;

		aq_fail_errno(err, "cannot open it");
		if (err)
			err->class = class;
		return class;
	}
	*ret_fd = fd;
	return 0;
}

static int fail_budget(const struct aq_file_budget *budget, struct aq_err *err)
{
	if (budget->bytes > AQ_REQUEST_FILE_MAX)
		return aq_fail(err, AQ_USER,
			       "is over %zu KiB: write what it needs into a "
			       "req.yaml",
			       budget->bytes / 1024);
	return aq_fail(err, AQ_USER,
		       "is over %d KiB with what it includes (%d KiB of pip's "
		       "'--hash' options aside): a request is smaller",
		       AQ_REQUEST_FILE_MAX / 1024,
		       AQ_REQUEST_HASHES_MAX / 1024);
}

/* Take off what a file of 'len' bytes, which say 'text', has. */
static int spend(struct aq_file_budget *budget, size_t len, const char *text,
		 struct aq_err *err)
{
	size_t hashes = budget->hashes ? reqfile_hashes_len(text) : 0;

	if (hashes > len) /* never: UTF-16 is the longer */
		hashes = len;
	if (hashes > budget->hashes || len - hashes > budget->bytes)
		return fail_budget(budget, err);
	budget->bytes -= len - hashes;
	budget->hashes -= hashes;
	return 0;
}

int aq_file_read(const char *path, bool regular, struct aq_file_budget *budget,
		 struct aq_str *out, struct stat *ret_st, struct aq_err *err)
{
	size_t max = budget->bytes + budget->hashes;
	cleanup_str struct aq_str raw = AQ_STR_INIT(max);
	cleanup_close int fd = -1;
	struct stat st;
	int rc;

	/* before it is opened: some devices do something then, and root may check
	 * what somebody else wrote
	 */
	if (regular && stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return aq_fail(err, AQ_USER, "is not a regular file");
	rc = open_file(path, &fd, err);
	if (rc)
		return rc;
	if (fstat(fd, &st) < 0)
		return aq_fail_errno(err, "cannot look at it");
	if (S_ISDIR(st.st_mode) || (regular && !S_ISREG(st.st_mode)))
		return aq_fail(err, AQ_USER, "is not a regular file");
	if (strcmp(path, "-") != 0 &&
	    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) < 0)
		return aq_fail_errno(err, "cannot read it");
	rc = aq_text_read(fd, max, &raw, err);
	if (rc == AQ_USER)
		return fail_budget(budget, err);
	if (rc)
		return rc;
	if (ret_st)
		*ret_st = st;
	rc = aq_text_decode(aq_str_get(&raw), raw.len, out, err);
	return rc ? rc : spend(budget, raw.len, aq_str_get(out), err);
}

/* A wheel's file is what it is now: its hash becomes part of the request. */
static int judge_direct(const struct aq_pip *pip, struct aq_requirement *r,
			const char *text, bool constraint, struct aq_err *err)
{
	cleanup_str struct aq_str url = AQ_STR_INIT(AQ_SPEC_MAX);
	enum aq_input input = aq_direct_input(r->url);
	char show[AQ_SHOW_SIZE];
	int rc = aq_policy_check(pip->policy, input, aq_show(text, show), err);

	if (!rc && constraint)
		rc = aq_fail(err, AQ_USER,
			     "constraint '%s' is a URL: write it as a requirement",
			     aq_show(text, show));
	if (rc || input != AQ_INPUT_LOCAL)
		return rc;
	rc = aq_direct_hash(r->url, &url, err);
	if (!rc)
		rc = aq_text_done(&url, "a URL", err);
	if (rc)
		return rc;
	free(r->url);
	r->url = steal(&url.s);
	return 0;
}

/* "./a-1.0-py3-none-any.whl" as a direct reference. */
static int read_path(const struct aq_pip *pip, const char *file,
		     const char *text, struct aq_str *ret, struct aq_err *err)
{
	char show[AQ_SHOW_SIZE];
	int rc = aq_policy_check(pip->policy, AQ_INPUT_LOCAL,
				 aq_show(text, show), err);

	if (!rc)
		rc = aq_direct_read(text, file, ret, err);
	return rc ? rc : aq_text_done(ret, "a requirement", err);
}

static int normalise(const struct aq_pip *pip, const char *file,
		     const char *text, bool constraint, struct aq_str *out,
		     struct aq_err *err)
{
	cleanup_requirement struct aq_requirement r = { 0 };
	cleanup_str struct aq_str direct = AQ_STR_INIT(AQ_SPEC_MAX);
	char show[AQ_SHOW_SIZE];
	int rc = 0;

	if (aq_direct_is_path(text)) {
		rc = read_path(pip, file, text, &direct, err);
		text = aq_str_get(&direct);
	}
	if (!rc)
		rc = aq_requirement_parse(text, &r, err);
	if (!rc && constraint && r.extras.n)
		rc = aq_fail(err, AQ_USER,
			     "constraint '%s' has extras, which pip does not "
			     "take: leave them out",
			     aq_show(text, show));
	if (!rc && !constraint && !r.url && strcmp(r.name, "python") == 0)
		rc = aq_fail(err, AQ_USER,
			     "'%s' is no package of pip's: remove it, and write "
			     "Python's version as 'python=3.12' below "
			     "'dependencies:' of an environment.yml",
			     aq_show(text, show));
	if (!rc && r.url)
		rc = judge_direct(pip, &r, text, constraint, err);
	if (rc)
		return rc;
	aq_requirement_print(&r, out);
	return aq_text_done(out, "a requirement", err);
}

/* Whether all of 'text' is --hash=ALGORITHM:DIGEST, once or more. */
static bool is_hashes(const char *text)
{
	static const char option[] = "--hash";

	while (*text) {
		if (!aq_starts_with(text, option))
			return false;
		text += strlen(option);
		if (!*text || !strchr("= \t", *text))
			return false;
		text += strspn(text, "= \t");
		text += strcspn(text, " \t");
		text += strspn(text, " \t");
	}
	return true;
}

/* A requirement's end: hashes that pip would compare may stand behind it. */
static size_t before_hashes(struct aq_pip *pip, struct aq_place at,
			    const char *text)
{
	const char *hashes = strstr(text, " --hash");

	if (!hashes)
		hashes = strstr(text, "\t--hash");
	if (!hashes || !is_hashes(hashes + 1))
		return strlen(text); /* other options are refused where it is parsed */
	if (!pip->has_told_hashes)
		aq_place_note(pip->warnings, at,
			      "'--hash' has no effect: packages are held by "
			      "their versions, and come from where the "
			      "administrator says");
	pip->has_told_hashes = true;
	return (size_t)(hashes - text);
}

static void add_requirement(struct aq_pip *pip, struct aq_place at,
			    const char *line, bool constraint)
{
	cleanup_str struct aq_str out = AQ_STR_INIT(AQ_SPEC_MAX);
	cleanup_free char *text = strndup(line, before_hashes(pip, at, line));
	struct aq_err err;

	if (!text) {
		aq_fail(&err, AQ_SYS, "out of memory for a requirement");
		aq_problem_err(pip->problems, at, &err);
	} else if (normalise(pip, at.file, text, constraint, &out, &err) != 0)
		aq_problem_err(pip->problems, at, &err);
	else
		aq_strv_add(constraint ? pip->constraints : pip->requirements,
			    aq_str_get(&out));
}

void aq_pip_requirement(struct aq_pip *pip, struct aq_place at,
			const char *text)
{
	add_requirement(pip, at, text, false);
}

/* pip: a '#' at the start or behind white space begins a comment; '\' at a
 * line's end joins it with the next, but not that of a line which is a comment.
 * 'line' is one of a file's, its end cut.
 */
static void strip_line(char *line)
{
	size_t len;

	for (char *c = line; *c; c++)
		if (*c == '#' && (c == line || strchr(" \t", c[-1]))) {
			*c = '\0';
			break;
		}
	len = strlen(line);
	while (len && strchr(" \t\r\f\v", line[len - 1]))
		line[--len] = '\0';
}

/* The lines of 'text', which it cuts: a file's from its first one on, or all at 'at'. */
static void read_lines(struct aq_pip *pip, struct aq_place at, bool is_file,
		       char *text, bool constraint)
{
	size_t number = at.line, column = at.column;

	while (text) {
		char *end = text, *next;

		for (;;) {
			bool is_comment = end[strspn(end, " \t\f")] == '#';

			end += strcspn(end, "\n");
			number++;
			if (end == text || end[-1] != '\\' || is_comment)
				break;
			end[-1] = ' ';
			if (!*end)
				break;
			*end = ' ';
		}
		next = *end ? end + 1 : NULL;
		*end = '\0';
		strip_line(text);
		at.column = column + (is_file ? strspn(text, " \t") : 0);
		aq_pip_line(pip, at, text, constraint);
		if (is_file)
			at.line = number;
		text = next;
	}
}

static void read_file(struct aq_pip *pip, const char *file, char *text,
		      bool constraint)
{
	const struct aq_place first = { file, 1, 1 };

	read_lines(pip, first, true, text, constraint);
}

/* Read the file that a line at 'at' includes. */
static void include(struct aq_pip *pip, struct aq_place at, const char *name,
		    bool constraint)
{
	cleanup_str struct aq_str path = AQ_STR_INIT(INCLUDE_PATH_MAX);
	cleanup_str struct aq_str text = AQ_STR_INIT(
		2 * (AQ_REQUEST_FILE_MAX + AQ_REQUEST_HASHES_MAX));
	const char *slash = strrchr(at.file, '/');
	char show[AQ_SHOW_SIZE];
	struct aq_err err;
	struct stat st;

	if (pip->depth >= AQ_INCLUDE_DEPTH_MAX) {
		aq_problem(pip->problems, at,
			   "more than %d files that include each other",
			   AQ_INCLUDE_DEPTH_MAX);
		return;
	}
	if (*name != '/' && slash)
		aq_str_add_mem(&path, at.file, (size_t)(slash - at.file) + 1);
	aq_str_add(&path, name);
	if (path.broken || aq_file_read(aq_str_get(&path), true, &pip->budget,
					&text, &st, &err)) {
		if (path.broken)
			aq_fail(&err, AQ_USER, "its path is too long");
		aq_problem(pip->problems, at, "included file '%s': %s",
			   aq_show(name, show), err.text);
		return;
	}
	for (int i = 0; i < pip->depth; i++)
		if (pip->open[i].dev == st.st_dev &&
		    pip->open[i].ino == st.st_ino) {
			aq_problem(pip->problems, at,
				   "included file '%s' includes itself",
				   aq_show(name, show));
			return;
		}
	pip->open[pip->depth].dev = st.st_dev;
	pip->open[pip->depth++].ino = st.st_ino;
	if (text.len)
		read_file(pip, aq_str_get(&path), text.s, constraint);
	pip->depth--;
}

/* -r and -c: the name may be quoted, as a shell would. */
static void read_include(struct aq_pip *pip, struct aq_place at,
			 const char *value, bool constraint)
{
	char name[INCLUDE_PATH_MAX], show[AQ_SHOW_SIZE];
	size_t len = strlen(value);

	if (len >= 2 && strchr("'\"", *value) && value[len - 1] == *value) {
		value++;
		len -= 2;
	}
	if (!len || len >= sizeof(name)) {
		aq_problem(pip->problems, at,
			   "the name of the included file is missing");
		return;
	}
	memcpy(name, value, len);
	name[len] = '\0';
	if (aq_starts_with(name, "file:") && name[5] != '/') /* pip before 21 */
		memmove(name, name + 5, len - 4);
	if (strstr(name, "://"))
		aq_problem(pip->problems, at,
			   "included file '%s' is a URL: write the path of a "
			   "file",
			   aq_show(name, show));
	else
		include(pip, at, name, constraint);
}

void aq_pip_line(struct aq_pip *pip, struct aq_place at, const char *text,
		 bool constraint)
{
	const char *value;

	text += strspn(text, " \t\f");
	if (!*text || *text == '#')
		return;
	value = reqfile_option_value(text, "-r");
	if (!value)
		value = reqfile_option_value(text, "--requirement");
	if (value) {
		read_include(pip, at, value, false);
		return;
	}
	value = reqfile_option_value(text, "-c");
	if (!value)
		value = reqfile_option_value(text, "--constraint");
	if (value) {
		read_include(pip, at, value, true);
		return;
	}
	if (*text == '-')
		reqfile_option(pip, at, text);
	else
		add_requirement(pip, at, text, constraint);
}

void aq_pip_item(struct aq_pip *pip, struct aq_place at, const char *text)
{
	cleanup_free char *lines = strdup(text);
	struct aq_err err;

	if (lines) {
		read_lines(pip, at, false, lines, false);
	} else {
		aq_fail(&err, AQ_SYS, "out of memory for a requirement");
		aq_problem_err(pip->problems, at, &err);
	}
}

/* "dependencies:", which no requirement is: where it stands, or line 0. */
static struct aq_place find_key(const char *file, const char *text)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz_-";
	struct aq_place at = { file, 1, 1 };

	while (*text && (*text == '#' || *text == '\n')) {
		text = aq_next_line(text);
		at.line++;
	}
	text += strspn(text, letters);
	if (*text != ':' || !text[1] || !strchr(" \t\n", text[1]))
		at.line = 0;
	return at;
}

void aq_pip_text(struct aq_pip *pip, const char *file, char *text)
{
	struct aq_place at = find_key(file, text);

	if (at.line)
		aq_problem(pip->problems, at,
			   "an environment file's key where pip's requirements "
			   "belong: give an environment file a name that ends "
			   "with '.yaml'");
	else
		read_file(pip, file, text, false);
}
