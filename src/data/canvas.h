/* canvas.h - the little drawing that a plot needs: boxes and smooth text. */
#ifndef ATM_DATA_CANVAS_H
#define ATM_DATA_CANVAS_H
#include "data/image.h"
#include "data/resize.h"

typedef struct { uint8_t r, g, b; } atm_colour;

/* Parts outside the picture are not drawn. */
void atm_draw_box(const atm_image *image, atm_rect box, atm_colour colour);

typedef struct {
    double size;                /* height of a capital, pixels                         */
    double weight;              /* width of a stroke, pixels                           */
    double align;               /* 0: starts at the point, 0.5: centred, 1: ends there */
    int upward;                 /* turned left by 90 degrees, reading upward           */
    atm_colour colour;
} atm_text_style;

/* Text around (x, y): `align` along its line, the middle of its capitals across
 * it.  Characters without a glyph (canvas.c) leave a gap. */
void atm_draw_text(const atm_image *image, double x, double y, const atm_text_style *style, const char *text);

double atm_text_width(const char *text, double size);

#endif
