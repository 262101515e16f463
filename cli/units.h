/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes and times as people read them. */
#ifndef AQ_CLI_UNITS_H
#define AQ_CLI_UNITS_H

#include <stdint.h>

#define UNITS_SIZE 32 /* room for any of these */

/* "512 B", "3.4 kB", "540 MB": powers of ten, as df -H and packages say. */
const char *units_bytes(uint64_t bytes, char buf[UNITS_SIZE]);
/* "0.2 s", "12.3 s", "4 min 5 s", "30 h 12 min" */
const char *units_ms(uint64_t ms, char buf[UNITS_SIZE]);
/* How long before 'now' (both Unix seconds): "now", "5 min ago", "3 days
 * ago"; "never" for 0.
 */
const char *units_ago(uint64_t then, uint64_t now, char buf[UNITS_SIZE]);

#endif
