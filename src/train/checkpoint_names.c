/* checkpoint_names.c - what lies in a run's folder of checkpoints. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/checkpoint_private.h"

enum { NAME = 40 };

atm_status atm_checkpoint_parent(char path[ATM_PATH_BYTES], const char *run_folder)
{
    return atm_model_path(path, run_folder, "checkpoints", NULL);
}

static void print_name(char name[NAME], uint64_t step, const char *ending)
{
    snprintf(name, NAME, "step_%08" PRIu64 "%s", step, ending);
}

atm_status atm_checkpoint_path(char path[ATM_PATH_BYTES], const char *run_folder, uint64_t step, const char *ending)
{
    char name[NAME];
    print_name(name, step, ending);
    return atm_model_path(path, run_folder, "checkpoints", name);
}

/* Only a name that we would print ourselves. */
static bool parse_name(const char *name, const char *ending, uint64_t *step)
{
    char again[NAME];
    if (strncmp(name, "step_", 5) != 0) return false;
    *step = strtoull(name + 5, NULL, 10);
    print_name(again, *step, ending);
    return strcmp(name, again) == 0;
}

static int newest_first(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

static atm_status add(atm_checkpoint_list *list, uint64_t step)
{
    uint64_t *grown = realloc(list->step, (size_t)(list->n + 1) * sizeof *grown);
    if (!grown) return atm_fail(ATM_E_MEMORY, "no memory for a list of checkpoints");
    list->step = grown;
    grown[list->n++] = step;
    return ATM_OK;
}

static atm_status read_names(DIR *folder, const char *path, const char *ending, atm_checkpoint_list *out)
{
    uint64_t step;
    errno = 0;
    for (const struct dirent *e; (e = readdir(folder)); errno = 0)
        if (parse_name(e->d_name, ending, &step)) TRY_RETURN(add(out, step));
    return errno ? atm_fail(ATM_E_NOINPUT, "%s: %s", path, strerror(errno)) : ATM_OK;
}

atm_status atm_checkpoint_list_steps(const char *run_folder, const char *ending, atm_checkpoint_list *out)
{
    char path[ATM_PATH_BYTES];
    *out = (atm_checkpoint_list){ 0 };
    TRY_RETURN(atm_checkpoint_parent(path, run_folder));
    DIR *folder = opendir(path);
    if (!folder && errno == ENOENT) return ATM_OK;
    if (!folder) return atm_fail(ATM_E_NOINPUT, "%s: %s", path, strerror(errno));
    const atm_status status = read_names(folder, path, ending, out);
    closedir(folder);
    if (out->n) qsort(out->step, (size_t)out->n, sizeof *out->step, newest_first);
    if (status == ATM_OK) return ATM_OK;
    free(out->step);
    *out = (atm_checkpoint_list){ 0 };
    return status;
}
