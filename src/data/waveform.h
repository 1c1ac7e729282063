/* waveform.h - from a sound file's samples to what the mel front end sees:
 * 16 kHz, one channel, level and length as the reference trainers make them. */
#ifndef ATM_DATA_WAVEFORM_H
#define ATM_DATA_WAVEFORM_H
#include "data/audio.h"
#include "data/stft.h"

/* The first channel of frames first .. first + frames - 1, at 16 kHz: *y, malloc'd, has *n
 * samples.  Untouched on failure. */
atm_status atm_waveform_first_channel(const atm_audio *audio, size_t first, size_t frames,
                                      float **y, size_t *n);

/* Fills out [n] from `audio`, cropped at `start` seconds.
 *
 * ATM_FRAMING_AUDIOLDM2: n samples' worth is cut at the file's own rate, first channel,
 *   resampled, mean removed, / (peak + 1e-8), x 0.5, zeros on the right.
 *   Reference: AudioLDM-training-finetuning; `start` is random there.
 * ATM_FRAMING_ART2MUS: first channel of the whole file resampled, mean removed, / (peak +
 *   1e-8), x 0.5; then 10 s from `start`, cut or zero-padded to n; / peak, x 0.5
 *   again, clipped to [-1, 1].  Reference: Tango's tools; `start` is 10 there.
 *   A crop past the end is silence (0/0 made 0 there too).
 * ATM_E_USAGE: start is negative or not finite. */
atm_status atm_waveform_prepare(const atm_audio *audio, atm_framing framing, double start,
                                float *out, size_t n);

#endif
