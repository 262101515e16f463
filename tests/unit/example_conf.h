/* SPDX-License-Identifier: Apache-2.0 */
/* An administrator's map for tests that read requests. */
#ifndef AQ_EXAMPLE_CONF_H
#define AQ_EXAMPLE_CONF_H

#include "common/conf.h"

#define TEXT(literal) ((char[]){ literal })

static struct aq_channel example_channels[] = {
	{ TEXT("conda-forge"), TEXT("https://mirror.example/conda-forge") },
	{ TEXT("bioconda"), TEXT("https://mirror.example/bioconda/") },
	{ TEXT("pytorch"), TEXT("https://mirror.example/pytorch") },
};

static struct aq_conf example_conf = {
	.channels = example_channels,
	.n_channels = 3,
	.pip_index = TEXT("https://mirror.example/simple/"),
	.default_python = TEXT("3.12"),
};

#endif
