/* request.h - what the caller asked for, checked, with every default filled in. */
#ifndef ATM_GENERATE_REQUEST_H
#define ATM_GENERATE_REQUEST_H

#include "generate/engine.h"

typedef struct {
    int n_artworks, n, clips, batch;
    int n_images;                       /* artworks that the image encoder must look at  */
    int frames;                         /* T of the latents                              */
    size_t samples;                     /* of each clip's sound                          */
    double guidance;
    atm_schedule schedule;
    const float *latents;               /* [clips, C, T, F], or NULL                     */
    const uint64_t *seeds;              /* [n_artworks], owned                           */
    atm_progress_callback progress;
    void *user;
    double work_done, work_total;       /* FLOP: what the progress' fraction is made of  */
} engine_request;                       /* {0} is empty */

/* ATM_E_USAGE says which option is out of range.  `options` may be NULL. */
atm_status engine_request_make(const atm_model *model, int n_artworks, const atm_generate_options *options,
                               engine_request *out);
void       engine_request_free(engine_request *request);

/* Adds `work` to what is done and asks the caller whether to go on. */
atm_status engine_report(engine_request *request, const char *stage, int step, int n_steps, double work);

#endif
