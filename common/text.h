/* SPDX-License-Identifier: Apache-2.0 */
/* People's text files, as they are: with a byte order mark or without, UTF-8
 * or UTF-16, any line ends.  What comes out is UTF-8 without a mark.
 */
#ifndef AQ_TEXT_H
#define AQ_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/str.h"

/* Quoted in a message at most: longer text is cut, "…" put behind it. */
#define AQ_SHOW_MAX 72
/* Room for it: every byte may become four ("\x7f"), and the ellipsis. */
#define AQ_SHOW_SIZE (4 * AQ_SHOW_MAX + 8)
/* The same for a path, which is of use only whole. */
#define AQ_SHOW_PATH_MAX 1024
#define AQ_SHOW_PATH_SIZE (4 * AQ_SHOW_PATH_MAX + 8)

/* Append what can be read from 'fd' until its end to 'out', at most 'max'
 * bytes: more is AQ_USER, "is over N bytes".  AQ_SYS if it cannot be read.
 */
AQ_CHECK int aq_text_read(int fd, size_t max, struct aq_str *out,
			  struct aq_err *err);

/* Make UTF-8 of mem[0..len): a UTF-8 byte order mark is dropped, UTF-16 with
 * a mark is converted.  The result, appended to 'out', has no NUL, no mark, "\n" where a
 * line ends, and is valid UTF-8; AQ_USER (with the line) if that cannot be.
 */
AQ_CHECK int aq_text_decode(const char *mem, size_t len, struct aq_str *out,
			    struct aq_err *err);

/* aq_str_done() and aq_strv_done() for what the user decides the size of: over
 * the cap is AQ_USER.
 */
AQ_CHECK int aq_text_done(const struct aq_str *s, const char *what,
			  struct aq_err *err);
AQ_CHECK int aq_text_list_done(const struct aq_strv *v, const char *what,
			       struct aq_err *err);

/* The length of the valid UTF-8 sequence that begins at 'p' (before 'end'),
 * or 0: overlong forms, surrogates and values over U+10FFFF are not valid.
 */
size_t aq_utf8_len(const char *p, const char *end);

/* Append the code point 'c', a character's, as UTF-8. */
void aq_utf8_add(struct aq_str *out, uint32_t c);

/* Whether the valid sequence p[0..n) is no character to be seen: C0, DEL, C1, line
 * separators, and what turns the direction of text.
 */
bool aq_text_is_control(const char *p, size_t n);

/* Whether 'text' is valid UTF-8 without any of these; whether it has one, UTF-8
 * or not.
 */
bool aq_text_is_clean(const char *text);
bool aq_text_has_controls(const char *text);

/* Make mem[0..len) (text) fit for a terminal, a log, a database: UTF-8 and line ends
 * stay, tabs become spaces, colours go, any other escape sequence, control
 * character and byte that is no UTF-8 becomes "?".  In place; returns the length,
 * which is not greater.  What others wrote goes through this where it leaves us.
 */
size_t aq_text_make_printable(char *mem, size_t len);
void aq_text_make_printable_text(char *text);

/* 'text' made fit for a message: control characters, blanks that only look like one,
 * what is not seen at all and what is not UTF-8 as \xNN, cut to AQ_SHOW_MAX bytes.
 * Returns 'buf'.
 */
const char *aq_show(const char *text, char buf[AQ_SHOW_SIZE]);
const char *aq_show_path(const char *path, char buf[AQ_SHOW_PATH_SIZE]);

#endif
