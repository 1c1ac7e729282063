/* dataset_file.h - a small dataset whose every number says where it comes from.
 *
 *     artworks/embedding [4] f32      100 row + i
 *     clips/mel       [40, 3] f32     1000 row + t + b / 4
 *     clips/audio      [400] f32      1000 row + s / 10     (10 samples a frame)
 *     clips/title     text of 16      "clip ROW"
 *     pairs                           pair i: artwork i % artworks, clip i % clips */
#ifndef ATM_TEST_DATASET_FILE_H
#define ATM_TEST_DATASET_FILE_H

#include "data/dataset.h"

enum { FRAMES = 40, BANDS = 3, HOP = 10, SAMPLES = FRAMES * HOP, EMBEDDING = 4, TITLE = 16 };

typedef struct { size_t artworks, clips,
                 pairs; int validation; } dataset_size;     /* each n-th pair; 0: none */

/* The same, uncommitted: a test may add to it or leave something out. */
atm_dataset_writer *dataset_writer(const char *path, dataset_size size);
void                dataset_write(const char *path, dataset_size size);
atm_dataset        *dataset_open(const char *path);             /* fails the test when it does not */

void declare(atm_dataset_writer *writer, const char *name, atm_dtype dtype, size_t rows, int rank,
             const int *dim);
void put(atm_dataset_writer *writer, const char *column, size_t row, const void *data);
void put_i32(atm_dataset_writer *writer, const char *column, size_t row, int32_t value);

float mel_at(size_t clip, int frame, int band);
float audio_at(size_t clip, int sample);

#endif
