/* tiny_model.h - the smallest whole model, for tests of everything above the networks. */
#ifndef ATM_TEST_TINY_MODEL_H
#define ATM_TEST_TINY_MODEL_H

#include "arttomus/arttomus.h"

/* A folder with configs/tiny.yaml and the weights of seed 1, made at the first call and
 * removed when the test ends. */
const char *tiny_model_path(void);

/* The same, opened; ends the test when that fails. */
atm_model *tiny_model_open(const char *backend, int threads);

/* Paintings that have been looked at: unit vectors that differ. */
enum { TINY_EMBEDDING = 12 };
const float *tiny_embedding(int i);

/* An array of `n` artworks with those embeddings and seeds 0, 1, 2 ...; n <= 8. */
const atm_artwork *tiny_artworks(int n);

/* Largest |a - b| over largest |b|. */
double relative_error(const float *a, const float *b, size_t n);

#endif
