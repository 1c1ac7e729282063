#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/folder.h"
#include "train/checkpoint_private.h"
#include "train/manifest.h"

/* ------------------------------------------------------------------ which ones stay */

static bool is_valid(const char *run_folder, uint64_t step)
{
    char path[ATM_PATH_BYTES];
    return atm_checkpoint_path(path, run_folder, step, "") == ATM_OK
        && atm_manifest_verify(path, ATM_DIGEST_FAST) == ATM_OK;
}

/* The list is newest first; `stays` marks what the rules keep, and one valid one in any case. */
static void choose(const char *run_folder, const atm_checkpoint_list *list, int limit, int milestone, bool *stays)
{
    bool safe = false;
    for (int i = 0; i < list->n; i++)
        stays[i] = i < limit || (milestone > 0 && list->step[i] % (uint64_t)milestone == 0);
    for (int i = 0; i < list->n && !safe; i++) safe = stays[i] && is_valid(run_folder, list->step[i]);
    for (int i = 0; i < list->n && !safe; i++)
        if (!stays[i]) safe = stays[i] = is_valid(run_folder, list->step[i]);
}

/* Renamed first: a kill in the middle leaves no half checkpoint under a good name. */
static atm_status remove_step(const char *run_folder, uint64_t step)
{
    char path[ATM_PATH_BYTES], stale[ATM_PATH_BYTES];
    TRY_RETURN(atm_checkpoint_path(path, run_folder, step, ""));
    TRY_RETURN(atm_checkpoint_path(stale, run_folder, step, ".tmp"));
    if (rename(path, stale) == 0) atm_folder_remove(stale);
    return ATM_OK;
}

static atm_status remove_others(const char *run_folder, const atm_checkpoint_list *list, int limit, int milestone)
{
    bool *stays = calloc((size_t)list->n + 1, sizeof *stays);
    if (!stays) return atm_fail(ATM_E_MEMORY, "no memory for a list of checkpoints");
    choose(run_folder, list, limit, milestone, stays);
    atm_status status = ATM_OK;
    for (int i = 0; i < list->n && status == ATM_OK; i++)
        if (!stays[i]) status = remove_step(run_folder, list->step[i]);
    free(stays);
    return status;
}

/* ------------------------------------------------------------------ what killed runs left */

static atm_status remove_folders(const char *run_folder, const char *ending)
{
    char path[ATM_PATH_BYTES];
    atm_checkpoint_list list;
    atm_status status = atm_checkpoint_list_steps(run_folder, ending, &list);
    for (int i = 0; i < list.n && status == ATM_OK; i++) {
        status = atm_checkpoint_path(path, run_folder, list.step[i], ending);
        if (status == ATM_OK) atm_folder_remove(path);
    }
    free(list.step);
    return status;
}

/* ".arttomus-PID-N.tmp" of atomic_file.c, by another process. */
static bool is_stale_file(const char *name)
{
    long pid;
    unsigned number;
    char again[80];
    if (sscanf(name, ".arttomus-%ld-%u.tmp", &pid, &number) != 2 || pid == (long)getpid()) return false;
    snprintf(again, sizeof again, ".arttomus-%ld-%u.tmp", pid, number);
    return strcmp(name, again) == 0;
}

static atm_status remove_files(const char *run_folder)
{
    char path[ATM_PATH_BYTES];
    atm_status status = ATM_OK;
    DIR *folder = opendir(run_folder);
    for (const struct dirent *e; folder && status == ATM_OK && (e = readdir(folder)); ) {
        if (!is_stale_file(e->d_name)) continue;
        status = atm_model_path(path, run_folder, e->d_name, NULL);
        if (status == ATM_OK) unlink(path);
    }
    if (folder) closedir(folder);
    return status;
}

/* ------------------------------------------------------------------ the whole */

atm_status atm_checkpoint_prune(const char *run_folder, int limit, int milestone)
{
    atm_checkpoint_list list;
    TRY_RETURN(remove_files(run_folder));
    TRY_RETURN(remove_folders(run_folder, ".tmp"));
    TRY_RETURN(remove_folders(run_folder, ".old"));
    TRY_RETURN(atm_checkpoint_list_steps(run_folder, "", &list));
    const atm_status status = limit > 0 ? remove_others(run_folder, &list, limit, milestone) : ATM_OK;
    free(list.step);
    return status;
}
