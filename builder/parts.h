/* SPDX-License-Identifier: Apache-2.0 */
/* How long each part of a build took, and how much of that the programs of others:
 * clients, installers, interpreters.  The rest is ours.
 */
#ifndef AQ_PARTS_H
#define AQ_PARTS_H

#include <stdint.h>

enum part {
	PART_RESOLVE, /* and whatever comes before */
	PART_LINK,    /* conda packages, fetched and linked */
	PART_INSTALL, /* wheels, and what makes a layer */
	PART_CHECK,   /* its activation and what `pip check` says */
	PART_SEAL,
	PART_COMMIT,
	N_PARTS
};

struct parts {
	enum part now;
	int64_t since_us; /* aq_now_us(); 0: not begun */
	int64_t us[N_PARTS], programs_us[N_PARTS];
};

/* From now on it is this part, which may have been before. */
void parts_begin(struct parts *parts, enum part part);
/* A program ran so long, in microseconds. */
void parts_add_program(struct parts *parts, int64_t us);
/* "took 431 ms, 62 ms of it aq-builder: resolve 120 ms (112 ms in programs), …" and a
 * newline to 'fd'; nothing where nothing was begun.
 */
void parts_write(struct parts *parts, int fd);

#endif
