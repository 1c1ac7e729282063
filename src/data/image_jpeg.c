/* image_jpeg.c - JPEG by libjpeg-turbo, with its default (slow, exact) DCT and
 * smooth chroma upsampling: those are Pillow's pixels.
 *
 * libjpeg leaves on an error by longjmp.  So all state is in one struct owned by the
 * caller of the function with setjmp: nothing is released inside, all of it after. */
#include "data/image_codec.h"
#include "data/exif.h"

#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

typedef struct {
    struct jpeg_decompress_struct info;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    struct jpeg_source_mgr source;
    jmp_buf failed;
    atm_status status;
    atm_image *out;
    int *orientation;
} reader;

static _Noreturn void leave(reader *r, atm_status status)
{
    r->status = status;
    longjmp(r->failed, 1);
}

static void on_error(j_common_ptr info)
{
    char text[JMSG_LENGTH_MAX];
    info->err->format_message(info, text);
    leave(info->client_data, atm_fail(ATM_E_DATA, "broken JPEG: %s", text));
}

/* Warnings: junk between markers and the like, which Pillow too lets pass. */
static void on_message(j_common_ptr info, int level) { (void)info; (void)level; }

/* A file of a few kilobytes can ask for thousands of passes over 50 megapixels. */
static void on_progress(j_common_ptr info)
{
    const struct jpeg_decompress_struct *d = (j_decompress_ptr)info;
    const size_t pixels = (size_t)d->image_width * d->image_height;
    const int affordable = (int)(ATM_IMAGE_MAX_PASSED / (pixels + 1));
    const int most = affordable < ATM_IMAGE_MAX_SCANS ? affordable : ATM_IMAGE_MAX_SCANS;
    if (d->input_scan_number > most)
        leave(info->client_data, atm_fail(ATM_E_DATA, "JPEG of %u x %u pixels in more than %d scans refused",
                                          d->image_width, d->image_height, most));
}

/* libjpeg asks for more only when all is read.  Its own source then feigns an end
 * and paints the rest grey; we refuse, as Pillow does. */
static boolean on_end_of_data(j_decompress_ptr info)
{
    leave(info->client_data, atm_fail(ATM_E_DATA, "truncated JPEG"));
}

static void on_skip(j_decompress_ptr info, long bytes)
{
    if (bytes <= 0) return;
    if ((size_t)bytes > info->src->bytes_in_buffer) on_end_of_data(info);
    info->src->next_input_byte += bytes;
    info->src->bytes_in_buffer -= (size_t)bytes;
}

static void do_nothing(j_decompress_ptr info) { (void)info; }

static void open_reader(reader *r, const uint8_t *data, size_t size)
{
    r->info.err = jpeg_std_error(&r->errors);
    r->errors.error_exit = on_error;
    r->errors.emit_message = on_message;
    r->info.client_data = r;
    jpeg_create_decompress(&r->info);
    r->progress.progress_monitor = on_progress;
    r->info.progress = &r->progress;
    r->source = (struct jpeg_source_mgr){
        .next_input_byte = data, .bytes_in_buffer = size,
        .init_source = do_nothing, .fill_input_buffer = on_end_of_data, .skip_input_data = on_skip,
        .resync_to_restart = jpeg_resync_to_restart, .term_source = do_nothing
    };
    r->info.src = &r->source;
}

static int find_orientation(const struct jpeg_decompress_struct *info)
{
    for (jpeg_saved_marker_ptr m = info->marker_list; m; m = m->next)
        if (m->data_length >= 6 && memcmp(m->data, "Exif\0", 6) == 0)
            return atm_exif_orientation(m->data, m->data_length);
    return 1;
}

static void read_header(reader *r)
{
    jpeg_save_markers(&r->info, JPEG_APP0 + 1, 0xFFFF);
    jpeg_read_header(&r->info, TRUE);
    const int components = r->info.num_components;
    if (components != 1 && components != 3 && components != 4)
        leave(r, atm_fail(ATM_E_DATA, "JPEG of %d components: only 1, 3 and 4 have a meaning", components));
    *r->orientation = find_orientation(&r->info);
    const JDIMENSION width = r->info.image_width, height = r->info.image_height;      /* < 65536 */
    const atm_status status = atm_image_alloc((int)width, (int)height, r->out);
    if (status != ATM_OK) leave(r, status);
}

static uint8_t times(unsigned a, unsigned b)          /* a b / 255, rounded */
{
    const unsigned product = a * b + 128;
    return (uint8_t)((product + (product >> 8)) >> 8);
}

/* Pillow's: R = K' - C K' / 255, with K' = 255 - K.  The file holds CMYK
 * inverted, as Adobe writes it and everybody reads it. */
static void cmyk_to_rgb(const uint8_t *inverted, uint8_t *rgb, int width)
{
    for (int x = 0; x < width; x++, inverted += 4, rgb += 3) {
        const unsigned white = inverted[3];
        for (int c = 0; c < 3; c++) rgb[c] = (uint8_t)(white - times(255u - inverted[c], white));
    }
}

static void read_rows(reader *r)
{
    const bool cmyk = r->info.num_components == 4;
    const size_t stride = 3 * (size_t)r->out->width;
    r->info.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(&r->info);
    JSAMPARRAY line = cmyk ? r->info.mem->alloc_sarray((j_common_ptr)&r->info, JPOOL_IMAGE,
                                                       4 * r->info.image_width, 1) : NULL;
    for (uint8_t *row = r->out->rgb; r->info.output_scanline < r->info.output_height; row += stride) {
        JSAMPROW direct[1] = { row };
        jpeg_read_scanlines(&r->info, cmyk ? line : direct, 1);
        if (cmyk) cmyk_to_rgb(line[0], row, r->out->width);
    }
}

static void read_all(reader *r, const uint8_t *data, size_t size)
{
    if (setjmp(r->failed) != 0) return;
    open_reader(r, data, size);
    read_header(r);
    read_rows(r);
}

atm_status atm_jpeg_decode(const uint8_t *data, size_t size, atm_image *out, int *orientation)
{
    reader r = { .status = ATM_OK, .out = out, .orientation = orientation };
    read_all(&r, data, size);
    jpeg_destroy_decompress(&r.info);       /* also right after a failed create */
    return r.status;
}
