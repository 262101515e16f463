/* SPDX-License-Identifier: Apache-2.0 */
/* Slurm's processes.  They call the hooks as hooks.c defines them. */
#include "tests/fake/fake.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/fake/played.h"

typedef int hook_fn(spank_t sp, int ac, char **av);
hook_fn slurm_spank_init, slurm_spank_init_post_opt, slurm_spank_job_prolog,
	slurm_spank_job_epilog, slurm_spank_task_init_privileged,
	slurm_spank_task_init, slurm_spank_task_post_fork, slurm_spank_exit;
pid_t __real_fork(void);

struct fake *fake;
void (*fake_around_hook)(bool is_before);
static int stderr_fd = -1;
static char stderr_text[FAKE_TEXT_MAX];

static bool is_paused;

void fake_pause_self(void)
{
	is_paused = true;
}

bool fake_fails(const char *name)
{
	int n;

	if (!fake || is_paused)
		return false;
	n = __atomic_add_fetch(&fake->calls, 1, __ATOMIC_SEQ_CST);
	if (n != fake->fail_at &&
	    (!fake->fail_name || strcmp(name, fake->fail_name) != 0))
		return false;
	snprintf(fake->failed, sizeof(fake->failed), "%s", name);
	return true;
}

void fake_new(void)
{
	fake_free();
	fake = mmap(NULL, sizeof(*fake), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	stderr_fd = memfd_create("stderr", MFD_CLOEXEC);
	if (fake == MAP_FAILED || stderr_fd < 0)
		exit(99);
	fake->job = 7;
	fake->n_tasks = 1;
	fake->uid = 1001;
}

void fake_free(void)
{
	if (!fake)
		return;
	munmap(fake, sizeof(*fake));
	fake = NULL;
	close(stderr_fd);
}

const char *fake_stderr(void)
{
	ssize_t n = pread(stderr_fd, stderr_text, sizeof(stderr_text) - 1, 0);

	stderr_text[n < 0 ? 0 : n] = '\0';
	return stderr_text;
}

/* -- environments -- */

const char *fake_env_get(const char *block, const char *name)
{
	size_t len = strlen(name);

	for (; *block; block += strlen(block) + 1)
		if (strncmp(block, name, len) == 0 && block[len] == '=')
			return block + len + 1;
	return NULL;
}

static void write_block(char *block, char *const env[])
{
	size_t used = 0;

	for (; *env && used + strlen(*env) + 2 < FAKE_ENV_MAX; env++)
		used += (size_t)snprintf(block + used, FAKE_ENV_MAX - used,
					 "%s", *env) + 1;
	block[used] = '\0';
}

static void read_block(char *block)
{
	size_t n = 0;

	for (; *block && n < PLAYED_ENV_MAX; block += strlen(block) + 1)
		played.env[n++] = block;
	played.env[n] = NULL;
}

static void around_hook(bool is_before)
{
	if (fake_around_hook)
		fake_around_hook(is_before);
}

static char **played_env_find(const char *name)
{
	size_t len = strlen(name);
	char **p = played.env;

	while (*p && (strncmp(*p, name, len) != 0 || (*p)[len] != '='))
		p++;
	return p;
}

const char *played_env_get(const char *name)
{
	char **p = played_env_find(name);

	return *p ? strchr(*p, '=') + 1 : NULL;
}

void played_env_set(const char *name, const char *value)
{
	char **p = played_env_find(name);
	bool is_new = !*p;

	around_hook(false); /* Slurm's own */
	if (asprintf(p, "%s=%s", name, value) < 0)
		exit(99);
	around_hook(true);
	if (is_new)
		p[1] = NULL;
}

void played_env_unset(const char *name)
{
	for (char **p = played_env_find(name); *p; p++)
		*p = p[1];
}

/* -- processes -- */

static void call(hook_fn *hook)
{
	char *args[] = { (char *)fake->plugstack, NULL };
	int rc;

	around_hook(true);
	rc = hook(NULL, 1, args);
	around_hook(false);
	if (rc != 0)
		__atomic_add_fetch(&fake->n_bad_returns, 1, __ATOMIC_SEQ_CST);
}

/* Begin to play one: true in its process. */
static bool begin(const char *name, spank_context_t context, pid_t *ret)
{
	*ret = __real_fork();
	if (*ret < 0)
		exit(99);
	if (*ret > 0)
		return false;
	played = (struct played){ .name = name, .context = context, .task = -1 };
	dup2(stderr_fd, STDERR_FILENO);
	fcntl(STDERR_FILENO, F_SETFL, O_APPEND);
	return true;
}

static int end(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		;
	if (WIFSIGNALED(status))
		__atomic_add_fetch(&fake->n_signals, 1, __ATOMIC_SEQ_CST);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* "--NAME" and "--NAME=VALUE" are other options. */
static int give_option(const char *value)
{
	for (size_t i = 0; i < played.n_others; i++) {
		const struct spank_option *o = played.others[i];
		size_t len = strlen(o->name);

		if (aq_starts_with(value, "--") &&
		    strncmp(value + 2, o->name, len) == 0 &&
		    value[2 + len] == (o->has_arg ? '=' : '\0'))
			return o->cb(0, o->has_arg ? value + 3 + len : NULL, 0);
	}
	return played.option->cb(0, value, 0);
}

int fake_submit(spank_context_t context, const char *const values[])
{
	pid_t pid;

	if (begin(context == S_CTX_LOCAL ? "srun" : "sbatch", context, &pid)) {
		call(slurm_spank_init);
		if (*values && !played.option) { /* getopt_long(3) */
			slurm_error("unrecognized option '--" RIM_OPTION "'");
			_exit(255);
		}
		for (; *values; values++)
			if (give_option(*values) != 0)
				_exit(255);
		call(slurm_spank_init_post_opt);
		write_block(fake->env, environ);
		if (context == S_CTX_ALLOCATOR)
			call(slurm_spank_exit);
		_exit(0);
	}
	return end(pid);
}

static void give_variable(const char *name, const char *value)
{
	char *text;

	if (*value && (asprintf(&text, "SPANK_%s=%s", name, value) < 0 ||
		       putenv(text) != 0))
		_exit(99);
}

static void script(hook_fn *hook, const char *name)
{
	pid_t pid;

	if (begin(name, S_CTX_JOB_SCRIPT, &pid)) {
		clearenv();
		putenv((char *)"SLURMD_NODENAME=n1");
		give_variable(RIM_DIGEST, fake->digest);
		give_variable(RIM_PREFETCH, fake->prefetch);
		close(STDIN_FILENO); /* as Slurm has it */
		call(hook);
		_exit(0);
	}
	end(pid);
}

void fake_prolog(void) { script(slurm_spank_job_prolog, "spank prolog"); }
void fake_epilog(void) { script(slurm_spank_job_epilog, "spank epilog"); }

static int count_inherited_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++) {
		int flags = fcntl(fd, F_GETFD);

		n += flags >= 0 && !(flags & FD_CLOEXEC);
	}
	return n;
}

