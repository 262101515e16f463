/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a Python file, and what is in a block of it: TOML. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/requests.h"

const char fuzz_name[] = "script";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_request struct aq_request *req =
		fuzz_request_read_as("/f.py", data, size);

	if (req)
		fuzz_request_check(req);
	return 0;
}
