/* audio_clips.h - from a sound file to what ImageBind's audio trunk sees: three clips of
 * 2 s, each a picture of 128 bands x 204 frames.
 *
 * A clip has 198 frames (fbank.h); zeros follow, then all of it is (y + 4.268) / 9.138.
 * The embedding of the sound is the mean over the clips' (ImageBind's data.py).
 * ImageBind subtracts each clip's mean; the frames subtract theirs, so we leave that out. */
#ifndef ATM_DATA_AUDIO_CLIPS_H
#define ATM_DATA_AUDIO_CLIPS_H
#include "data/audio.h"
#include "data/fbank.h"

enum { ATM_CLIPS = 3, ATM_CLIP_SAMPLES = 2 * ATM_FBANK_RATE, ATM_CLIP_FRAMES = 204 };

/* Where clip k of a sound of d seconds starts.  ImageBind leaves it to whatever
 * pytorchvideo is installed, and published scores seldom say which. */
typedef enum {
    ATM_CLIP_RULE_TO_THE_END,       /* k (d - 2) / 2: its main branch                              */
    ATM_CLIP_RULE_THIRDS,           /* k (d - 2) / 3: its releases up to 0.1.5, which pip installs */
} atm_clip_rule;

/* The first sample of clip `clip` of n samples at 16 kHz; 0 when n is below 2 s. */
size_t atm_clip_start(size_t n, atm_clip_rule rule, int clip);

/* features [3, 1, 128, 204].  First channel, at 16 kHz; a sound below 2 s is in all three
 * clips, with more zeros behind it.  Below 25 ms: ATM_E_DATA. */
atm_status atm_audio_clips(const atm_audio *audio, atm_clip_rule rule, float *features);

#endif
