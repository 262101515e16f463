/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/doctor_parse.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/str.h"

#define NO_LIMIT 65534 /* slurm.h: NO_VAL16 and INFINITE16 are not below it */

bool parse_config_value(const char *config, const char *name, char *ret,
			size_t size)
{
	size_t len = strlen(name);

	for (; *config; config = aq_next_line(config)) {
		const char *at = config + len;

		if (strncmp(config, name, len) != 0)
			continue;
		at += strspn(at, " ");
		if (*at != '=')
			continue;
		at += 1 + strspn(at + 1, " ");
		len = strcspn(at, "\n");
		while (len && at[len - 1] == ' ')
			len--;
		return aq_copy_mem(ret, size, at, len);
	}
	return false;
}

bool parse_config_seconds(const char *value, uint64_t *ret)
{
	size_t len = strspn(value, "0123456789");
	char digits[24];

	if (strcmp(value, "(null)") == 0 || strcasecmp(value, "unlimited") == 0 ||
	    strcasecmp(value, "infinite") == 0) {
		*ret = 0;
		return true;
	}
	if (!aq_copy_mem(digits, sizeof(digits), value, len) ||
	    !aq_parse_u64(digits, UINT64_MAX, ret) ||
	    (value[len] && strcmp(value + len, " sec") != 0))
		return false;
	if (*ret >= NO_LIMIT)
		*ret = 0;
	return true;
}

/* The word at *at, which moves behind it. */
static bool take_word(const char **at, char *ret, size_t size)
{
	size_t len;

	*at += strspn(*at, " \t");
	len = strcspn(*at, " \t");
	if (!len || !aq_copy_mem(ret, size, *at, len))
		return false;
	*at += len;
	return true;
}

void parse_plugstack_line(const char *line, struct plugstack_line *ret)
{
	char text[2048], word[16];
	const char *at = text;
	size_t len = strcspn(line, "#\n");

	*ret = (struct plugstack_line){ .kind = PLUGSTACK_WRONG };
	while (len && isspace((unsigned char)line[len - 1]))
		len--;
	if (!aq_copy_mem(text, sizeof(text), line, len))
		return;
	if (!text[strspn(text, " \t")]) {
		ret->kind = PLUGSTACK_NOTHING;
		return;
	}
	if (!take_word(&at, word, sizeof(word)) ||
	    !take_word(&at, ret->what, sizeof(ret->what)))
		return;
	at += strspn(at, " \t");
	if (!aq_copy_text(ret->arguments, sizeof(ret->arguments), at))
		return;
	if (strcasecmp(word, "optional") == 0)
		ret->kind = PLUGSTACK_OPTIONAL;
	else if (strcasecmp(word, "required") == 0)
		ret->kind = PLUGSTACK_REQUIRED;
	else if (strcasecmp(word, "include") == 0)
		ret->kind = PLUGSTACK_INCLUDE;
}

bool parse_version(const char *text, char *ret, size_t size)
{
	for (; *text; text++) {
		size_t len = strspn(text, "0123456789.");

		if (!isdigit((unsigned char)*text))
			continue;
		while (len && text[len - 1] == '.')
			len--;
		if (memchr(text, '.', len))
			return aq_copy_mem(ret, size, text, len);
		text += len - 1; /* a number that is no version */
	}
	return false;
}

int compare_versions(const char *a, const char *b)
{
	while (*a || *b) {
		char *end;
		unsigned long x = strtoul(a, &end, 10), y;

		a = end + (*end == '.');
		y = strtoul(b, &end, 10);
		b = end + (*end == '.');
		if (x != y)
			return x < y ? -1 : 1;
		if ((*a && !isdigit((unsigned char)*a)) ||
		    (*b && !isdigit((unsigned char)*b)))
			break;
	}
	return 0;
}

bool is_same_slurm(const char *a, const char *b)
{
	unsigned int a1, a2, b1, b2;

	return sscanf(a, "%u.%u", &a1, &a2) == 2 &&
	       sscanf(b, "%u.%u", &b1, &b2) == 2 && a1 == b1 && a2 == b2;
}

const char *file_system_name(uint64_t type, bool *ret_is_network)
{
	/* statfs(2); the parallel ones from their own sources */
	static const struct {
		uint64_t type;
		const char *name;
		bool is_network;
	} known[] = {
		{ 0xEF53, "ext4", false },
		{ 0x58465342, "xfs", false },
		{ 0x9123683E, "btrfs", false },
		{ 0x2FC12FC1, "zfs", false },
		{ 0x01021994, "tmpfs", false },
		{ 0x858458F6, "ramfs", false },
		{ 0x794C7630, "overlay", false },
		{ 0xF2F52010, "f2fs", false },
		{ 0x6969, "nfs", true },
		{ 0x0BD00BD0, "lustre", true },
		{ 0x47504653, "gpfs", true },
		{ 0x19830326, "beegfs", true },
		{ 0x00C36400, "ceph", true },
		{ 0xFF534D42, "cifs", true },
		{ 0xFE534D42, "smb2", true },
		{ 0x5346414F, "afs", true },
		{ 0x01021997, "9p", true },
		{ 0x65735546, "fuse", true },
		{ 0x7461636F, "ocfs2", true },
		{ 0x01161970, "gfs2", true },
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (known[i].type == type) {
			*ret_is_network = known[i].is_network;
			return known[i].name;
		}
	*ret_is_network = false;
	return NULL;
}
