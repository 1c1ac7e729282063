/* image_png.c - PNG by libpng, brought to 8-bit RGB by its own transforms.
 * An APNG gives its default picture.  Gamma and colour profiles are ignored,
 * as Pillow does.
 *
 * libpng leaves on an error by longjmp: see image_jpeg.c for how that is kept tidy. */
#include "data/image_codec.h"
#include "data/exif.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

typedef struct {
    png_structp png;
    png_infop info;
    const uint8_t *data;
    size_t left;
    atm_status status;
    atm_image *out;
    int *orientation;
    png_bytep *row;
} reader;

static _Noreturn void leave(png_structp png, atm_status status)
{
    reader *r = png_get_error_ptr(png);     /* r->png is not set yet while it is created */
    r->status = status;
    png_longjmp(png, 1);
}

static _Noreturn void on_error(png_structp png, png_const_charp text)
{
    leave(png, atm_fail(ATM_E_DATA, "broken PNG: %s", text));
}

static void on_warning(png_structp png, png_const_charp text) { (void)png; (void)text; }

static void on_read(png_structp png, png_bytep to, size_t bytes)
{
    reader *r = png_get_io_ptr(png);
    if (bytes > r->left) leave(png, atm_fail(ATM_E_DATA, "truncated PNG"));
    memcpy(to, r->data, bytes);
    r->data += bytes;
    r->left -= bytes;
}

/* Compressed profiles and texts can blow up and tell us nothing: not even parsed. */
static void skip_metadata(png_structp png)
{
    static const png_byte chunks[] = "iCCP\0iTXt\0zTXt\0tEXt\0sPLT\0hIST";
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, chunks, sizeof chunks / 5);
}

static void read_header(reader *r)
{
    png_set_read_fn(r->png, r, on_read);
    png_set_user_limits(r->png, ATM_IMAGE_MAX_SIDE, ATM_IMAGE_MAX_SIDE);
    skip_metadata(r->png);
    png_read_info(r->png, r->info);
    const atm_status status = atm_image_alloc((int)png_get_image_width(r->png, r->info),
                                              (int)png_get_image_height(r->png, r->info), r->out);
    if (status != ATM_OK) leave(r->png, status);
}

static void ask_for_rgb(reader *r)
{
    png_set_expand(r->png);                 /* palettes, 1, 2 and 4 bits */
    png_set_strip_16(r->png);               /* the high byte, not a rounded one */
    png_set_gray_to_rgb(r->png);
    png_set_strip_alpha(r->png);
    png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
    const size_t stride = png_get_rowbytes(r->png, r->info);
    if (stride != 3 * (size_t)r->out->width)
        leave(r->png, atm_fail(ATM_E_BUG, "PNG rows of %zu bytes for %d pixels", stride, r->out->width));
}

static void read_rows(reader *r)
{
    const size_t height = (size_t)r->out->height, stride = 3 * (size_t)r->out->width;
    r->row = malloc(height * sizeof *r->row);
    if (!r->row) leave(r->png, atm_fail(ATM_E_MEMORY, "out of memory for a PNG of %zu rows", height));
    for (size_t y = 0; y < height; y++) r->row[y] = r->out->rgb + y * stride;
    png_read_image(r->png, r->row);
    png_read_end(r->png, r->info);          /* eXIf may come after the pixels */
}

static void find_orientation(reader *r)
{
    png_bytep exif;
    png_uint_32 size;
    if (png_get_eXIf_1(r->png, r->info, &size, &exif)) *r->orientation = atm_exif_orientation(exif, size);
}

static void read_all(reader *r)
{
    if (setjmp(png_jmpbuf(r->png)) != 0) return;
    r->info = png_create_info_struct(r->png);
    if (!r->info) leave(r->png, atm_fail(ATM_E_MEMORY, "out of memory for a PNG"));
    read_header(r);
    ask_for_rgb(r);
    read_rows(r);
    find_orientation(r);
}

atm_status atm_png_decode(const uint8_t *data, size_t size, atm_image *out, int *orientation)
{
    reader r = { .data = data, .left = size, .status = ATM_OK, .out = out, .orientation = orientation };
    r.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &r, on_error, on_warning);
    if (!r.png) return atm_fail(ATM_E_MEMORY, "out of memory for a PNG");
    read_all(&r);
    png_destroy_read_struct(&r.png, &r.info, NULL);
    free(r.row);
    return r.status;
}
