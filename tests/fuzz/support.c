/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/io.h"
#include "common/text.h"
#include "tests/unit/example_conf.h"

void fuzz_broken(const char *file, int line, const char *promise,
		 const char *text)
{
	fprintf(stderr, "%s:%d: broken promise: %s\n%s\n", file, line, promise,
		text);
	abort();
}

bool fuzz_same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

void fuzz_check_refusal(int rc, const struct aq_err *err)
{
	fuzz_check_text(rc == AQ_USER && err->class == AQ_USER, err->text);
	fuzz_check_text(aq_text_is_clean(err->text), err->text);
}

/* -- input -- */

struct fuzz_input fuzz_input(const uint8_t *data, size_t size)
{
	const char *at = size ? (const char *)data : "";

	return (struct fuzz_input){ at, at + size };
}

char *fuzz_piece(struct fuzz_input *in, char mark, size_t *ret_len)
{
	size_t left = (size_t)(in->end - in->at);
	const char *end = memchr(in->at, mark, left);
	size_t len = end ? (size_t)(end - in->at) : left;
	char *copy = malloc(len + 1);

	fuzz_check(copy);
	memcpy(copy, in->at, len);
	copy[len] = '\0';
	in->at += len + (end != NULL);
	if (ret_len)
		*ret_len = len;
	return copy;
}

void fuzz_lines(struct fuzz_input *in, char mark, struct aq_strv *ret)
{
	struct fuzz_input lines;
	size_t len;
	cleanup_free char *text = fuzz_piece(in, mark, &len);

	lines = (struct fuzz_input){ text, text + len };
	while (lines.at < lines.end) {
		cleanup_free char *line = fuzz_piece(&lines, '\n', NULL);

		aq_strv_add(ret, line);
	}
}

unsigned char fuzz_byte(struct fuzz_input *in)
{
	return in->at < in->end ? (unsigned char)*in->at++ : 0;
}

uint64_t fuzz_number(struct fuzz_input *in)
{
	uint64_t n = 0;

	for (size_t i = 0; i < sizeof(n); i++)
		n = n << 8 | fuzz_byte(in);
	return n;
}

/* -- files -- */

const char *fuzz_file(unsigned int slot, const void *mem, size_t len)
{
	static struct {
		int fd;
		char path[32];
	} files[FUZZ_SLOTS];

	if (!files[slot].fd) {
		files[slot].fd = memfd_create("fuzz", MFD_CLOEXEC);
		fuzz_check(files[slot].fd > 0);
		snprintf(files[slot].path, sizeof(files[slot].path),
			 "/proc/self/fd/%d", files[slot].fd);
	}
	fuzz_check(ftruncate(files[slot].fd, 0) == 0 &&
		   pwrite(files[slot].fd, mem, len, 0) == (ssize_t)len);
	return files[slot].path;
}

static char directory[PATH_MAX];

static void remove_directory(void)
{
	(void)!aq_remove_tree(AT_FDCWD, directory, NULL);
}

const char *fuzz_dir(void)
{
	static const char memory[] = "/dev/shm";
	const char *tmp = getenv("TMPDIR");

	if (*directory)
		return directory;
	if (access(memory, W_OK) == 0)
		tmp = memory;
	snprintf(directory, sizeof(directory), "%s/aq-fuzz-XXXXXX",
		 tmp ? tmp : "/tmp");
	fuzz_check(mkdtemp(directory));
	atexit(remove_directory);
	return directory;
}

/* -- YAML -- */

static uint32_t code_point(const char *p, size_t len)
{
	static const unsigned char masks[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	uint32_t c = (unsigned char)p[0] & masks[len];

	for (size_t i = 1; i < len; i++)
		c = c << 6 | ((unsigned char)p[i] & 0x3f);
	return c;
}

void fuzz_yaml_quote(struct aq_str *out, const char *text)
{
	const char *end = text + strlen(text);

	aq_str_add_char(out, '"');
	while (text < end) {
		size_t len = aq_utf8_len(text, end);
		uint32_t c;

		fuzz_check_text(len, "is no UTF-8");
		c = code_point(text, len);
		if (c > 0xffff)
			aq_str_add_fmt(out, "\\U%08X", c);
		else if (c > 0x7e || c < ' ')
			aq_str_add_fmt(out, "\\u%04X", c);
		else if (c == '{') /* two begin what looks like a template */
			aq_str_add(out, "\\x7B");
		else if (c == '"' || c == '\\')
			aq_str_add_fmt(out, "\\%c", (char)c);
		else
			aq_str_add_char(out, (char)c);
		text += len;
	}
	aq_str_add_char(out, '"');
}

/* -- a site -- */

const struct aq_conf *fuzz_conf(void)
{
	example_conf.policy[AQ_INPUT_VCS] = AQ_POLICY_PRIVATE;
	example_conf.policy[AQ_INPUT_LOCAL] = AQ_POLICY_PRIVATE;
	example_conf.policy[AQ_INPUT_SOURCE] = AQ_POLICY_PRIVATE;
	return &example_conf;
}
