/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a request file: an environment file, an explicit lock file, or an
 * exported list.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/requests.h"

const char fuzz_name[] = "request";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_request struct aq_request *req = NULL;

	req = fuzz_request_read(fuzz_file(0, data, size));
	if (req)
		fuzz_request_check(req);
	return 0;
}