static void play_task(int id) __attribute__((noreturn));
static void play_task(int id)
{
	played.task = id;
	call(slurm_spank_task_init_privileged);
	call(slurm_spank_task_init);
	fake->task[id].ran = true;
	fake->task[id].n_fds = count_inherited_fds();
	write_block(fake->task[id].env, played.env);
	_exit(0);
}

static void play_stepd(void) __attribute__((noreturn));
static void play_stepd(void)
{
	pid_t tasks[FAKE_TASKS_MAX];

	setenv("SLURMD_NODENAME", "n1", 1);
	read_block(fake->env);
	if (fake->loses_request)
		played_env_unset(RIM_REQUEST);
	if (fake->workflow)
		played_env_set(RIM_WORKFLOW, fake->workflow);
	call(slurm_spank_init);
	if (played.option && fake_env_get(fake->env, RIM_REQUEST))
		played.option->cb(0, "given.yaml", 1);
	call(slurm_spank_init_post_opt);
	for (uint32_t i = 0; i < fake->n_tasks; i++) {
		tasks[i] = __real_fork();
		if (tasks[i] == 0)
			play_task((int)i);
	}
	for (uint32_t i = 0; i < fake->n_tasks; i++) {
		played.task = (int)i;
		call(slurm_spank_task_post_fork);
	}
	played.task = -1;
	for (uint32_t i = 0; i < fake->n_tasks; i++)
		fake->task[i].status = end(tasks[i]);
	call(slurm_spank_exit);
	_exit(0);
}

void fake_step(void)
{
	pid_t pid;

	memset(fake->task, 0, sizeof(fake->task));
	if (begin("slurmstepd", S_CTX_REMOTE, &pid))
		play_stepd();
	end(pid);
}
