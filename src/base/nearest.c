/* nearest.c - see nearest.h. */
#include "base/nearest.h"

#include <string.h>

enum { MAX_NAME = 64 };

static int min3(int a, int b, int c)
{
    const int ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Levenshtein's distance; names longer than MAX_NAME are cut. */
static int distance(const char *a, const char *b)
{
    int row[MAX_NAME + 1];
    const int n = (int)strnlen(b, MAX_NAME);
    for (int j = 0; j <= n; j++) row[j] = j;
    for (int i = 0; a[i] && i < MAX_NAME; i++) {
        int corner = row[0];
        row[0] = i + 1;
        for (int j = 0; j < n; j++) {
            const int above = row[j + 1];
            row[j + 1] = min3(above + 1, row[j] + 1, corner + (a[i] != b[j]));
            corner = above;
        }
    }
    return row[n];
}

const char *atm_nearest(const char *name, const void *first, size_t n, size_t stride)
{
    const char *best = NULL;
    int least = (int)strnlen(name, MAX_NAME) / 2 + 1;       /* more than half wrong: no suggestion */
    for (size_t i = 0; i < n; i++) {
        const char *candidate = *(const char *const *)((const char *)first + i * stride);
        const int d = distance(name, candidate);
        if (d < least) {
            least = d;
            best = candidate;
        }
    }
    return best;
}
