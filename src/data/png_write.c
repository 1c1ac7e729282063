/* png_write.c - see png_write.h. */
#include "data/png_write.h"
#include "io/atomic_file.h"

#include <setjmp.h>

#include <png.h>

typedef struct {
    png_structp png;
    png_infop info;
    atm_bytes *out;
    atm_status status;
} writer;

static _Noreturn void leave(png_structp png, atm_status status)
{
    writer *w = png_get_error_ptr(png);
    w->status = status;
    png_longjmp(png, 1);
}

static _Noreturn void on_error(png_structp png, png_const_charp text)
{
    leave(png, atm_fail(ATM_E_BUG, "cannot write PNG: %s", text));
}

static void on_warning(png_structp png, png_const_charp text) { (void)png; (void)text; }

static void on_write(png_structp png, png_bytep data, size_t size)
{
    const atm_status status = atm_bytes_append(png_get_io_ptr(png), data, size);
    if (status != ATM_OK) leave(png, status);
}

static void on_flush(png_structp png) { (void)png; }

static void write_all(writer *w, const atm_image *image)
{
    if (setjmp(png_jmpbuf(w->png)) != 0) return;
    w->info = png_create_info_struct(w->png);
    if (!w->info) leave(w->png, atm_fail(ATM_E_MEMORY, "out of memory for a PNG"));
    png_set_write_fn(w->png, w->out, on_write, on_flush);
    png_set_IHDR(w->png, w->info, (png_uint_32)image->width, (png_uint_32)image->height, 8,
                 PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_write_info(w->png, w->info);
    for (size_t y = 0; y < (size_t)image->height; y++)
        png_write_row(w->png, image->rgb + 3 * y * (size_t)image->width);
    png_write_end(w->png, w->info);
}

atm_status atm_png_encode(const atm_image *image, atm_bytes *out)
{
    out->size = 0;
    writer w = { .out = out, .status = ATM_OK };
    w.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &w, on_error, on_warning);
    if (!w.png) return atm_fail(ATM_E_MEMORY, "out of memory for a PNG");
    write_all(&w, image);
    png_destroy_write_struct(&w.png, &w.info);
    return w.status;
}

atm_status atm_png_save(const char *path, const atm_image *image)
{
    atm_bytes file = { 0 };
    atm_status status = atm_png_encode(image, &file);
    if (status == ATM_OK) status = atm_atomic_write_file(path, file.data, file.size);
    atm_bytes_free(&file);
    return status;
}
