/* spectral_loss.h - how far one sound is from another, by their spectra, as ops of a plan.
 *
 *     atm_spectral_source spectra = atm_spectral_source_make(&weights.source);
 *     atm_plan_params(p, &spectra.source);            // Fourier bases, then what `weights` has
 *     atm_stft_losses stft = atm_stft_loss(p, generated, recorded);
 *     atm_tensor mel_l1 = atm_log_mel_loss(p, generated, mel, ATM_FRAMING_AUDIOLDM2);
 *
 * Equations: spectral_loss.c. */
#ifndef ATM_TRAIN_SPECTRAL_LOSS_H
#define ATM_TRAIN_SPECTRAL_LOSS_H

#include "data/mel.h"
#include "plan/plan.h"

/* ------------------------------------------------------------------ frozen weights */

enum { ATM_SPECTRAL_WEIGHTS = 16 };

/* A parameter source that computes Fourier bases and the mel filterbank, in the dtype asked for, and
 * hands every other name on to `base`.  Plans may share it; it must outlive them. */
typedef struct {
    atm_param_source source;            /* first member */
    atm_param_source *base;             /* NULL: none   */
    struct { char *name; atm_dtype dtype; void *data; } weight[ATM_SPECTRAL_WEIGHTS];
    int n_weights;
} atm_spectral_source;

atm_spectral_source atm_spectral_source_make(atm_param_source *base);
void                atm_spectral_source_free(atm_spectral_source *source);

/* ------------------------------------------------------------------ spectra */

typedef struct {
    int size, hop, window;              /* of the transform, between frames, of the periodic Hann window */
    int offset;                         /* sample at which the first frame's window begins               */
} atm_stft_frame_shape;

/* x [N, T] to sqrt(|X|^2 + eps) [N, frames, size / 2 + 1], without padding at the ends: frame k's window
 * begins at sample offset + k hop.  Frames are those whose whole hops lie inside x. */
atm_tensor atm_stft_magnitude(atm_plan *p, atm_tensor x, atm_stft_frame_shape shape, double eps);

/* The log-mel frames of data/mel.h that see no sample outside x [N, 160 T]:
 * [N, count, 64], frame 0 being frame `first` of the whole. */
typedef struct { int first, count; } atm_mel_range;
atm_mel_range atm_mel_inner_frames(atm_framing framing, int frames);
atm_tensor    atm_log_mel(atm_plan *p, atm_tensor x, atm_framing framing);

/* ------------------------------------------------------------------ losses, each [1] */

/* Multi-resolution STFT loss of x against target, both [N, T], T >= 1200: spectral convergence and L1 of
 * log-magnitudes, means over the three resolutions of Parallel WaveGAN. */
typedef struct { atm_tensor convergence, magnitude; } atm_stft_losses;
atm_stft_losses atm_stft_loss(atm_plan *p, atm_tensor x, atm_tensor target);

/* Mean |log-mel of x - mel| over the inner frames; x [N, 160 T], mel [N, T, 64]. */
atm_tensor atm_log_mel_loss(atm_plan *p, atm_tensor x, atm_tensor mel, atm_framing framing);

#endif
