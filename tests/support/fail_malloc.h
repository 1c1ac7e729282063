/* fail_malloc.h - the n-th allocation of this program fails.  Defines malloc itself: to be
 * included by one file of a test program, and by no library of tests.
 *
 *     countdown = n;  status = work();  countdown = 0;        live: blocks not freed */
#ifndef ATM_TEST_FAIL_MALLOC_H
#define ATM_TEST_FAIL_MALLOC_H

#include <stdbool.h>
#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { CAN_FAIL = 0 };              /* the sanitizer owns malloc */
static long countdown, live;
#else
enum { CAN_FAIL = 1 };

/* These take the C library's place in this program; being visible, for the calls that
 * libc, jansson and libyaml make as well. */
#pragma GCC visibility push(default)
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t alignment, size_t n);
void  __libc_free(void *p);

static long countdown, live;        /* 1: the next allocation fails; live: blocks not freed */

static bool fails(void) { return countdown && --countdown == 0; }
static void *counted(void *p) { live += p != NULL; return p; }

void *malloc(size_t n) { return fails() ? NULL : counted(__libc_malloc(n)); }
void *calloc(size_t n, size_t size) { return fails() ? NULL : counted(__libc_calloc(n, size)); }

void *aligned_alloc(size_t alignment, size_t n)
{
    return fails() ? NULL : counted(__libc_memalign(alignment, n));
}

void *realloc(void *p, size_t n)
{
    if (fails()) return NULL;
    return p ? __libc_realloc(p, n) : counted(__libc_malloc(n));
}

void free(void *p)
{
    live -= p != NULL;
    __libc_free(p);
}
#pragma GCC visibility pop
#endif

#endif
