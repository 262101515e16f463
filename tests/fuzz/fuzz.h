/* SPDX-License-Identifier: Apache-2.0 */
/* What the harnesses share.  Each file tests/fuzz/NAME.c is one: a function that
 * takes any bytes, gives them to a parser, and asserts what its header
 * promises.  libFuzzer (clang) calls it millions of times (`make fuzz`);
 * tests/fuzz/replay.c calls it for each seed of tests/fuzz/corpus/NAME in every
 * `make check`.
 */
#ifndef AQ_FUZZ_H
#define AQ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/conf.h"
#include "common/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Which harness this is: a directory of tests/fuzz/corpus. */
extern const char fuzz_name[];

/* A promise: broken, the process ends with abort(3), as libFuzzer wants it. */
#define fuzz_check(is_kept)                                                    \
	((is_kept) ? (void)0 : fuzz_broken(__FILE__, __LINE__, #is_kept, ""))
/* The same, with a text that tells what was read. */
#define fuzz_check_text(is_kept, text)                                         \
	((is_kept) ? (void)0 : fuzz_broken(__FILE__, __LINE__, #is_kept, (text)))
void fuzz_broken(const char *file, int line, const char *promise,
		 const char *text) __attribute__((noreturn));

/* Why it was refused: the user's input, in a text that is fit for a terminal. */
void fuzz_check_refusal(int rc, const struct aq_err *err);

/* The input, or what is left of it.  Pieces of it are copies of their exact size,
 * so that ASan sees what reads a byte behind them.
 */
struct fuzz_input {
	const char *at, *end;
};
struct fuzz_input fuzz_input(const uint8_t *data, size_t size);
/* The next piece, up to byte 'mark', which is taken too, or the end; then it is
 * empty.  The caller frees it; there is a NUL behind its 'ret_len' (may be NULL)
 * bytes, and may be others among them.
 */
char *fuzz_piece(struct fuzz_input *in, char mark, size_t *ret_len);
/* The lines of the next such piece; the caller frees *ret's strings. */
void fuzz_lines(struct fuzz_input *in, char mark, struct aq_strv *ret);
/* The next byte, 0 at the end. */
unsigned char fuzz_byte(struct fuzz_input *in);
/* The same as a number of 64 bits, below 'n'. */
uint64_t fuzz_number(struct fuzz_input *in);

/* A file without a name that holds these bytes, as a path: /proc/self/fd/N.  The
 * same for each 'slot'.
 */
enum { FUZZ_SLOTS = 2 };
const char *fuzz_file(unsigned int slot, const void *mem, size_t len);

/* A directory of this process's own, in memory if there is such a place; it is
 * removed when the process ends.
 */
const char *fuzz_dir(void);

/* Append 'text', UTF-8, as YAML's double-quoted scalar, in ASCII. */
void fuzz_yaml_quote(struct aq_str *out, const char *text);

/* An administrator's map, and a policy that lets users have most. */
const struct aq_conf *fuzz_conf(void);

/* Both or none, and the same. */
bool fuzz_same(const char *a, const char *b);

#endif
