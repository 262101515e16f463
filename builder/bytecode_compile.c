/* SPDX-License-Identifier: Apache-2.0 */
/* Compiling: a script for the interpreter that does it. */
#include <stdio.h>

#include "builder/bytecode_inside.h"
#include "builder/run.h"

static const char script[] =
	"import csv, hashlib, importlib.util, json, os, py_compile, re, shutil, sys\n"
	"prefix, out = sys.argv[1:]\n"
	"site = f'lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages'\n"
	"infos = {}\n"
	"for d in os.listdir(f'{prefix}/{site}'):\n"
	"    if d.endswith('.dist-info'):\n"
	"        infos[re.sub('[-_.]+', '-', d.split('-')[0]).lower()] = f'{site}/{d}'\n"
	"def files(kind, name, version, build):\n"
	"    if kind == 'conda':\n"
	"        with open(f'{prefix}/conda-meta/{name}-{version}-{build}.json') as f:\n"
	"            return json.load(f)['files']\n"
	"    info = infos[re.sub('[-_.]+', '-', name).lower()]\n"
	"    with open(f'{prefix}/{info}/RECORD', newline='') as f:\n"
	"        return [f'{site}/{row[0]}' for row in csv.reader(f) if row]\n"
	"jobs, packages = [], []\n"
	"for line in sys.stdin:\n"
	"    kind, sha, name, version, build = line.split()\n"
	"    new, index = f'{out}/{sha}.new', []\n"
	"    shutil.rmtree(new, ignore_errors=True)\n"
	"    os.mkdir(new)\n"
	"    try: paths = files(kind, name, version, build)\n"
	"    except Exception: paths = []\n"
	"    own = {*paths}\n"
	"    for path in paths:\n"
	"        source = f'{prefix}/{path}'\n"
	"        if not re.match(r'lib/[^\\n]*\\.py$', path) or '..' in path.split('/'): continue\n"
	"        if os.path.islink(source) or not os.path.isfile(source): continue\n"
	"        own_pyc = importlib.util.cache_from_source(path)\n"
	"        if own_pyc in own and os.path.lexists(f'{prefix}/{own_pyc}'): continue\n"
	"        jobs.append((source, path, f'{new}/{len(index)}.pyc'))\n"
	"        index.append((path, os.stat(source), f'{new}/{len(index)}.pyc'))\n"
	"    packages.append((sha, new, index))\n"
	"def work(mine):\n"
	"    for source, path, pyc in mine:\n"
	"        try: py_compile.compile(source, pyc, path, True, invalidation_mode=\n"
	"            py_compile.PycInvalidationMode.UNCHECKED_HASH)\n"
	"        except (py_compile.PyCompileError, ValueError, RecursionError): continue\n"
	"        os.chmod(pyc, 0o444)\n"
	"n = min(len(os.sched_getaffinity(0)), 4)\n"
	"children = []\n"
	"for i in range(n):\n"
	"    pid = os.fork()\n"
	"    if not pid:\n"
	"        try: work(jobs[i::n])\n"
	"        except BaseException: os._exit(1)\n"
	"        os._exit(0)\n"
	"    children.append(pid)\n"
	"if any(os.waitpid(pid, 0)[1] for pid in children): sys.exit('a compiler died')\n"
	"for sha, new, index in packages:\n"
	"    with open(f'{new}/index', 'w') as f:\n"
	"        for path, st, pyc in index:\n"
	"            if not os.path.exists(pyc): continue\n"
	"            kind = 'shared' if st.st_nlink > 1 else 'copied'\n"
	"            with open(f'{prefix}/{path}', 'rb') as source:\n"
	"                digest = hashlib.sha256(source.read()).hexdigest()\n"
	"            f.write(f'{os.path.basename(pyc)} {kind} {st.st_ino} {st.st_size}'\n"
	"                    f' {st.st_mtime_ns} {digest} {path}\\n')\n"
	"    shutil.rmtree(f'{out}/{sha}', ignore_errors=True)\n"
	"    os.rename(new, f'{out}/{sha}')\n";


static void add_missing(const struct build *b, const bool *missing,
			struct aq_str *out)
{
	for (size_t i = 0; i < b->lock->n_items; i++) {
		const struct aq_lock_item *item = &b->lock->items[i];

		if (missing[i])
			aq_str_add_fmt(out, "%s %s %s %s %s\n",
				       item->kind == AQ_LOCK_CONDA ? "conda" : "wheel",
				       item->sha256, item->name, item->version,
				       item->build ? item->build : "-");
	}
}

int bytecode_compile(struct build *b, const bool *missing, struct aq_err *err)
{
	cleanup_command struct command cmd =
		COMMAND_INIT(bytecode_compiler_phase(b));
	cleanup_str struct aq_str in = AQ_STR_INIT(AQ_LOCK_MAX);
	char trees[BUILD_PATH_MAX];
	int rc;

	add_missing(b, missing, &in);
	rc = aq_str_done(&in, "the packages to compile", err);
	if (rc)
		return rc;
	bytecode_name_trees(b, b->inside, trees);
	if (b->compiler[0])
		aq_strv_add_fmt(&cmd.argv, "%s/envs/%s/bin/python",
				b->conf->cache_dir, b->compiler);
	else
		aq_strv_add_fmt(&cmd.argv, "%s/bin/python", b->prefix);
	aq_strv_add(&cmd.argv, "-I");
	aq_strv_add(&cmd.argv, "-S");
	aq_strv_add(&cmd.argv, "-c");
	aq_strv_add(&cmd.argv, script);
	aq_strv_add(&cmd.argv, b->prefix);
	aq_strv_add(&cmd.argv, trees);
	cmd.input = aq_str_get(&in);
	cmd.input_len = in.len;
	rc = run(b, &cmd, err);
	if (rc || cmd.exit_code == 0)
		return rc;
	return run_failed(b, &cmd, "byte-code", BUILD_FAULT, err);
}
