/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/cage.h"
#include "builder/inherit.h"
#include "builder/prefix.h"
#include "builder/run.h"
#include "common/flock.h"
#include "common/io.h"

#define FILE_NAME "constraints.txt"
#define CONSTRAINTS_MAX (256 * 1024)

/* -I -S: no code of the base's packages runs, only Python's own.  The tag is the
 * one that resolvers like best (PEP 600): they unpack the wheel that they choose.
 */
static const char script[] =
	"import importlib.metadata, os, re, sys, zipfile\n"
	"site, out = sys.argv[1:]\n"
	"cp, tag = 'cp%d%d' % sys.version_info[:2], 'py3-none-any'\n"
	"if sys.implementation.name == 'cpython' and 'CS_GNU_LIBC_VERSION' in os.confstr_names:\n"
	"    glibc = os.confstr('CS_GNU_LIBC_VERSION').split()[-1].replace('.', '_')\n"
	"    tag = f'{cp}-{cp}-manylinux_{glibc}_{os.uname().machine}'\n"
	"seen = {}\n"
	"for dist in importlib.metadata.distributions(path=[site]):\n"
	"    meta, version = dist.metadata, dist.version\n"
	"    if not meta['Name'] or not version: continue\n"
	"    name = re.sub(r'[-_.]+', '-', meta['Name']).lower()\n"
	"    if name in seen or not re.fullmatch('[A-Za-z0-9._+!-]+', name + version): continue\n"
	"    seen[name] = version\n"
	"    lines = ['Metadata-Version: 2.1', f'Name: {name}', f'Version: {version}']\n"
	"    if meta['Requires-Python']:\n"
	"        lines.append('Requires-Python: ' + meta['Requires-Python'])\n"
	"    lines += [f'Provides-Extra: {e}' for e in meta.get_all('Provides-Extra') or []]\n"
	"    lines += [f'Requires-Dist: {r}' for r in dist.requires or []]\n"
	"    stem = f\"{name.replace('-', '_')}-{version}\"\n"
	"    files = {\n"
	"        'METADATA': '\\n'.join(lines) + '\\n',\n"
	"        'WHEEL': 'Wheel-Version: 1.0\\nGenerator: slurm-aq\\n'\n"
	"                 f'Root-Is-Purelib: true\\nTag: {tag}\\n',\n"
	"    }\n"
	"    files['RECORD'] = ''.join(f'{stem}.dist-info/{f},,\\n' for f in [*files, 'RECORD'])\n"
	"    with zipfile.ZipFile(os.path.join(out, f'{stem}-{tag}.whl'), 'w') as z:\n"
	"        for f, text in files.items():\n"
	"            z.writestr(f'{stem}.dist-info/{f}', text)\n"
	"with open(os.path.join(out, '" FILE_NAME "'), 'w') as f:\n"
	"    f.writelines(f'{n}=={v}\\n' for n, v in sorted(seen.items()))\n";

/* The directory as root finds it; b->stubs is where the cage has it. */
static void name_dir(const struct build *b, const char *suffix,
		     char ret[BUILD_PATH_MAX])
{
	snprintf(ret, BUILD_PATH_MAX, "%s/stubs/%s%s", b->work, b->stubs_name,
		 suffix);
}

static void name_stubs(struct build *b, const char *name)
{
	snprintf(b->stubs_name, sizeof(b->stubs_name), "%s", name);
	snprintf(b->stubs, sizeof(b->stubs), "%s/stubs/%s", b->inside, name);
}

/* Of what 'prefix' has for 'python' ("3.9").  A base's interpreter may run where
 * the caches are (-I -S); one that was just linked may not.
 */
static int write_stubs(struct build *b, enum phase phase, const char *prefix,
		       const char *python, struct aq_err *err)
{
	cleanup_command struct command cmd = COMMAND_INIT(phase);
	int rc;

	aq_strv_add_fmt(&cmd.argv, "%s/bin/python", prefix);
	aq_strv_add(&cmd.argv, "-I");
	aq_strv_add(&cmd.argv, "-S");
	aq_strv_add(&cmd.argv, "-c");
	aq_strv_add(&cmd.argv, script);
	aq_strv_add_fmt(&cmd.argv, "%s/lib/python%s/site-packages", prefix,
			python);
	aq_strv_add_fmt(&cmd.argv, "%s.new", b->stubs);
	rc = run(b, &cmd, err);
	if (rc || cmd.exit_code == 0)
		return rc;
	return run_failed(b, &cmd, "the Python packages cannot be listed",
			  BUILD_FAULT, err);
}

