/* folder.c - see folder.h. */
#define _GNU_SOURCE
#include "io/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
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

static void sync_parent(const char *path)
{
    char *copy = strdup(path), *slash = copy ? strrchr(copy, '/') : NULL;
    if (slash) slash[slash == copy] = '\0';
    const int fd = copy ? open(slash ? copy : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd);              /* some file systems cannot: the rename has happened all the same */
        close(fd);
    }
    free(copy);
}

atm_status atm_folder_commit(const char *partial, const char *path)
{
    if (rename(partial, path) == 0) {
        sync_parent(partial);
        return ATM_OK;
    }
    const int error = errno;
    atm_folder_remove(partial);
    return atm_fail(ATM_E_IO, "%s: cannot move the finished folder there: %s", path, strerror(error));
}
