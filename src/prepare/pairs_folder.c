/* pairs_folder.c - a folder of music as a list of tracks. */
#define _GNU_SOURCE
#include <errno.h>
#include <fts.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "io/utf8.h"
#include "prepare/pairs.h"

static const char *const extensions[] = {
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".w64", ".rf64"
};

static bool is_sound(const char *name)
{
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof extensions / sizeof extensions[0]; i++)
        if (!strcasecmp(dot, extensions[i])) return true;
    return false;
}

static int by_name(const FTSENT **a, const FTSENT **b) { return strcmp((*a)->fts_name, (*b)->fts_name); }

static atm_status add_track(const char *folder, const char *path, atm_pair_list *list)
{
    path += strlen(folder);
    path += strspn(path, "/");
    if (!atm_utf8_valid(path, strlen(path))) {
        atm_log(ATM_LOG_WARNING, "%s/%s: passed over: its name is not UTF-8", folder, path);
        return ATM_OK;
    }
    const atm_pair_row row = { .track = atm_arena_strdup(&list->arena, path), .split = ATM_SPLIT_DRAWN,
                               .caption_artwork = "", .caption_music = "", .licence = "", .source = "" };
    return row.track ? atm_pairs_add(list, &row) : atm_fail(ATM_E_MEMORY, "no memory for the tracks");
}

static atm_status walk(FTS *tree, const char *folder, atm_pair_list *list)
{
    for (FTSENT *e; (e = fts_read(tree)) != NULL; ) {
        if (e->fts_level == 0 && e->fts_info != FTS_D && e->fts_info != FTS_DP)
            return atm_fail(ATM_E_NOINPUT, "%s: %s", folder, strerror(e->fts_errno ? e->fts_errno : ENOTDIR));
        if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR)
            atm_log(ATM_LOG_WARNING, "%s: passed over: %s", e->fts_path, strerror(e->fts_errno));
        if (e->fts_info == FTS_F && is_sound(e->fts_name)) TRY_RETURN(add_track(folder, e->fts_path, list));
    }
    return list->n ? ATM_OK : atm_fail(ATM_E_NOINPUT, "%s: no sound file in it", folder);
}

atm_status atm_pairs_from_folder(const char *folder, atm_pair_list *out)
{
    atm_pair_list list = { 0 };
    char *const roots[] = { (char *)folder, NULL };             /* fts does not write to it */
    FTS *tree = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, by_name);
    if (!tree) return atm_fail(ATM_E_NOINPUT, "%s: %s", folder, strerror(errno));
    const atm_status status = walk(tree, folder, &list);
    fts_close(tree);
    if (status == ATM_OK) *out = list;
    else atm_pairs_free(&list);
    return status;
}
