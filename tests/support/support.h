/* support.h - include this first in every test: cmocka and what it needs. */
#ifndef ATM_TEST_SUPPORT_H
#define ATM_TEST_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Path of tests/fixtures/NAME; valid until the next call on this thread. */
const char *fixture_path(const char *name);

#endif
