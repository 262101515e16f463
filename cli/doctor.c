/* SPDX-License-Identifier: Apache-2.0 */
/* aq doctor: the table of checks, and what becomes of their findings. */
#include "cli/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/program.h"
#include "cli/term.h"

#define SENTENCE_MAX 4096
#define CONFIG_MAX (1024 * 1024) /* of scontrol show config */

static const char *const levels[] = { "ok", "warning", "error" };

/* The checks that need root say nothing to others but that. */
static const struct check {
	const char *name, *what;
	void (*run)(struct doctor *d);
	bool needs_conf, needs_root;
} checks[] = {
	{ "slurm", "Slurm's version", doctor_slurm, false, false },
	{ "plugin", "the plugin's files", doctor_plugin, false, false },
	{ "plugstack", "plugstack.conf", doctor_plugstack, false, false },
	{ "limits", "Slurm's time limits", doctor_limits, false, false },
	{ "conf", "aq.conf", doctor_conf, false, false },
	{ "accounts", "the accounts of builds", doctor_accounts, true, false },
	{ "directories", "owners and modes", doctor_directories, true, false },
	{ "file-systems", "what they lie on", doctor_file_systems, true,
	  false },
	{ "links", "hard links and reflinks", doctor_links, true, true },
	{ "space", "room on the disk", doctor_space, true, false },
	{ "namespaces", "the cage of builds", doctor_namespaces, true, true },
	{ "groups", "what builds may take", doctor_groups, true, true },
	{ "client", "the conda client", doctor_client, true, false },
	{ "channels", "where packages come from", doctor_channels, true, false },
	{ "pip", "where wheels come from", doctor_pip, true, false },
	{ "credentials", "what private places want", doctor_credentials, true,
	  true },
	{ "shared", "what nodes share", doctor_shared, true, true },
	{ "state", "what is damaged or left over", doctor_state, true, true },
};

static void print_finding(const struct doctor *d, enum doctor_level level,
			  const char *text, const char *remedy)
{
	static const enum term_colour colours[] = { TERM_DIM, TERM_YELLOW,
						    TERM_RED };
	char head[16];

	snprintf(head, sizeof(head), "%-8s", levels[level]);
	term_print_in(stdout, colours[level], head);
	printf("%-13s", d->check);
	term_print(stdout, text);
	putchar('\n');
	if (!remedy)
		return;
	printf("%-21s-> ", "");
	term_print(stdout, remedy);
	putchar('\n');
}

void doctor_say(struct doctor *d, enum doctor_level level, const char *remedy,
		const char *fmt, ...)
{
	char text[SENTENCE_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	d->n[level]++;
	if (!d->cli->has_json) {
		print_finding(d, level, text, remedy);
		return;
	}
	json_open(&d->json, NULL, '{');
	json_text(&d->json, "check", d->check);
	json_text(&d->json, "level", levels[level]);
	json_text(&d->json, "text", text);
	json_text(&d->json, "remedy", remedy);
	json_close(&d->json, '}');
}

static bool can_run(const struct doctor *d, const struct check *c)
{
	return (!c->needs_conf || d->conf) && (!c->needs_root || d->is_root);
}

/* What was not looked at is no finding. */
static void list_skipped(struct doctor *d)
{
	if (d->cli->has_json)
		json_open(&d->json, "skipped", '[');
	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		const struct check *c = &checks[i];

		if (can_run(d, c))
			continue;
		if (d->cli->has_json)
			json_text(&d->json, NULL, c->name);
		else
			printf("%-8s%-13s%s: %s\n", "skipped", c->name, c->what,
			       c->needs_root && !d->is_root ?
				       "only root can tell" :
				       "aq.conf cannot be read");
	}
	if (d->cli->has_json)
		json_close(&d->json, ']');
}

static void examine(struct doctor *d)
{
	if (d->cli->has_json) {
		json_begin(&d->json, stdout);
		json_open(&d->json, "findings", '[');
	}
	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		d->check = checks[i].name;
		if (can_run(d, &checks[i]))
			checks[i].run(d);
	}
	if (d->cli->has_json)
		json_close(&d->json, ']');
	list_skipped(d);
	if (!d->cli->has_json) {
		printf("%u errors, %u warnings\n", d->n[DOCTOR_ERROR],
		       d->n[DOCTOR_WARNING]);
		return;
	}
	json_number(&d->json, "errors", d->n[DOCTOR_ERROR]);
	json_number(&d->json, "warnings", d->n[DOCTOR_WARNING]);
	json_end(&d->json);
}

int cli_doctor(struct cli *cli)
{
	static const char *const config[] = { "scontrol", "show", "config",
					      NULL };
	cleanup_str struct aq_str slurm = AQ_STR_INIT(CONFIG_MAX);
	cleanup_conf struct aq_conf *conf = NULL;
	struct doctor d = { .cli = cli,
			    .conf_path = cli->conf_path ? cli->conf_path :
							  AQ_CONF_PATH,
			    .is_root = geteuid() == 0 };

	/* what is wrong with either is the first finding */
	if (aq_conf_load(cli->conf_path, cli->node, &conf, NULL) == 0)
		d.conf = conf;
	if (program_run(config, NULL, DOCTOR_LIMIT_MS, &slurm, NULL) == 0)
		d.slurm = slurm.s;
	examine(&d);
	return d.n[DOCTOR_ERROR] ? CLI_SYSTEM : CLI_OK;
}
