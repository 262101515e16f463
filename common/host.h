/* SPDX-License-Identifier: Apache-2.0 */
/* What this node has of what packages may need of one, as conda's virtual packages have
 * it: "__glibc", "__cuda" (docs.conda.io: "Managing virtual packages").
 *
 * aq.conf's virtual_packages come first.  C library and kernel a process knows by
 * itself; of drivers and processors a client tells, which a builder asks
 * (builder/host.c) and keeps in run_dir/host.  That counts for as long as aq.conf and
 * aq_host_stamp() are what they were, and is gone with the boot.
 */
#ifndef AQ_HOST_H
#define AQ_HOST_H

#include "common/conf.h"
#include "common/err.h"
#include "common/store.h"

/* The NVIDIA driver that is loaded, of which a change may be one of "__cuda". */
#define AQ_HOST_DRIVER "/sys/module/nvidia/version"
/* What a process sees by itself of all that may change without a boot, as one number; of
 * a node without a driver a different one.  Loads nothing, waits for nothing.
 */
uint64_t aq_host_stamp(const char *driver);

#define AQ_HOST_MAX 4096 /* bytes of text; clients know eight packages */
struct aq_host {
	/* lines "__glibc 2.36 0", of a package that is not here "__cuda - -" */
	char text[AQ_HOST_MAX];
	/* a client was asked, as the node is now: what is not in 'text' is not here */
	bool is_asked;
	bool is_silent; /* it could not tell, or said what it does not keep to */
};
void aq_host_find(const struct aq_conf *conf, struct aq_host *ret);

/* A client says 'lines', hostile, to a builder that asked it when the stamp was 'stamp';
 * NULL: host->is_silent.  One at a time.
 */
AQ_CHECK int aq_host_keep(const struct aq_conf *conf, uint64_t stamp,
			  const char *lines, struct aq_err *err);

/* Whether it has what 'need' is about: "__glibc >=2.17", hostile.  AQ_USER: not;
 * AQ_MISS: that is not known here.
 */
AQ_CHECK int aq_host_has(const struct aq_host *host, const char *need,
			 struct aq_err *err);

/* -- environments -- */

/* The environments of a store that fit this node. */
struct aq_fit {
	const struct aq_conf *conf;
	struct aq_host host;
	/* the last that was passed over, what it needs: for people; or "" */
	char unfit[AQ_ENV_NAME_SIZE];
	char why[256];
	bool is_unknown; /* a client has to be asked first */
};
/* What aq_store_find() and aq_store_find_key() find in 'store' from now on fits:
 * AQ_MISS, and 'ret' says why, where there is none or that is not known.  'ret' stays as
 * long as 'store'.
 */
void aq_fit_only(const struct aq_conf *conf, struct aq_store *store,
		 struct aq_fit *ret);

/* Whether the environment 'name' fits, as its lock in meta/ has it; what cannot be read
 * does, which is for `aq verify` to say.  AQ_USER: it needs what this node has not;
 * AQ_MISS: a client has to be asked.
 */
AQ_CHECK int aq_fit_env(const struct aq_conf *conf, const struct aq_host *host,
			const char *name, struct aq_err *err);

#endif
