/* SPDX-License-Identifier: Apache-2.0 */
/* What private channels and indexes want: the file that `credentials` of aq.conf
 * names.  It is a netrc(5) of these words, of one host each:
 *
 *   # a comment, alone on its line
 *   machine conda.example.org login builder password SECRET
 *   machine conda.example.com account bearer password TOKEN
 *
 * A host stands for all its ports and paths, since clients know no more.  `account
 * bearer` makes a password one that is sent as "Authorization: Bearer".  Not
 * `default`, which would send it to any host, nor `macdef`; no quotes and no
 * backslashes, which clients read differently.
 */
#ifndef AQ_CREDENTIALS_H
#define AQ_CREDENTIALS_H

#include "common/conf.h"
#include "common/err.h"
#include "common/str.h"

/* Bytes of a secret: tokens of the kind that is signed have a few hundred. */
#define AQ_SECRET_MAX 1024
/* A shorter one could not be kept out of a log without blackening words. */
#define AQ_SECRET_MIN 8

struct aq_credential {
	char *host;  /* lower case */
	char *login; /* NULL: a bearer token */
	char *secret;
	unsigned int line;
};

struct aq_credentials {
	struct aq_credential *v;
	size_t n;
};

/* Parse the file's text; 'path' is for messages, which never quote what could be
 * a secret.  AQ_SYS: it is wrong, as "PATH:LINE: what".
 */
AQ_CHECK int aq_credentials_parse(const char *text, const char *path,
				  struct aq_credentials **ret,
				  struct aq_err *err);

/* Read the file that 'conf' names; none is as an empty one.  Root's, for builds
 * whose URLs are the administrator's.  AQ_SYS: it is wrong, or others can read it,
 * or write it or a directory above.
 */
AQ_CHECK int aq_credentials_load(const struct aq_conf *conf,
				 struct aq_credentials **ret,
				 struct aq_err *err);

/* What is for 'host' (any case), or NULL. */
const struct aq_credential *aq_credentials_find(const struct aq_credentials *c,
						const char *host);

/* As clients read one: a line of netrc(5) (of a login); a member of rattler's
 * JSON.
 */
void aq_credential_netrc(const struct aq_credential *c, struct aq_str *out);
void aq_credential_rattler(const struct aq_credential *c, struct aq_str *out);

/* Add to 'secrets' what of it must not be read anywhere: as it is, as in a URL,
 * as in a header.
 */
void aq_credential_forms(const struct aq_credential *c,
			 struct aq_strv *secrets);

/* Overwrites what it frees. */
void aq_credentials_free(struct aq_credentials *c);
DEFINE_CLEANUP(aq_credentials);
#define cleanup_credentials __attribute__((cleanup(aq_credentials_cleanup_)))

#endif
