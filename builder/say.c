/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/builder.h"
#include "common/text.h"

#define LINE_MAX_BYTES 512

static void write_line(int fd, const char *line, size_t len)
{
	/* a full pipe or disk loses progress, nothing else */
	if (fd >= 0 && write(fd, line, len) < 0)
		return;
}

void say(struct build *b, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	va_list ap;
	size_t len;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	aq_text_make_printable_text(line);
	len = strlen(line);
	for (size_t i = 0; i < len; i++) /* it is one line */
		line[i] = line[i] == '\n' ? ' ' : line[i];
	line[len++] = '\n';
	write_line(b->progress_fd, line, len);
	write_line(b->public_fd, line, len);
	write_line(b->log_fd, line, len);
}

void say_done(struct build *b, unsigned int done, unsigned int of)
{
	char line[64];
	int len = snprintf(line, sizeof(line), "[%u/%u]\n", done, of);

	if (!b->step)
		write_line(b->progress_fd, line, (size_t)len);
}

void say_to_log(const struct build *b, const char *text, size_t len)
{
	cleanup_free char *copy = b->log_fd < 0 ? NULL : malloc(len + 1);
	size_t n = 0;

	for (size_t i = 0; copy && i < len; i++) {
		bool is_end = text[i] == '\r' || text[i] == '\n';

		/* "\r\n" is one end of a line */
		if (!is_end || !n || copy[n - 1] != '\n' || text[i] != '\n' ||
		    text[i - 1] == '\n')
			copy[n++] = is_end ? '\n' : text[i];
	}
	if (copy)
		write_line(b->log_fd, copy, aq_text_make_printable(copy, n));
}

static void public_path(const struct build *b, char *path, size_t size)
{
	snprintf(path, size, "%s/builds/%s", b->conf->public_dir, b->key);
}

void say_start(struct build *b)
{
	char path[BUILD_PATH_MAX];

	public_path(b, path, sizeof(path));
	(void)unlink(path);
	b->public_fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND |
					  O_NOFOLLOW | O_CLOEXEC, 0644);
	if (b->public_fd >= 0 && fchmod(b->public_fd, 0644) < 0)
		aq_close_fd(&b->public_fd);
}

void say_end(struct build *b)
{
	char path[BUILD_PATH_MAX];

	if (b->public_fd < 0)
		return;
	public_path(b, path, sizeof(path));
	(void)unlink(path);
	aq_close_fd(&b->public_fd);
}

void say_others(struct build *b, size_t *at)
{
	char path[BUILD_PATH_MAX], text[4096];
	cleanup_close int fd = -1;
	struct stat st;
	ssize_t n;

	public_path(b, path, sizeof(path));
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	if ((size_t)st.st_size < *at)
		*at = 0; /* another builder's */
	n = pread(fd, text, sizeof(text), (off_t)*at);
	if (n <= 0)
		return;
	*at += (size_t)n;
	write_line(b->progress_fd, text, (size_t)n);
}
