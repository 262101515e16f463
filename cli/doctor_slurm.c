/* SPDX-License-Identifier: Apache-2.0 */
/* aq doctor: Slurm, and whether it loads the plugin. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "cli/doctor_parse.h"
#include "common/io.h"
#include "common/trust.h"
#include "common/worker.h"

#define PLUGIN "spank_aq.so"
#define LIBRARY AQ_PKGLIBDIR "/libaq-" PACKAGE_VERSION ".so"
#define PATH_SIZE 4096
#define PLUGSTACK_MAX (256 * 1024) /* bytes of one file */
#define DEPTH_MAX 8 /* files that include each other */

#define NO_SLURM "run aq where Slurm's commands are in PATH and slurmctld answers"

static bool get(const struct doctor *d, const char *name, char *ret,
		size_t size)
{
	return d->slurm && parse_config_value(d->slurm, name, ret, size);
}

void doctor_slurm(struct doctor *d)
{
	char version[64];

	if (!get(d, "SLURM_VERSION", version, sizeof(version))) {
		doctor_say(d, DOCTOR_WARNING, NO_SLURM,
			   "'scontrol show config' failed: Slurm cannot be looked at");
		return;
	}
	if (is_same_slurm(version, AQ_SLURM_VERSION))
		doctor_say(d, DOCTOR_OK, NULL,
			   "Slurm %s; the plugin was compiled for %s", version,
			   AQ_SLURM_VERSION);
	else
		doctor_say(d, DOCTOR_ERROR,
			   "compile slurm-aq against the headers of the Slurm that runs here: Slurm refuses plugins of another",
			   "Slurm is %s, but the plugin was compiled for %s",
			   version, AQ_SLURM_VERSION);
}

/* -- files that Slurm maps into root's processes -- */

static bool say_if_untrusted(struct doctor *d, const char *path)
{
	struct aq_err err = { 0 };
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		doctor_say(d, DOCTOR_ERROR, "install slurm-aq here: make install",
			   "'%s' cannot be read: %s", path, strerror(errno));
	else if (aq_trust_file(fd, path, &err) != 0)
		doctor_say(d, DOCTOR_ERROR,
			   "give it, and every directory above, to root, and take the others' right to write",
			   "%s", err.text);
	else
		return false;
	return true;
}

/* The plugin where Slurm looks for it: PluginDir has colons between places. */
static bool find_plugin(const char *dirs, const char *name, char *ret,
			size_t size)
{
	if (*name == '/')
		return aq_copy_text(ret, size, name) && access(ret, F_OK) == 0;
	while (*dirs) {
		size_t len = strcspn(dirs, ":");

		snprintf(ret, size, "%.*s/%s", (int)len, dirs, name);
		if (access(ret, F_OK) == 0)
			return true;
		dirs += len + (dirs[len] == ':');
	}
	return false;
}

void doctor_plugin(struct doctor *d)
{
	char path[PATH_SIZE] = AQ_SLURMPLUGINDIR "/" PLUGIN;

	if (!say_if_untrusted(d, path) && !say_if_untrusted(d, LIBRARY))
		doctor_say(d, DOCTOR_OK, NULL, "'%s' and '%s' are there, and root's",
			   path, LIBRARY);
}

/* -- plugstack.conf -- */

struct stack {
	struct doctor *d;
	char plugin_dirs[PATH_SIZE];
	unsigned int n; /* lines that load us */
	unsigned int depth;
};

static void check_arguments(struct stack *s, const char *file,
			    const char *arguments)
{
	const char *at = strstr(arguments, "config=");
	const char *conf = AQ_CONF_PATH;
	char path[PATH_SIZE];

	if (at) {
		snprintf(path, sizeof(path), "%.*s",
			 (int)strcspn(at + 7, " \t"), at + 7);
		conf = path;
	}
	if (strcmp(conf, s->d->conf_path) != 0)
		doctor_say(s->d, DOCTOR_WARNING,
			   "say --config, or AQ_CONF, as that line has it",
			   "'%s' lets the plugin read '%s', but what is looked at here is '%s'",
			   file, conf, s->d->conf_path);
}

static void check_line(struct stack *s, const char *file, unsigned int number,
		       const struct plugstack_line *line)
{
	char path[PATH_SIZE];

	s->n++;
	if (s->n > 1)
		doctor_say(s->d, DOCTOR_ERROR, "keep one of them",
			   "%s:%u: the plugin is loaded a second time", file,
			   number);
	else if (!find_plugin(s->plugin_dirs, line->what, path, sizeof(path)))
		doctor_say(s->d, DOCTOR_ERROR,
			   "write the path that 'make install' printed, " AQ_SLURMPLUGINDIR "/" PLUGIN,
			   "%s:%u: '%s' is not in '%s': Slurm goes on without it",
			   file, number, line->what, s->plugin_dirs);
	else if (line->kind == PLUGSTACK_REQUIRED)
		doctor_say(s->d, DOCTOR_WARNING,
			   "write 'optional': a task whose environment cannot be had is ended by the plugin itself",
			   "%s:%u: 'required': a hook of the plugin that fails would drain the node",
			   file, number);
	else if (!say_if_untrusted(s->d, path))
		doctor_say(s->d, DOCTOR_OK, NULL, "%s:%u: optional %s", file,
			   number, path);
	check_arguments(s, file, line->arguments);
}

