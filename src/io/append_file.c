/* append_file.c - see append_file.h. */
#include "io/append_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static atm_status fail(const atm_append_file *file, const char *action)
{
    return atm_fail(ATM_E_IO, "%s: cannot %s: %s", file->path, action, strerror(errno));
}

void atm_append_close(atm_append_file *file)
{
    if (file->path && file->fd >= 0) close(file->fd);
    free(file->path);
    *file = (atm_append_file){ 0 };
}

static atm_status cut(atm_append_file *file, int64_t keep)
{
    struct stat info;
    if (fstat(file->fd, &info)) return fail(file, "look at it");
    if (!S_ISREG(info.st_mode)) return atm_fail(ATM_E_IO, "%s: is not a file", file->path);
    if (info.st_size < keep)
        return atm_fail(ATM_E_DATA, "%s: has %" PRId64 " bytes where at least %" PRId64 " were written "
                        "before: it was cut or replaced", file->path, (int64_t)info.st_size, keep);
    if (info.st_size > keep && ftruncate(file->fd, keep)) return fail(file, "cut it");
    file->size = keep;
    return ATM_OK;
}

atm_status atm_append_open(const char *path, int64_t keep, atm_append_file *out)
{
    atm_append_file file = { .path = strdup(path), .fd = -1 };
    atm_status status = ATM_OK;
    if (!file.path) return atm_fail(ATM_E_MEMORY, "%s: no memory", path);
    file.fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (file.fd < 0) TRY(fail(&file, "open"));
    TRY(cut(&file, keep));
    *out = file;
    return ATM_OK;
done:
    atm_append_close(&file);
    return status;
}

/* All of it, or nothing: what arrived of a record that did not fit is taken back. */
atm_status atm_append_write(atm_append_file *file, const void *record, size_t bytes)
{
    for (size_t done = 0; done < bytes; ) {
        const ssize_t n = write(file->fd, (const char *)record + done, bytes - done);
        if (n < 0 && errno == EINTR) continue;
        if (n > 0) {
            done += (size_t)n;
            continue;
        }
        if (n == 0) errno = ENOSPC;
        const atm_status status = fail(file, "write");
        if (done && ftruncate(file->fd, file->size))
            return atm_fail_in(status, "and it ends with half a record");
        return status;
    }
    file->size += (int64_t)bytes;
    return ATM_OK;
}

atm_status atm_append_sync(atm_append_file *file)
{
    return fsync(file->fd) ? fail(file, "sync") : ATM_OK;
}
