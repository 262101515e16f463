/* SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <string.h>

#include "plugin/rim.h"

#include "config.h"

/* The name carries the exact version: a job staged before an upgrade ends with
 * the library it began with, or is told that it is gone.
 */
#define LIBRARY_PATH AQ_PKGLIBDIR "/libaq-" PACKAGE_VERSION ".so"

void rim_args_read(int ac, char **av, struct rim_args *ret)
{
	*ret = (struct rim_args){ 0 };
	for (int i = 0; i < ac; i++) {
		if (strncmp(av[i], "config=", 7) == 0 && av[i][7] == '/')
			ret->conf_path = av[i] + 7;
		else
			slurm_error("aq: plugstack.conf: unknown argument '%s': "
				    "write config=/PATH/aq.conf", av[i]);
	}
}

int rim_library_load(struct rim_library *ret, struct aq_err *err)
{
	void *lib = dlopen(LIBRARY_PATH, RTLD_NOW | RTLD_LOCAL);
	const struct {
		const char *name;
		void *to;
	} symbols[] = {
		{ "aq_phase_submit", &ret->submit },
		{ "aq_phase_epilog", &ret->epilog },
		{ "aq_phase_stage", &ret->stage },
		{ "aq_phase_forget", &ret->forget },
	};

	if (!lib)
		return aq_fail(err, AQ_SYS, "cannot load the library: %s: if slurm-aq was upgraded just then try again, else install it anew here",
			       dlerror());
	for (size_t i = 0; i < ARRAY_LEN(symbols); i++) {
		void *address = dlsym(lib, symbols[i].name);

		if (!address)
			return aq_fail(err, AQ_SYS, "'%s' has no %s",
				       LIBRARY_PATH, symbols[i].name);
		memcpy(symbols[i].to, &address, sizeof(address));
	}
	return 0;
}
