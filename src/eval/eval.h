/* eval.h - how good a model is, on what it was not trained on.
 *
 *     reconstruction   the VAE: log-mel L1 of what comes back
 *     decoders         log-mel to sound to log-mel, by each decoder
 *     statistics       onsets, flatness, bands of generated music, real music and noise
 *     difference       how far the music of two artworks is apart
 *     retrieval        finding an artwork's music among all, by the two encoders
 *     conditioning     diffusion loss with the right artwork, a wrong one, none
 *
 * Every number stands beside what it must be compared with, and has an interval over what is
 * independent (bootstrap.h).  All of it is a function of the files, the options and the seed.
 *
 * To add a measure: a file measure_NAME.c with a function (eval_job *), its row in eval.c.
 * It adds rows to the report and knows nothing of files. */
#ifndef ATM_EVAL_EVAL_H
#define ATM_EVAL_EVAL_H

#include "arttomus/arttomus.h"
#include "data/dataset.h"
#include "eval/report.h"

typedef struct {
    const char *model;                  /* folder                                                      */
    const char *data;                   /* a dataset: pairs, for what needs artworks                   */
    const char *sounds;                 /* one with mel and audio, for what needs no artworks; NULL: data */
    atm_split split;
    unsigned measures;                  /* bit k: atm_eval_measures[k]; 0: all that the data allow     */
    int clips;                          /* at most so many of each kind; retrieval takes all           */
    int steps;                          /* of generation; 0: the default                               */
    double guidance, duration;          /* of generation; 0: the defaults                              */
    uint64_t seed;
    const char *backend;                /* NULL: "auto"                                                */
    int threads;                        /* 0: one for each core                                        */
    atm_progress_callback progress;     /* `stage` is the measure; may be NULL                         */
    void *user;
} atm_eval_options;

/* "reconstruction" ...; NULL ends. */
extern const char *const atm_eval_measures[];

/* "decoders,retrieval"; ATM_E_USAGE names what is unknown. */
atm_status atm_eval_measures_parse(const char *text, unsigned *out);

/* A measure that was named and cannot be taken is an error (ATM_E_DATA, ATM_E_CONFIG); of all
 * measures those are left out, with a note that says why.  *report is the caller's to free. */
atm_status atm_evaluate(const atm_eval_options *options, atm_eval_report *report);

#endif