static void read_stack(struct stack *s, const char *file);

/* Slurm takes a pattern that begins with no '/' from the file's directory. */
static void read_included(struct stack *s, const char *file,
			  const char *pattern)
{
	const char *slash = strrchr(file, '/');
	char path[PATH_SIZE];
	glob_t found;

	if (*pattern == '/' || !slash)
		snprintf(path, sizeof(path), "%s", pattern);
	else
		snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - file),
			 file, pattern);
	if (glob(path, 0, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc; i++)
		read_stack(s, found.gl_pathv[i]);
	globfree(&found);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void read_stack(struct stack *s, const char *file)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(PLUGSTACK_MAX);
	unsigned int number = 0;

	if (s->depth++ < DEPTH_MAX &&
	    aq_read_file(AT_FDCWD, file, &text, NULL) == 0) {
		for (const char *at = aq_str_get(&text); *at;
		     at = aq_next_line(at)) {
			struct plugstack_line line;

			number++;
			parse_plugstack_line(at, &line);
			if (line.kind == PLUGSTACK_INCLUDE)
				read_included(s, file, line.what);
			else if (line.kind == PLUGSTACK_WRONG)
				doctor_say(s->d, DOCTOR_ERROR,
					   "write 'optional PLUGIN ARGUMENT...', see spank(8)",
					   "%s:%u: Slurm cannot read this line",
					   file, number);
			else if (line.kind != PLUGSTACK_NOTHING &&
				 strcmp(base_name(line.what), PLUGIN) == 0)
				check_line(s, file, number, &line);
		}
	}
	s->depth--;
}

void doctor_plugstack(struct doctor *d)
{
	char file[PATH_SIZE], remedy[2 * PATH_SIZE];
	struct stack s = { .d = d };

	if (!get(d, "PlugStackConfig", file, sizeof(file)) ||
	    !get(d, "PluginDir", s.plugin_dirs, sizeof(s.plugin_dirs))) {
		doctor_say(d, DOCTOR_WARNING, NO_SLURM,
			   "which plugstack.conf Slurm reads is not known");
		return;
	}
	read_stack(&s, file);
	if (s.n)
		return;
	snprintf(remedy, sizeof(remedy),
		 "add the line 'optional %s config=%s' on every node and submit host; no daemon need be started again",
		 PLUGIN, d->conf_path);
	doctor_say(d, DOCTOR_ERROR, remedy,
		   "no line of '%s' loads the plugin: srun has no --aq-requirements",
		   file);
}

/* -- limits -- */

/* Hooks end within AQ_WORKER_DEADLINE_MS each; this is that, twice, and what
 * Slurm needs to start them on a loaded node.
 */
#define HOOKS_SECONDS (2 * AQ_WORKER_DEADLINE_MS / 1000 + 6)
/* A task that waits for a build feels scancel within 2 s. */
#define CANCEL_SECONDS 10

static bool check_limit(struct doctor *d, const char *name, uint64_t least,
			const char *remedy)
{
	char value[64];
	uint64_t seconds;

	if (!get(d, name, value, sizeof(value)) ||
	    !parse_config_seconds(value, &seconds) || !seconds ||
	    seconds >= least)
		return true;
	doctor_say(d, DOCTOR_WARNING, remedy,
		   "%s is %llu s: a slow disk can pass it, which drains the node",
		   name, (unsigned long long)seconds);
	return false;
}

void doctor_limits(struct doctor *d)
{
	char flags[256];
	bool is_fine;

	if (!d->slurm)
		return; /* said */
	is_fine = check_limit(d, "PrologEpilogTimeout", HOOKS_SECONDS,
			      "set it to 10 s or more in slurm.conf: the hooks take 2 s at most, each");
	is_fine &= check_limit(d, "UnkillableStepTimeout", CANCEL_SECONDS,
			       "set it to 10 s or more in slurm.conf (60 is Slurm's default)");
	if (!get(d, "PrologFlags", flags, sizeof(flags)))
		return;
	if (is_fine)
		doctor_say(d, DOCTOR_OK, NULL,
			   "time limits leave room for the hooks; PrologFlags are %s%s",
			   flags,
			   strstr(flags, "Alloc") || strstr(flags, "Contain") ?
				   "" :
				   ": a job's environment is held from its first step on, not from its allocation");
}
