/* SPDX-License-Identifier: Apache-2.0 */
/* conda clients, each in words of its own (client.c chooses one), and the link scripts
 * of what they link.
 */
#ifndef AQ_DIALECT_H
#define AQ_DIALECT_H

#include "builder/run.h"

struct dialect {
	const char *name; /* as in aq.conf, and its program's name */
	/* Resolve the request's conda part: append the lock's lines.  Where
	 * b->kind is AQ_ENV_LINKED with no other versions of what the base has
	 * than its own.
	 */
	int (*solve)(struct build *b, const char *program, struct aq_str *lines,
		     struct aq_err *err);
	/* Append what it takes this node to have, virtual packages, a line "NAME VERSION
	 * BUILD" each.
	 */
	int (*tell)(struct build *b, const char *program, struct aq_str *lines,
		    struct aq_err *err);
	/* Unpack what b->lock says of conda packages into the package cache, and
	 * link nothing; NULL: the client knows no such step.
	 */
	int (*fetch)(struct build *b, const char *program, struct aq_err *err);
	/* Download what shared_is_wanted() and is not in b->archives yet of b->lock's
	 * conda packages, as shared_store.h calls it; NULL: the bundled client does.
	 */
	int (*download)(struct build *b, const char *program, struct aq_err *err);
	/* Unpack what is in b->archives by now, while others are waited for; link() does
	 * the rest.  May be NULL.
	 */
	int (*unpack)(struct build *b, const char *program, struct aq_err *err);
	/* Make b->prefix hold exactly what b->lock says of conda packages. */
	int (*link)(struct build *b, const char *program, struct aq_err *err);
	bool can_constrain; /* solve() knows AQ_ENV_LINKED */
	bool runs_scripts;  /* link() runs link scripts where there is a shell */
	bool needs_shells;  /* and fails where there is none, if a package has one */
};
extern const struct dialect dialect_rattler, dialect_bundled;
extern const struct dialect dialect_micromamba, dialect_mamba, dialect_conda;
AQ_CHECK int client_solve(struct build *b, struct aq_str *lines,
			  struct aq_err *err);
AQ_CHECK int client_tell(struct build *b, struct aq_str *lines,
			 struct aq_err *err);
/* Whether the client can prefer the base's packages. */
bool client_can_constrain(struct build *b);
/* With its link scripts' effects, or without: scripts_run(). */
AQ_CHECK int client_link(struct build *b, struct aq_err *err);
/* For `aq fetch`: all of b->lock's packages and wheels into shared_dir. */
AQ_CHECK int client_fetch(struct build *b, struct aq_err *err);
/* Download wheels into b->wheels, as dialect.download() does packages: with the bundled
 * client, whichever links, since no other keeps what it downloads of them.
 */
AQ_CHECK int bundled_download_wheels(struct build *b, const char *program,
				     struct aq_err *err);
/* Whether that client can run on this node: it may lack py-rattler.  AQ_SYS: no, with what it
 * says; or BUILD_ENDED.
 */
AQ_CHECK int bundled_can_run(struct build *b, const char *program,
			     struct aq_err *err);
/* Unpack what is in b->archives, if anything is, into 'cache', below b->inside, for another
 * client, which knows it there by rattler's lock or conda's record, and fetches what could not be
 * unpacked.  Fails with BUILD_ENDED alone.
 */
AQ_CHECK int bundled_unpack_into(struct build *b, const char *cache,
				 struct aq_err *err);
/* shared_wheels(), with that one. */
AQ_CHECK int client_share_wheels(struct build *b, bool is_kept,
				 struct aq_err *err);
/* Whether it runs link scripts itself where scripts_may_run(). */
bool client_runs_scripts(struct build *b);
/* Append the request's channels, "--channel URL" each, in order; its conda
 * specs, python first.
 */
void client_add_channels(const struct build *b, struct command *cmd);
void client_add_specs(const struct build *b, struct command *cmd);
/* Append the base's conda packages, OPTION and "name ==version" each, with
 * 'has_build' "name ==version build".
 */
void client_add_constraints(const struct build *b, struct command *cmd,
			    const char *option, bool has_build);

/* -- scripts.c -- */
/* "bin/.NAME-post-link.sh" (docs.conda.io: "Link scripts"): what it does to a prefix, or
 * to a node, nobody can check, so it runs only where that is its user's alone.
 */
bool scripts_may_run(const struct build *b);
/* Of what was just linked.  AQ_USER: a package has one that may not run here, or that no
 * build runs; b->must_be_private: it may, in a private environment.
 */
AQ_CHECK int scripts_judge(struct build *b, struct aq_err *err);
/* The same of all packages that a build which is alone unpacked. */
AQ_CHECK int scripts_judge_unpacked(struct build *b, struct aq_err *err);
/* Run them, each after those of the packages that its own depends on: as conda does, in
 * the activated prefix, with PREFIX and PKG_*; none where none may, or where the client has.
 */
AQ_CHECK int scripts_run(struct build *b, struct aq_err *err);

#endif
