/* tensorboard.h - event files that TensorBoard reads.
 *
 *     file   = record record ...                                       (TFRecord)
 *     record = u64 length | mask(crc32c(length)) | bytes | mask(crc32c(bytes))
 *     mask(c) = rotate_right(c, 15) + 0xa282ead8                       32 bits, little endian
 *     bytes  = an Event                                                (protocol buffers)
 *
 *     Event     1 wall_time double   2 step int64   3 file_version string   5 summary Summary
 *               7 session_log { 1 status: START = 1 }
 *     Summary   1 value { 1 tag   2 simple_value float   4 image   6 audio   8 tensor   9 metadata }
 *     image     1 height   2 width   3 colorspace   4 encoded_image_string
 *     audio     1 sample_rate float   2 num_channels   3 length_frames   4 encoded_audio_string
 *               5 content_type
 *     tensor    1 dtype (7: string)   2 shape { 2 dim { 1 size } }   8 string_val
 *     metadata  1 plugin_data { 1 plugin_name }
 *
 * Source: tensorflow/core/lib/io/record_writer.cc, tensorboard/compat/proto (event, summary,
 * tensor).  Values that nobody reads are left out.  A record is one write(), so
 * a killed run leaves at most one cut record, at the end, which readers pass over. */
#ifndef ATM_TRAIN_TENSORBOARD_H
#define ATM_TRAIN_TENSORBOARD_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct atm_tensorboard atm_tensorboard;

/* A new file events.out.tfevents.SECONDS.HOST.PID.N in `folder`.  Readers then forget what earlier
 * files say of steps >= first_step: a resumed run does those again. */
atm_status atm_tensorboard_open(const char *folder, uint64_t first_step, atm_tensorboard **out);
void       atm_tensorboard_close(atm_tensorboard *board);           /* NULL is allowed */

/* One event with n values, tags "group/name".  All failures of these are ATM_E_IO (or MEMORY). */
atm_status atm_tensorboard_scalars(atm_tensorboard *board, uint64_t step, const char *group, int n,
                                   const char *const *name, const double *value);

/* `png`, `wav`: whole files in memory.  ATM_E_DATA: not a PNG. */
atm_status atm_tensorboard_image(atm_tensorboard *board, uint64_t step, const char *tag,
                                 const void *png, size_t bytes);
atm_status atm_tensorboard_audio(atm_tensorboard *board, uint64_t step, const char *tag, const void *wav,
                                 size_t bytes, int frames, int rate);
atm_status atm_tensorboard_text(atm_tensorboard *board, uint64_t step, const char *tag, const char *text);

atm_status atm_tensorboard_sync(atm_tensorboard *board);            /* fsync */

#endif
