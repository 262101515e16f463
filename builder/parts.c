/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "builder/parts.h"
#include "common/clock.h"
#include "common/str.h"

#define LINE_MAX_BYTES 1024

static const char *const names[N_PARTS] = {
	[PART_RESOLVE] = "resolve", [PART_LINK] = "link",
	[PART_INSTALL] = "install", [PART_CHECK] = "check",
	[PART_SEAL] = "seal",	    [PART_COMMIT] = "commit",
};

void parts_begin(struct parts *parts, enum part part)
{
	int64_t now = aq_now_us();

	if (parts->since_us)
		parts->us[parts->now] += now - parts->since_us;
	parts->now = part;
	parts->since_us = now;
}

void parts_add_program(struct parts *parts, int64_t us)
{
	parts->programs_us[parts->now] += us;
}

static int64_t ms(int64_t us)
{
	return (us + 500) / 1000;
}

void parts_write(struct parts *parts, int fd)
{
	cleanup_str struct aq_str line = AQ_STR_INIT(LINE_MAX_BYTES);
	int64_t all = 0, programs = 0;

	if (!parts->since_us)
		return;
	parts_begin(parts, parts->now);
	for (int i = 0; i < N_PARTS; i++) {
		all += parts->us[i];
		programs += parts->programs_us[i];
	}
	aq_str_add_fmt(&line, "took %" PRId64 " ms, %" PRId64 " ms of it aq-builder",
		       ms(all), ms(all - programs));
	for (int i = 0; i < N_PARTS; i++) {
		if (!parts->us[i])
			continue;
		aq_str_add_fmt(&line, "%s %s %" PRId64 " ms", i ? "," : ":",
			       names[i], ms(parts->us[i]));
		if (parts->programs_us[i])
			aq_str_add_fmt(&line, " (%" PRId64 " ms in programs)",
				       ms(parts->programs_us[i]));
	}
	dprintf(fd, "%s\n", aq_str_get(&line));
}
