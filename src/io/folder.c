/* folder.c - see folder.h. */
#define _GNU_SOURCE     /* renameat2 */
#include "io/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPEN_FOLDERS = 8 };      /* descriptors for walking */

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)kind;
    (void)place;
    return remove(path);
}

void atm_folder_remove(const char *path) { nftw(path, remove_entry, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS); }

/* mkdtemp() makes it for its owner alone, whatever the umask allows. */
static void allow_others(const char *path)
{
    const mode_t mask = umask(0);
    umask(mask);
    chmod(path, 0777 & ~mask);
}

atm_status atm_folder_begin(const char *path, char **out)
{
    int length = (int)strlen(path);
    while (length > 1 && path[length - 1] == '/') length--;
    if (asprintf(out, "%.*s.partial-XXXXXX", length, path) < 0)
        return atm_fail(ATM_E_MEMORY, "no memory for a path");
    if (mkdtemp(*out)) {
        allow_others(*out);
        return ATM_OK;
    }
    free(*out);
    *out = NULL;
    return atm_fail(ATM_E_IO, "%s: cannot make this folder: %s", path, strerror(errno));
}

/* Some file systems know no fsync of folders; that is not a failure. */
static bool sync_folder(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return errno == EACCES;
    const bool synced = fsync(fd) == 0 || errno == EINVAL || errno == EROFS || errno == ENOTSUP;
    const int error = errno;
    close(fd);
    errno = error;
    return synced;
}

static bool sync_parent(const char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') length--;
    while (length && path[length - 1] != '/') length--;
    char *parent = length ? strndup(path, length) : strdup(".");
    const bool synced = parent && sync_folder(parent);
    const int error = errno;
    free(parent);
    errno = error;
    return synced;
}

atm_status atm_folder_commit(const char *partial, const char *path)
{
    if (rename(partial, path) == 0) {
        sync_parent(partial);           /* where it fails the rename has happened all the same */
        return ATM_OK;
    }
    const int error = errno;
    atm_folder_remove(partial);
    return atm_fail(ATM_E_IO, "%s: cannot move the finished folder there: %s", path, strerror(error));
}

/* Where two folders cannot change places (NFS): a kill between the two renames leaves no
 * folder under the name, but both beside it. */
static bool move_aside(const char *made, const char *path)
{
    char *old;
    if (asprintf(&old, "%s.old", path) < 0) return false;
    atm_folder_remove(old);
    bool moved = rename(path, old) == 0;
    if (moved && rename(made, path) != 0) {
        const int error = errno;
        rename(old, path);
        errno = error;
        moved = false;
    }
    const int error = errno;
    if (moved) atm_folder_remove(old);
    free(old);
    errno = error;
    return moved;
}

/* rename() replaces no folder that has something in it. */
static bool put_in_place(const char *made, const char *path)
{
    if (rename(made, path) == 0) return true;
    if (errno != ENOTEMPTY && errno != EEXIST) return false;
    if (renameat2(AT_FDCWD, made, AT_FDCWD, path, RENAME_EXCHANGE) == 0) return true;
    return (errno == EINVAL || errno == ENOSYS || errno == ENOTSUP) && move_aside(made, path);
}

atm_status atm_folder_replace(const char *made, const char *path)
{
    if (!sync_folder(made)) return atm_fail(ATM_E_IO, "%s: cannot sync: %s", made, strerror(errno));
    if (!put_in_place(made, path))
        return atm_fail(ATM_E_IO, "%s: cannot move the finished folder there: %s", path, strerror(errno));
    if (!sync_parent(path))
        return atm_fail(ATM_E_IO, "%s: cannot sync the folder it is in: %s", path, strerror(errno));
    atm_folder_remove(made);            /* after an exchange: the old one */
    return ATM_OK;
}

/* A new entry must outlive a power cut as what will be in it does. */
static bool make_one(const char *path)
{
    if (mkdir(path, 0777) == 0) return sync_parent(path);
    struct stat info;
    if (errno != EEXIST || stat(path, &info) != 0) return false;
    errno = ENOTDIR;
    return S_ISDIR(info.st_mode);
}

atm_status atm_folder_make(const char *path)
{
    char *copy = strdup(path);
    if (!copy) return atm_fail(ATM_E_MEMORY, "no memory for a path");
    bool made = true;
    for (char *p = copy + (*copy == '/'); made && *p; p++) {
        if (*p != '/') continue;
        *p = '\0';
        made = make_one(copy);
        *p = '/';
    }
    made = made && make_one(copy);
    const int error = errno;
    free(copy);
    return made ? ATM_OK : atm_fail(ATM_E_IO, "%s: cannot make this folder: %s", path, strerror(error));
}
