/* SPDX-License-Identifier: Apache-2.0 */
/* Growing strings and lists of strings, each with a cap from birth.
 *
 * A failed append (out of memory, over the cap) makes the object *broken*: it
 * keeps what it had, every later append is ignored, and aq_str_done() /
 * aq_strv_done() say so once.  So a run of appends needs one check at its end.
 */
#ifndef AQ_STR_H
#define AQ_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"

struct aq_str {
	char *s;     /* always NUL-terminated, never NULL after first use */
	size_t len;  /* bytes, without the NUL */
	size_t size; /* bytes allocated */
	size_t max;  /* cap on len */
	int broken;  /* 0, ENOMEM or E2BIG */
};

/* An empty string that may grow to 'max' bytes. */
#define AQ_STR_INIT(max_) { .max = (max_) }

void aq_str_free(struct aq_str *s);

/* Append a string / 'len' bytes (may hold NULs) / one byte / formatted text. */
void aq_str_add(struct aq_str *s, const char *text);
void aq_str_add_mem(struct aq_str *s, const void *mem, size_t len);
void aq_str_add_char(struct aq_str *s, char c);
void aq_str_add_fmt(struct aq_str *s, const char *fmt, ...) AQ_PRINTF(2, 3);
void aq_str_add_vfmt(struct aq_str *s, const char *fmt, va_list ap)
	AQ_PRINTF(2, 0);

/* Cut to 'len' bytes (no effect if it is shorter). */
void aq_str_truncate(struct aq_str *s, size_t len);

/* The text so far, "" when nothing was added; owned by 's'. */
const char *aq_str_get(const struct aq_str *s);

/* 0 if every append held; else AQ_SYS with 'what' named in 'err'. */
AQ_CHECK int aq_str_done(const struct aq_str *s, const char *what,
			 struct aq_err *err);

#define cleanup_str __attribute__((cleanup(aq_str_free)))

struct aq_strv {
	char **v; /* NULL-terminated once anything was added, else NULL */
	size_t n;
	size_t size;
	size_t max; /* cap on n */
	int broken; /* 0, ENOMEM or E2BIG */
};

#define AQ_STRV_INIT(max_) { .max = (max_) }

void aq_strv_free(struct aq_strv *v);

/* Append a copy of 'text' / of its first 'len' bytes / of formatted text. */
void aq_strv_add(struct aq_strv *v, const char *text);
void aq_strv_add_mem(struct aq_strv *v, const char *text, size_t len);
void aq_strv_add_fmt(struct aq_strv *v, const char *fmt, ...) AQ_PRINTF(2, 3);

/* Sort by bytes (strcmp); unique also drops equal neighbours. */
void aq_strv_sort(struct aq_strv *v);
void aq_strv_sort_unique(struct aq_strv *v);

bool aq_strv_has(const struct aq_strv *v, const char *text);

/* 0 if every append held; else AQ_SYS with 'what' named in 'err'. */
AQ_CHECK int aq_strv_done(const struct aq_strv *v, const char *what,
			  struct aq_err *err);

#define cleanup_strv __attribute__((cleanup(aq_strv_free)))

/* Whole-string numbers: digits only, no sign, no space; false if not, or if
 * the value is over 'max'.  '*ret' is untouched on failure.
 */
AQ_CHECK bool aq_parse_u64(const char *text, uint64_t max, uint64_t *ret);

/* Whether 'text' is exactly 'len' lower-case hexadecimal digits. */
bool aq_is_hex(const char *text, size_t len);
/* FNV-1a, 64 bits (Fowler, Noll, Vo): tells what changed; no secret. */
uint64_t aq_hash(const void *mem, size_t len);

/* The same with a unit K, M, G or T: powers of 1024. */
AQ_CHECK bool aq_parse_size(const char *text, uint64_t max, uint64_t *ret);

/* Where the line after 'line' begins: "" after the last. */
const char *aq_next_line(const char *line);

bool aq_starts_with(const char *text, const char *prefix);
bool aq_ends_with(const char *text, const char *suffix);

/* Whether a part of 'path' is "..". */
bool aq_path_climbs(const char *path);

/* What follows 'dir' in 'path', both paths or URLs, by their text: "" if they are the same,
 * "/..." if 'path' is below it; NULL if it is neither, or 'dir' is "".  Slashes at the end
 * of 'dir' mean nothing.
 */
const char *aq_path_in(const char *path, const char *dir);

/* Copy 'len' bytes into dst[size], and a NUL; false, untouched, if they do not
 * fit whole.
 */
AQ_CHECK bool aq_copy_mem(char *dst, size_t size, const char *mem, size_t len);

/* Copy 'src' into dst[size]; false (and dst = "") if it does not fit whole. */
AQ_CHECK bool aq_copy_text(char *dst, size_t size, const char *src);

#endif
