#include "io/atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct atm_atomic_file {
    char *path;         /* as given: for messages */
    char *target;       /* what is replaced: `path` with links resolved */
    char *temp;         /* what is written; equals target when that is a device */
    int fd;
    int directory;      /* opened early: after the rename nothing but fsync may fail; or -1 */
    bool direct, failed;
};

static atm_status fail(const atm_atomic_file *file, const char *action)
{
    return atm_fail(ATM_E_IO, "%s: cannot %s: %s", file->path, action, strerror(errno));
}

static void release(atm_atomic_file *file)
{
    if (file->fd >= 0) close(file->fd);
    if (file->directory >= 0) close(file->directory);
    free(file->path);
    free(file->target);
    free(file->temp);
    free(file);
}

void atm_atomic_abort(atm_atomic_file *file)
{
    if (!file) return;
    if (!file->direct && file->fd >= 0) unlink(file->temp);
    release(file);
}

static size_t directory_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

/* A folder that may be written but not read cannot be synced: that is the owner's choice. */
static bool open_directory(atm_atomic_file *file)
{
    size_t length = directory_length(file->target);
    char *name = length ? strndup(file->target, length) : strdup(".");
    if (!name) return false;
    file->directory = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int reason = errno;
    free(name);
    errno = reason;
    return file->directory >= 0 || reason == EACCES;
}

/* Creates DIR/.arttomus-PID-N.tmp, with the permissions that the umask gives
 * (mkstemp would make every output private). */
static bool create_temp(atm_atomic_file *file)
{
    static atomic_uint counter;
    enum { NAME = 64, TRIES = 100 };
    size_t directory = directory_length(file->target);
    if (!(file->temp = malloc(directory + NAME))) return false;
    memcpy(file->temp, file->target, directory);
    for (int i = 0; i < TRIES; i++) {
        snprintf(file->temp + directory, NAME, ".arttomus-%ld-%u.tmp", (long)getpid(),
                 atomic_fetch_add(&counter, 1));
        file->fd = open(file->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file->fd >= 0 || errno != EEXIST) break;
    }
    return file->fd >= 0;
}

static bool open_device(atm_atomic_file *file)
{
    file->direct = true;
    if (!(file->temp = strdup(file->target))) return false;
    file->fd = open(file->temp, O_WRONLY | O_CLOEXEC);
    return file->fd >= 0;
}

static bool prepare(atm_atomic_file *file)
{
    struct stat info;
    bool exists = stat(file->path, &info) == 0;
    if (!*file->path) return false;             /* errno is stat's: no such file */
    if (exists && S_ISDIR(info.st_mode)) {
        errno = EISDIR;
        return false;
    }
    bool regular = !exists || S_ISREG(info.st_mode);
    file->target = exists && regular ? realpath(file->path, NULL) : strdup(file->path);
    if (!file->target) return false;
    return regular ? open_directory(file) && create_temp(file) : open_device(file);
}

atm_status atm_atomic_open(const char *path, atm_atomic_file **out)
{
    atm_atomic_file *file = malloc(sizeof *file);
    if (!file) return atm_fail(ATM_E_MEMORY, "%s: no memory", path);
    *file = (atm_atomic_file){ .path = strdup(path), .fd = -1, .directory = -1 };
    if (!file->path || !prepare(file)) {
        int reason = errno;
        atm_atomic_abort(file);
        return atm_fail(reason == ENOMEM ? ATM_E_MEMORY : ATM_E_IO, "%s: cannot create: %s", path,
                        strerror(reason));
    }
    *out = file;
    return ATM_OK;
}

atm_status atm_atomic_write(atm_atomic_file *file, const void *data, size_t bytes)
{
    const char *p = data;
    while (bytes) {
        ssize_t n = write(file->fd, p, bytes < SSIZE_MAX ? bytes : SSIZE_MAX);
        if (n < 0 && errno == EINTR) continue;
        if (n == 0) errno = ENOSPC;
        if (n <= 0) {
            file->failed = true;
            return fail(file, "write");
        }
        p += n;
        bytes -= (size_t)n;
    }
    return ATM_OK;
}

int atm_atomic_fd(const atm_atomic_file *file) { return file->fd; }
const char *atm_atomic_temp_path(const atm_atomic_file *file) { return file->temp; }

/* Pipes and some file systems know no fsync; that is not a failure. */
static bool sync_fd(int fd)
{
    return fsync(fd) == 0 || errno == EINVAL || errno == EROFS || errno == ENOTSUP;
}

/* close() is where NFS reports a full disk. */
static bool close_fd(atm_atomic_file *file)
{
    int fd = file->fd;
    file->fd = -1;
    return close(fd) == 0 || errno == EINTR;
}

static atm_status publish(atm_atomic_file *file)
{
    if (file->failed) return atm_fail(ATM_E_IO, "%s: an earlier write failed", file->path);
    if (!sync_fd(file->fd)) return fail(file, "sync");
    if (!close_fd(file)) return fail(file, "close");
    if (file->direct) return ATM_OK;
    if (rename(file->temp, file->target) < 0) return fail(file, "rename");
    bool synced = file->directory < 0 || sync_fd(file->directory);
    return synced ? ATM_OK : fail(file, "sync the directory of");
}

atm_status atm_atomic_commit(atm_atomic_file *file)
{
    atm_status status = publish(file);
    if (status != ATM_OK && !file->direct) unlink(file->temp);      /* gone already after a rename */
    release(file);
    return status;
}

atm_status atm_atomic_write_file(const char *path, const void *data, size_t bytes)
{
    atm_atomic_file *file;
    TRY_RETURN(atm_atomic_open(path, &file));
    atm_status status = atm_atomic_write(file, data, bytes);
    if (status == ATM_OK) return atm_atomic_commit(file);
    atm_atomic_abort(file);
    return status;
}
