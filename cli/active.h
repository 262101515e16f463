/* SPDX-License-Identifier: Apache-2.0 */
/* The environment that one works in: that of the Python which a shell finds. */
#ifndef AQ_CLI_ACTIVE_H
#define AQ_CLI_ACTIVE_H

#include <stdbool.h>

#include "cli/installed.h"

enum active_kind { ACTIVE_CONDA, ACTIVE_VENV, ACTIVE_OTHER };

struct active {
	enum active_kind kind;
	char *prefix;
	char *base;	 /* of a venv: the prefix of its Python; or NULL */
	bool sees_base;	 /* that one's packages too */
	bool sees_user;	 /* ~/.local too */
	char python[16]; /* "3.11", "" if there is none */
};

/* Find it: 'prefix', or with NULL what PATH finds first, a conda environment, a venv or
 * another Python; where that is no environment, the one that VIRTUAL_ENV or
 * CONDA_PREFIX names.  AQ_USER: there is none.
 */
AQ_CHECK int active_find(const char *prefix, struct active *ret,
			 struct aq_err *err);
void active_release(struct active *a);
#define cleanup_active __attribute__((cleanup(active_release)))

/* Whether 'prefix' has what conda writes. */
bool active_is_conda(const char *prefix);

/* Read what it holds, as its Python would see it, into 'in'. */
AQ_CHECK int active_read(struct active *a, struct installed *in,
			 struct aq_err *err);

#endif
