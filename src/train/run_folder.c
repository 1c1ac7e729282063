#include "train/run_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/log.h"
#include "io/folder.h"
#include "model/model_parts.h"

enum { HOLDER = 300 };                  /* bytes of "pid P on host H" */

/* What the holder has written; it may be about to. */
static atm_status refuse(const char *path, int lock)
{
    char holder[HOLDER] = "";
    const ssize_t n = pread(lock, holder, sizeof holder - 1, 0);
    if (n <= 0) strcpy(holder, "another process");
    holder[strcspn(holder, "\n")] = '\0';
    return atm_fail(ATM_E_CONFIG, "run folder %s is in use by %s: wait for it, or choose another output", path,
                    holder);
}

static atm_status sign(const char *path, int lock)
{
    char host[200] = "?", holder[HOLDER];
    gethostname(host, sizeof host - 1);
    const int n = snprintf(holder, sizeof holder, "pid %ld on host %s\n", (long)getpid(), host);
    if (ftruncate(lock, 0) == 0 && pwrite(lock, holder, (size_t)n, 0) == n) return ATM_OK;
    return atm_fail(ATM_E_IO, "%s/lock: cannot write: %s", path, strerror(errno));
}

/* Some network file systems know no locks: better a run without than none. */
static atm_status take(const char *path, int lock)
{
    if (flock(lock, LOCK_EX | LOCK_NB) == 0) return sign(path, lock);
    if (errno == EWOULDBLOCK) return refuse(path, lock);
    atm_log(ATM_LOG_WARNING, "%s: this file system cannot lock (%s): see to it that no other run writes there", path,
            strerror(errno));
    return sign(path, lock);
}

atm_status atm_run_folder_open(const char *path, atm_run_folder *out)
{
    char name[ATM_PATH_BYTES];
    out->lock = -1;
    TRY_RETURN(atm_folder_make(path));
    TRY_RETURN(atm_model_path(name, path, "lock", NULL));
    out->lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (out->lock < 0) return atm_fail(ATM_E_IO, "%s: cannot create: %s", name, strerror(errno));
    const atm_status status = take(path, out->lock);
    if (status != ATM_OK) atm_run_folder_close(out);
    return status;
}

/* The file stays: removing it would let two others lock two files of one name. */
void atm_run_folder_close(atm_run_folder *folder)
{
    if (folder->lock >= 0) close(folder->lock);
    folder->lock = -1;
}
