/* SPDX-License-Identifier: Apache-2.0 */
/* A request: what a req.yaml says, normalised.  Two files with the same
 * meaning (under the normalisations that req.yaml(5) lists) give the same
 * canonical bytes and so the same digest, on every host; two with different
 * meanings never do.
 */
#ifndef AQ_REQUEST_H
#define AQ_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "common/conf.h"
#include "common/err.h"
#include "common/sha256.h"
#include "common/str.h"

/* Slurm cuts or refuses bigger variables in several places; every payload of
 * ours stays under 32 KiB.
 */
#define AQ_REQUEST_CANONICAL_MAX (30 * 1024)
/* A request file with everything it includes by -r and -c. */
#define AQ_REQUEST_FILE_MAX (64 * 1024)
/* And what pip's --hash options in requirements files take besides: 200 packages with
 * a hash of each of their wheels have 300 KiB of it.
 */
#define AQ_REQUEST_HASHES_MAX (1024 * 1024)

/* What a file is, by its name alone; but what has "@EXPLICIT" or NAME=VERSION=BUILD in
 * its first line of contents is a lock file or an exported list, unless its name ends with
 * ".py".
 */
enum aq_request_kind {
	AQ_REQUEST_YAML,	 /* any other name; standard input */
	AQ_REQUEST_EXPLICIT,	 /* common/explicit.h */
	AQ_REQUEST_EXPORTED,	 /* common/exported.h */
	AQ_REQUEST_REQUIREMENTS, /* .txt, .in: common/reqfile.h */
	AQ_REQUEST_SCRIPT,	 /* .py: common/script.h */
};

struct aq_request {
	char *python; /* normalised version spec ("3.9.*", ">=3.9,<3.12"), or
		       * NULL: the request wants no Python at all */
	struct aq_strv channels; /* names of the map, in the request's order */
	struct aq_strv conda; /* normalised match specs without python, sorted
			       * by bytes, unique */
	struct aq_strv pip;   /* normalised PEP 508 requirements, sorted */
	struct aq_strv constraints; /* from pip -c files: PEP 508, sorted */
	struct aq_strv sources; /* --no-binary: PEP 503 names, sorted */
	struct aq_strv variables;   /* NAME=VALUE, sorted by name */
	bool is_isolated; /* inherits from no base: --aq-isolated, no key */

	char *canonical; /* the bytes that are hashed: text lines, no NUL */
	size_t canonical_len;
	char digest[AQ_SHA256_HEX_SIZE]; /* SHA-256 of them */
};

/* Read 'path' ("-": standard input, named <stdin> in messages), whatever it
 * includes, normalise.  Relative paths are relative to the process's
 * directory.  Reads as the calling user; never as root for another.
 * 'conf' gives the channel map, default_python and policy.
 * Returns 0, sets *ret (free with aq_request_free()) and appends warnings,
 * "FILE:LINE:COLUMN: text" each, to 'warnings'.  Fails with AQ_USER: err->text
 * has up to AQ_REQUEST_ERRORS_MAX lines "FILE:LINE:COLUMN: what, and what to
 * write instead"; or AQ_SYS.
 */
#define AQ_REQUEST_ERRORS_MAX 8
AQ_CHECK int aq_request_read(const char *path, const struct aq_conf *conf,
			     struct aq_request **ret, struct aq_strv *warnings,
			     struct aq_err *err);

/* The same of text that was read, mem[0..len), as if it were the file 'name'. */
AQ_CHECK int aq_request_read_text(const char *name, const char *mem, size_t len,
				  const struct aq_conf *conf,
				  struct aq_request **ret,
				  struct aq_strv *warnings, struct aq_err *err);

/* Parse canonical bytes as they arrive on a node: hostile input.  Every line
 * is re-validated; what is not exactly what aq_request_read() would have
 * written is refused.  Channels that this node's map does not have are
 * AQ_USER.  Any other failure is AQ_USER too ("the request is damaged …").
 */
AQ_CHECK int aq_request_parse(const char *canonical, size_t len,
			      const struct aq_conf *conf,
			      struct aq_request **ret, struct aq_err *err);

/* Make 'req' one that inherits from no base: another digest, and where a base
 * would have served another key.  AQ_USER or AQ_SYS as aq_request_read().
 */
AQ_CHECK int aq_request_isolate(struct aq_request *req, struct aq_err *err);

void aq_request_free(struct aq_request *req);
DEFINE_CLEANUP(aq_request);
#define cleanup_request __attribute__((cleanup(aq_request_cleanup_)))

#endif
