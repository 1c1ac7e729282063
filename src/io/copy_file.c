#define _GNU_SOURCE     /* copy_file_range */
#include "io/copy_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/atomic_file.h"

enum { PIECE = 1 << 20 };

/* As much as the kernel copies by itself; the rest, or all of it where file systems do not
 * work together, is left to read and write: both descriptors have moved along. */
static void copy_in_kernel(int in, int out)
{
    while (copy_file_range(in, NULL, out, NULL, 1u << 30, 0) > 0) continue;
}

static atm_status copy_rest(int in, const char *from, atm_atomic_file *out, void *piece)
{
    for (;;) {
        const ssize_t n = read(in, piece, PIECE);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return atm_fail(ATM_E_NOINPUT, "%s: %s", from, strerror(errno));
        if (n == 0) return ATM_OK;
        TRY_RETURN(atm_atomic_write(out, piece, (size_t)n));
    }
}

static atm_status copy(int in, const char *from, atm_atomic_file *out)
{
    void *piece = malloc(PIECE);
    if (!piece) return atm_fail(ATM_E_MEMORY, "%s: no memory to copy it", from);
    copy_in_kernel(in, atm_atomic_fd(out));
    const atm_status status = copy_rest(in, from, out, piece);
    free(piece);
    return status;
}

atm_status atm_copy_file(const char *from, const char *to)
{
    atm_status status = ATM_OK;
    atm_atomic_file *out = NULL;
    const int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0) return atm_fail(ATM_E_NOINPUT, "%s: %s", from, strerror(errno));
    TRY(atm_atomic_open(to, &out));
    TRY(copy(in, from, out));
    status = atm_atomic_commit(out);
    out = NULL;
done:
    atm_atomic_abort(out);
    close(in);
    return status;
}
