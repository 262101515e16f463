/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/units.h"

#include <stdio.h>

#include "common/cleanup.h"

const char *units_bytes(uint64_t bytes, char buf[UNITS_SIZE])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
	double value = (double)bytes;
	size_t i = 0;

	/* 999.5 would be written as 1000 */
	for (; value >= 999.5 && i + 1 < ARRAY_LEN(units); i++)
		value /= 1000;
	snprintf(buf, UNITS_SIZE, i && value < 9.95 ? "%.1f %s" : "%.0f %s",
		 value, units[i]);
	return buf;
}

const char *units_ms(uint64_t ms, char buf[UNITS_SIZE])
{
	uint64_t s = (ms + 500) / 1000;

	if (ms < 59950)
		snprintf(buf, UNITS_SIZE, "%.1f s", (double)ms / 1000);
	else if (s >= 3600)
		snprintf(buf, UNITS_SIZE, "%llu h %llu min",
			 (unsigned long long)(s / 3600),
			 (unsigned long long)(s / 60 % 60));
	else
		snprintf(buf, UNITS_SIZE, "%llu min %llu s",
			 (unsigned long long)(s / 60),
			 (unsigned long long)(s % 60));
	return buf;
}

const char *units_ago(uint64_t then, uint64_t now, char buf[UNITS_SIZE])
{
	static const struct {
		uint64_t seconds;
		const char *one, *many;
	} units[] = {
		{ 86400, "day", "days" },
		{ 3600, "hour", "hours" },
		{ 60, "min", "min" },
	};
	uint64_t age = now > then ? now - then : 0;

	if (!then)
		return "never";
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		uint64_t n = age / units[i].seconds;

		if (!n)
			continue;
		snprintf(buf, UNITS_SIZE, "%llu %s ago", (unsigned long long)n,
			 n == 1 ? units[i].one : units[i].many);
		return buf;
	}
	return "now";
}
