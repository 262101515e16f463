/* SPDX-License-Identifier: Apache-2.0 */
/* What every unit test includes first: cmocka and what it wants before it. */
#ifndef AQ_UNIT_H
#define AQ_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#endif
