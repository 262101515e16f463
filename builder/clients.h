/* SPDX-License-Identifier: Apache-2.0 */
/* Which clients there are, and where they are found: for aq-builder, and for
 * `aq doctor`, which says so.
 */
#ifndef AQ_CLIENTS_H
#define AQ_CLIENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "builder/secrets.h"
#include "common/err.h"

/* An executable of that name in our own or the system's directories, or the
 * path itself.
 */
bool client_find(const char *name, char *ret, size_t size);

/* What 'client' of aq.conf means: *ret_name is the dialect's name ("mamba"),
 * 'program' its path.  AQ_SYS: it is not there, or no client that is known.
 */
AQ_CHECK int client_choose(const char *client, const char **ret_name,
			   char *program, size_t size, struct aq_err *err);

/* Whether that one fetches and links in one go, so that it builds alone. */
bool client_is_alone(const char *name);

/* The same for 'pip_client'.  AQ_MISS: the environment's own pip. */
AQ_CHECK int client_choose_pip(const char *client, char *program, size_t size,
			       struct aq_err *err);

/* How the client of that name ("mamba", "uv", "pip") takes credentials. */
enum secrets_how client_takes(const char *name);

#endif
