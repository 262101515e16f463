/* SPDX-License-Identifier: Apache-2.0 */
/* What aq doctor reads of what others print and write.  Pure. */
#ifndef AQ_CLI_DOCTOR_PARSE_H
#define AQ_CLI_DOCTOR_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The value of 'name' in what `scontrol show config` printed, "NAME = VALUE" a
 * line; false: there is none, or it is longer than 'size'.
 */
bool parse_config_value(const char *config, const char *name, char *ret,
			size_t size);

/* The seconds of such a value: "60 sec", "65534" and "(null)" (no limit: 0).
 * False: it is something else.
 */
bool parse_config_seconds(const char *value, uint64_t *ret);

/* One line of plugstack.conf (spank(8)), without its comment. */
struct plugstack_line {
	enum {
		PLUGSTACK_NOTHING,
		PLUGSTACK_OPTIONAL,
		PLUGSTACK_REQUIRED,
		PLUGSTACK_INCLUDE,
		PLUGSTACK_WRONG, /* Slurm cannot read it either */
	} kind;
	char what[1024]; /* the plugin, or what is included (glob(7)) */
	char arguments[1024];
};
void parse_plugstack_line(const char *line, struct plugstack_line *ret);

/* The first version in 'text' ("uv 0.13.9 (…)"): its digits and dots; false:
 * there is none.
 */
bool parse_version(const char *text, char *ret, size_t size);

/* Compare versions of numbers and dots: < 0, 0, > 0. */
int compare_versions(const char *a, const char *b);

/* Whether two versions of Slurm take each other's plugins: the first two
 * numbers are the same.
 */
bool is_same_slurm(const char *a, const char *b);

/* What a file system is by statfs(2)'s f_type; is_network: other machines have
 * it too, or a daemon answers for it.
 */
const char *file_system_name(uint64_t type, bool *ret_is_network);

#endif
