/* support.c - what several tests need. */
#include "support/support.h"

#include <stdio.h>

const char *fixture_path(const char *name)
{
    static _Thread_local char path[4096];
    snprintf(path, sizeof path, "%s/tests/fixtures/%s", ATM_SOURCE_DIR, name);
    return path;
}
