/* tiny_run.h - training at the smallest size: a model and a dataset in the scratch folder (bytes.h), and a
 * stage that is open on both. */
#ifndef ATM_TEST_TINY_RUN_H
#define ATM_TEST_TINY_RUN_H

#include "train/trainer.h"
#include "train/update.h"

/* ------------------------------------------------------------------ files */

/* configs/tiny.yaml with n changes ("vae.norm_num_groups=2"), weights of seed 1, as folder NAME. */
void tiny_model_write(const char *name, const char *const *change, int n);

/* All weights of a folder of it ("unet") become noise named by their tensors, as scripts/fixtures/training.py
 * makes it. */
void tiny_weights_by_name(const char *model, const char *folder);

/* All folders and files of this name go. */
void tiny_remove(const char *name);

enum { TINY_LATENTS = 1, TINY_MEL = 2, TINY_SENSES = 4 };       /* embeddings and latents; mel; pixels and audio */

typedef struct {
    int columns;
    int pairs;                  /* as many artworks and clips: pair i is artwork i, clip i, i < 8        */
    int validation;             /* the last so many                                                      */
    int frames;                 /* of latents; of mel: four times as many                                */
    unsigned broken;            /* bit i: clip i holds a NaN                                             */
} tiny_data;

/* Clips differ and are easy to tell apart; `model` says widths. */
void tiny_data_write(const char *name, const char *model, tiny_data data);

/* ------------------------------------------------------------------ a stage */

typedef struct {
    atm_train_config config;
    atm_device *device;
    atm_model_dir model;
    atm_dataset *dataset;
    atm_stage stage;
    atm_loader *loader;
    atm_train_state state;
    atm_status opened;
} tiny_stage;

/* Of folder "model" and file "data.h5", output "run"; batches of 4 in one piece, clipping off, no schedule. */
atm_train_config tiny_config(const char *stage);

/* Opens it with its loader; .opened says how that went. */
tiny_stage *tiny_try_open(const atm_train_config *config, const char *backend, int threads);
tiny_stage *tiny_open(const atm_train_config *config);          /* on cpu, one thread; fails the test */
void        tiny_close(tiny_stage *s);

/* Gradients of the next update into the groups, undivided; metrics.  From update 0 after opening. */
void tiny_gradients(tiny_stage *s, double *metrics);
/* n updates; the mean loss of the last one. */
double tiny_train(tiny_stage *s, int n);
/* The validation loss of the training pairs: mean over `batches` with other noise each. */
double tiny_loss(tiny_stage *s, int batches);

/* A whole run.  `stop_after`: asks to save and stop then; 0: never. */
atm_status tiny_run(const atm_train_config *config, int threads, uint64_t stop_after);

#endif
