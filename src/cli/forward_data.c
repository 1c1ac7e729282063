/* forward_data.c - see forward_data.h. */
#include "cli/forward_data.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "data/mel.h"
#include "data/resample.h"
#include "data/resize.h"
#include "io/safetensors.h"

/* The tensor `name` of this dtype and rank; anything else is told with what was found. */
static atm_status take(const atm_tensor_file *file, const char *name, atm_dtype dtype, int rank,
                       const atm_file_tensor **out)
{
    char shape[ATM_SHAPE_TEXT];
    const atm_file_tensor *t = atm_tensor_file_find(file, name);
    *out = t;
    if (!t) return atm_fail(ATM_E_DATA, "%s: holds no tensor `%s`", atm_tensor_file_path(file), name);
    if (t->dtype != dtype || t->rank != rank)
        return atm_fail(ATM_E_DATA, "%s: `%s` is %s %s, must be %s with %d dimensions",
                        atm_tensor_file_path(file), name,
                        atm_dtype_name(t->dtype), atm_shape_text(shape, t->dim, t->rank),
                        atm_dtype_name(dtype), rank);
    return ATM_OK;
}

static atm_status put(const char *path, atm_file_tensor t)
{
    size_t count;
    if (!atm_shape_size(t.dim, t.rank, &count) || !atm_mul_size(count, atm_dtype_size(t.dtype), &t.bytes))
        return atm_fail(ATM_E_DATA, "%s: the result is too large", path);
    return atm_safetensors_write(path, &t, 1, NULL, 0);
}

/* ------------------------------------------------------------------ sound, row by row */

typedef struct {
    const char *name;               /* of the result */
    int64_t width, depth;           /* the result is [B, width], or [B, width, depth] when depth > 0 */
    atm_status (*row)(const float *x, size_t n, const void *how, float *y);
    const void *how;
} row_work;

static atm_status run_rows(const atm_file_tensor *x, const row_work *w, const char *outputs)
{
    const size_t n = (size_t)x->dim[1], rows = (size_t)x->dim[0];
    size_t row = (size_t)w->width * (size_t)(w->depth ? w->depth : 1), bytes;
    if (!atm_mul_size(row, sizeof(float), &bytes))
        return atm_fail(ATM_E_DATA, "%s: the result is too large", outputs);
    float *y = calloc(rows ? rows : 1, bytes ? bytes : 1);
    atm_status status = y ? ATM_OK : atm_fail(ATM_E_MEMORY, "no memory for %zu rows", rows);
    for (size_t i = 0; i < rows && status == ATM_OK; i++)
        status = w->row((const float *)x->data + i * n, n, w->how, y + i * row);
    if (status == ATM_OK)
        status = put(outputs, (atm_file_tensor){ .name = w->name, .dtype = ATM_F32, .rank = w->depth ? 3 : 2,
                                                 .dim = { x->dim[0], w->width, w->depth }, .data = y });
    free(y);
    return status;
}

static atm_status mel_row(const float *x, size_t n, const void *how, float *y)
{
    return atm_mel(x, n, *(const atm_framing *)how, y);
}

atm_status cli_forward_mel(const char *inputs, const char *outputs, atm_framing framing)
{
    const atm_file_tensor *x;
    atm_tensor_file *file;
    TRY_RETURN(atm_tensor_file_open(inputs, &file));
    atm_status status = take(file, "waveform", ATM_F32, 2, &x);
    if (status == ATM_OK) {
        const row_work work = { "mel", x->dim[1] / ATM_STFT_HOP, ATM_MEL_BANDS, mel_row, &framing };
        status = run_rows(x, &work, outputs);
    }
    atm_tensor_file_close(file);
    return status;
}

typedef struct { int from, to; } rates;

static atm_status resample_row(const float *x, size_t n, const void *how, float *y)
{
    const rates *r = how;
    return atm_resample(x, n, r->from, r->to, y);
}

atm_status cli_forward_resample(const char *inputs, const char *outputs, int from, int to)
{
    const rates r = { from, to };
    const atm_file_tensor *x;
    atm_tensor_file *file;
    TRY_RETURN(atm_tensor_file_open(inputs, &file));
    atm_status status = take(file, "waveform", ATM_F32, 2, &x);
    if (status == ATM_OK) {
        const int64_t length = (int64_t)atm_resample_length((size_t)x->dim[1], from, to);
        const row_work work = { "waveform", length, 0, resample_row, &r };
        status = run_rows(x, &work, outputs);
    }
    atm_tensor_file_close(file);
    return status;
}

/* ------------------------------------------------------------------ pictures */

static atm_status load_image(const atm_file_tensor *t, atm_image *out)
{
    if (t->dim[2] != 3 || t->dim[0] > INT_MAX || t->dim[1] > INT_MAX)
        return atm_fail(ATM_E_DATA, "`image` must be [height, width, 3]");
    TRY_RETURN(atm_image_alloc((int)t->dim[1], (int)t->dim[0], out));
    memcpy(out->rgb, t->data, t->bytes);
    return ATM_OK;
}

atm_status cli_forward_resize(const char *inputs, const char *outputs, int size)
{
    const atm_file_tensor *t;
    atm_tensor_file *file;
    atm_image in = { 0 }, out = { 0 };
    atm_status status;
    TRY_RETURN(atm_tensor_file_open(inputs, &file));
    TRY(take(file, "image", ATM_U8, 3, &t));
    TRY(load_image(t, &in));
    TRY(atm_image_resize_crop(&in, size, ATM_CROP_TORCHVISION, &out));
    TRY(put(outputs, (atm_file_tensor){ .name = "image", .dtype = ATM_U8, .rank = 3, .dim = { size, size, 3 },
                                        .data = out.rgb }));
done:
    atm_image_free(&in);
    atm_image_free(&out);
    atm_tensor_file_close(file);
    return status;
}
