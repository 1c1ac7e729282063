#include "support/support.h"
#include "support/dataset_file.h"

#include <stdio.h>
#include <string.h>

float mel_at(size_t clip, int frame,
             int band) { return (float)(1000 * clip) + (float)frame + (float)band / 4; }
float audio_at(size_t clip, int sample) { return (float)(1000 * clip) + (float)sample / HOP; }

static void expect(atm_status status)
{
    if (status != ATM_OK) fail_msg("%s", atm_error());
}

void declare(atm_dataset_writer *writer, const char *name, atm_dtype dtype, size_t rows, int rank,
             const int *dim)
{
    atm_column c = { .name = name, .dtype = dtype, .rows = rows, .rank = rank };
    for (int i = 0; i < rank; i++) c.dim[i] = dim[i];
    expect(atm_dataset_declare(writer, &c));
}

void put(atm_dataset_writer *writer, const char *column, size_t row, const void *data)
{
    expect(atm_dataset_put(writer, column, row, data));
}

void put_i32(atm_dataset_writer *writer, const char *column, size_t row, int32_t value)
{
    put(writer, column, row, &value);
}

static void declare_all(atm_dataset_writer *w, dataset_size size)
{
    declare(w, "artworks/embedding", ATM_F32, size.artworks, 1, (int[]){ EMBEDDING });
    declare(w, "clips/mel", ATM_F32, size.clips, 2, (int[]){ FRAMES, BANDS });
    declare(w, "clips/audio", ATM_F32, size.clips, 1, (int[]){ SAMPLES });
    declare(w, "pairs/artwork", ATM_I32, size.pairs, 0, NULL);
    declare(w, "pairs/clip", ATM_I32, size.pairs, 0, NULL);
    declare(w, "pairs/split", ATM_U8, size.pairs, 0, NULL);
    expect(atm_dataset_declare(w, &(atm_column){ .name = "clips/title", .dtype = ATM_U8, .text = true,
                                                 .rank = 1,
                                                 .dim = { TITLE }, .rows = size.clips }));
}

static void put_clip(atm_dataset_writer *w, size_t row)
{
    float mel[FRAMES][BANDS], audio[SAMPLES];
    char title[TITLE] = { 0 };
    for (int t = 0; t < FRAMES; t++)
        for (int b = 0; b < BANDS; b++) mel[t][b] = mel_at(row, t, b);
    for (int s = 0; s < SAMPLES; s++) audio[s] = audio_at(row, s);
    snprintf(title, sizeof title, "clip %d", (int)row);
    put(w, "clips/mel", row, mel);
    put(w, "clips/audio", row, audio);
    put(w, "clips/title", row, title);
}

static void put_artwork(atm_dataset_writer *w, size_t row)
{
    float e[EMBEDDING];
    for (int i = 0; i < EMBEDDING; i++) e[i] = (float)(100 * row) + (float)i;
    put(w, "artworks/embedding", row, e);
}

static void put_pair(atm_dataset_writer *w, size_t row, dataset_size size)
{
    const bool validation = size.validation && row % (size_t)size.validation == 0;
    put_i32(w, "pairs/artwork", row, size.artworks ? (int32_t)(row % size.artworks) : -1);
    put_i32(w, "pairs/clip", row, (int32_t)(row % size.clips));
    put(w, "pairs/split", row, &(uint8_t){ validation ? ATM_SPLIT_VALIDATION : ATM_SPLIT_TRAIN });
}

atm_dataset_writer *dataset_writer(const char *path, dataset_size size)
{
    atm_dataset_writer *w = NULL;
    expect(atm_dataset_begin(path, &w));
    declare_all(w, size);
    for (size_t i = 0; i < size.artworks; i++) put_artwork(w, i);
    for (size_t i = 0; i < size.clips; i++) put_clip(w, i);
    for (size_t i = 0; i < size.pairs; i++) put_pair(w, i, size);
    expect(atm_dataset_set(w, "model", "a model"));
    return w;
}

void dataset_write(const char *path, dataset_size size)
{
    expect(atm_dataset_commit(dataset_writer(path, size)));
}

atm_dataset *dataset_open(const char *path)
{
    atm_dataset *d = NULL;
    expect(atm_dataset_open(path, &d));
    return d;
}