static int make(struct build *b, enum phase phase, const char *prefix,
		const char *python, struct aq_err *err)
{
	const struct identity *who = phase_identity(b, phase);
	char done[BUILD_PATH_MAX], made[BUILD_PATH_MAX];
	int rc;

	name_dir(b, "", done);
	name_dir(b, ".new", made);
	rc = aq_remove_tree(AT_FDCWD, made, err);
	if (rc)
		return rc;
	if (mkdir(made, 0755) < 0 || chmod(made, 0755) < 0 ||
	    chown(made, who->uid, who->gid) < 0)
		return aq_fail_errno(err, "cannot make '%s'", made);
	snprintf(b->open_dir, sizeof(b->open_dir), "stubs/%s.new",
		 b->stubs_name);
	rc = write_stubs(b, phase, prefix, python, err);
	b->open_dir[0] = '\0';
	if (rc)
		return rc;
	rc = aq_remove_tree(AT_FDCWD, done, err);
	if (rc)
		return rc;
	/* from here on nobody but root changes which files are there */
	if (chown(made, geteuid(), getegid()) < 0 || rename(made, done) < 0)
		return aq_fail_errno(err, "cannot set '%s' up", done);
	return 0;
}

int stubs_make(struct build *b, struct aq_err *err)
{
	cleanup_close int lock = -1;
	char done[BUILD_PATH_MAX], name[sizeof(b->stubs_name) + 8];
	int rc;

	name_stubs(b, b->base.env);
	name_dir(b, "/" FILE_NAME, done);
	if (access(done, F_OK) == 0)
		return 0;
	/* other keys inherit from the same base */
	snprintf(name, sizeof(name), "stubs-%s", b->stubs_name);
	rc = aq_flock_wait(b->conf, name, AQ_FLOCK_EXCLUSIVE, build_is_over, b,
			   &lock, err);
	if (rc || access(done, F_OK) == 0)
		return rc;
	return make(b, PHASE_CLIENT, b->base_prefix, b->base.python, err);
}

int stubs_make_of_prefix(struct build *b, struct aq_err *err)
{
	char name[sizeof(b->stubs_name)], old[BUILD_PATH_MAX];
	char python[AQ_BASE_PYTHON_SIZE];
	int rc;

	snprintf(name, sizeof(name), "solve-%.16s", b->key);
	name_stubs(b, name);
	name_dir(b, "", old);
	rc = aq_remove_tree(AT_FDCWD, old, err);
	aq_base_name_of(b->lock->python, python);
	return rc ? rc : make(b, PHASE_PROBE, b->prefix, python, err);
}

static int make_of_prefix(struct build *b, void *arg, struct aq_err *err)
{
	(void)arg;
	return stubs_make_of_prefix(b, err);
}

int stubs_make_of_conda(struct build *b, struct aq_err *err)
{
	return prefix_try(b, make_of_prefix, NULL, err);
}

int stubs_read(struct build *b, struct aq_strv *names,
	       struct aq_str *constraints, struct aq_err *err)
{
	cleanup_close int dir = -1;
	char path[BUILD_PATH_MAX];
	const char *p;
	int rc;

	name_dir(b, "", path);
	rc = aq_open_dir(AT_FDCWD, path, &dir, err);
	if (!rc)
		rc = aq_read_file(dir, FILE_NAME, constraints, err);
	if (rc)
		return rc == AQ_MISS ? aq_fail(err, AQ_SYS, "'%s' is not whole: remove it",
					       path) : rc;
	for (p = aq_str_get(constraints); *p; p = aq_next_line(p))
		aq_strv_add_mem(names, p, strcspn(p, "="));
	return aq_strv_done(names, "a base's packages", err);
}
