/* tiny_model.c - see tiny_model.h. */
#define _GNU_SOURCE
#include "support/tiny_model.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "generate/recipe.h"
#include "io/folder.h"
#include "support/support.h"

static char folder[PATH_MAX];

static void remove_model(void) { atm_folder_remove(folder); }

static void expect_ok(atm_status status)
{
    if (status != ATM_OK) fail_msg("%s", atm_error());
}

const char *tiny_model_path(void)
{
    atm_recipe recipe;
    if (*folder) return folder;
    snprintf(folder, sizeof folder, "%s/tiny-XXXXXX", ATM_BINARY_DIR);
    if (!mkdtemp(folder)) fail_msg("cannot make %s", folder);
    atexit(remove_model);
    expect_ok(atm_recipe_load(ATM_SOURCE_DIR "/configs/tiny.yaml", NULL, 0, &recipe));
    expect_ok(atm_model_dir_init(&recipe.config, folder, (atm_model_init_options){
        .seed = 1, .dtype = recipe.dtype, .text_tokens = recipe.text_tokens }));
    return folder;
}

atm_model *tiny_model_open(const char *backend, int threads)
{
    const atm_open_options how = { .size = sizeof how, .backend = backend, .threads = threads };
    atm_model *model = NULL;
    expect_ok(atm_open(tiny_model_path(), &how, &model));
    return model;
}

const float *tiny_embedding(int i)
{
    static float embedding[8][TINY_EMBEDDING];
    double norm = 0;
    for (int k = 0; k < TINY_EMBEDDING; k++) {
        embedding[i][k] = (float)sin(1.0 + 3.7 * i + 1.3 * k * (i + 1));
        norm += (double)embedding[i][k] * (double)embedding[i][k];
    }
    for (int k = 0; k < TINY_EMBEDDING; k++) embedding[i][k] /= (float)sqrt(norm);
    return embedding[i];
}

const atm_artwork *tiny_artworks(int n)
{
    static atm_artwork artwork[8];
    for (int i = 0; i < n; i++)
        artwork[i] = (atm_artwork){ .size = sizeof artwork[i], .embedding = tiny_embedding(i),
                                    .seed = (uint64_t)i };
    return artwork;
}

double relative_error(const float *a, const float *b, size_t n)
{
    double error = 0, largest = 0;
    for (size_t i = 0; i < n; i++) {
        error = fmax(error, fabs((double)a[i] - (double)b[i]));
        largest = fmax(largest, fabs((double)b[i]));
    }
    return error / largest;
}
