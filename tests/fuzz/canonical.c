/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a request's canonical form, as SLURM_AQ_REQUEST brings it. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/requests.h"

#include "common/domain.h"

const char fuzz_name[] = "canonical";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = fuzz_input(data, size);
	cleanup_request struct aq_request *req = NULL;
	unsigned int inputs = aq_domain_inputs(in.at, size);

	fuzz_check(inputs < 1u << AQ_INPUT_N);
	req = fuzz_request_parse(in.at, size);
	if (req)
		fuzz_request_check(req);
	return 0;
}
