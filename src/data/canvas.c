/* canvas.c - see canvas.h.
 *
 * A glyph is strokes of a round pen, on a grid where capitals reach from y = 4
 * (the base line) to 16, small letters to 12, and descenders to 0.  A point is two digits of
 * base 36, x and y; ',' begins a new stroke.  A stroke is a polyline, or after
 * '~' a quadratic B-spline from its first point to its last, or after 'o' a
 * closed one.  Coverage of a pixel follows from its distance to the nearest
 * stroke.  To add a glyph, add its row. */
#include "data/canvas.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

enum { BASE_LINE = 4, CAPITAL = 12, GAP = 4, CURVE_PARTS = 8, MAX_POINTS = 16, MAX_SEGMENTS = 128 };

typedef struct {
    char character;
    int width;
    const char *strokes;
} glyph;

static const glyph glyphs[] = {
    { ' ', 3, "" },
    { '.', 0, "0404" }, { '-', 6, "0a6a" },
    { '(', 3, "~3i0e0632" }, { ')', 3, "~0i3e3602" },
    { '0', 8, "o04848g0g" },
    { '1', 5, "0d4g44" },
    { '2', 8, "~0c0g8g8c04,0484" },
    { '3', 8, "~0e0g8g8a3a,~3a8a840406" },
    { '4', 8, "646g0787" },
    { '5', 8, "7g1g0a,~0a2c8c840406" },
    { '6', 8, "o04848c0c,~7e7g0g08" },
    { '7', 8, "0g8g34" },
    { '8', 8, "o04848a0a,o1a7a7g1g" },
    { '9', 8, "o08888g0g,~8c841416" },
    { 'B', 8, "4g0g0444,0a4a,~4g8g8a4a,~4a9a9444" },
    { 'F', 8, "040g8g,0a6a" },
    { 'H', 8, "040g,848g,0a8a" },
    { 'T', 8, "0g8g,4g44" },
    { 'c', 7, "~7a7c0c047476" },
    { 'd', 7, "o04747c0c,747g" },
    { 'e', 7, "0878,~787c0c047476" },
    { 'i', 0, "040c,0f0f" },
    { 'k', 7, "040g,6c08,2974" },
    { 'm', 10, "040c,~090c5c59,5954,~595caca9,a9a4" },
    { 'n', 7, "040c,~080c7c78,7874" },
    { 'q', 7, "o04747c0c,7c70" },
    { 'r', 5, "040c,~080c4c5b" },
    { 's', 6, "~6b6c0c0868640405" },
    { 'u', 7, "0c08,~08047478,747c" },
    { 'y', 8, "0c44,8c20" },
    { 'z', 6, "0c6c0464" },
};

static const glyph *find(char character)
{
    for (const glyph *g = glyphs; g < glyphs + sizeof glyphs / sizeof *glyphs; g++)
        if (g->character == character) return g;
    return &glyphs[0];
}

double atm_text_width(const char *text, double size)
{
    int units = 0;
    for (const char *c = text; *c; c++) units += find(*c)->width + (c[1] ? GAP : 0);
    return units * size / CAPITAL;
}

static uint8_t *pixel(const atm_image *image, int x, int y)
{
    if (x < 0 || y < 0 || x >= image->width || y >= image->height) return NULL;
    return image->rgb + 3 * ((size_t)y * (size_t)image->width + (size_t)x);
}

static uint8_t mix(uint8_t under, uint8_t over, double opacity)
{
    return (uint8_t)(under + (over - under) * opacity + 0.5);
}

static void blend(const atm_image *image, int x, int y, atm_colour colour, double opacity)
{
    uint8_t *p = pixel(image, x, y);
    if (!p) return;
    p[0] = mix(p[0], colour.r, opacity);
    p[1] = mix(p[1], colour.g, opacity);
    p[2] = mix(p[2], colour.b, opacity);
}

void atm_draw_box(const atm_image *image, atm_rect box, atm_colour colour)
{
    for (int y = box.y; y < box.y + box.height; y++)
        for (int x = box.x; x < box.x + box.width; x++) blend(image, x, y, colour, 1.0);
}

/* ------------------------------------------------ strokes to segments */

typedef struct { double x, y; } point;
typedef struct { point from, to; } segment;

typedef struct {
    segment segment[MAX_SEGMENTS];
    int count;
} outline;

static void add_segment(outline *o, point from, point to)
{
    if (o->count < MAX_SEGMENTS) o->segment[o->count++] = (segment){ from, to };
}

static point between(point a, point b, double t)
{
    return (point){ a.x + (b.x - a.x) * t, a.y + (b.y - a.y) * t };
}

static void add_arc(outline *o, point from, point control, point to)
{
    point last = from;
    for (int i = 1; i <= CURVE_PARTS; i++) {
        const double t = (double)i / CURVE_PARTS;
        const point next = between(between(from, control, t), between(control, to, t), t);
        add_segment(o, last, next);
        last = next;
    }
}

static void add_curve(outline *o, const point *p, int n, bool closed)
{
    if (closed)
        for (int i = 0; i < n; i++) {
            const point before = p[(i + n - 1) % n], after = p[(i + 1) % n];
            add_arc(o, between(before, p[i], 0.5), p[i], between(p[i], after, 0.5));
        }
    else
        for (int i = 1; i < n - 1; i++)
            add_arc(o, i == 1 ? p[0] : between(p[i - 1], p[i], 0.5), p[i],
                    i == n - 2 ? p[n - 1] : between(p[i], p[i + 1], 0.5));
}

static int digit(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

/* Reads one stroke; returns what follows it. */
static const char *add_stroke(outline *o, const char *s)
{
    const char kind = *s;
    point p[MAX_POINTS];
    int n = 0;
    if (kind == '~' || kind == 'o') s++;
    for (; *s && *s != ',' && n < MAX_POINTS; s += 2) p[n++] = (point){ digit(s[0]), digit(s[1]) };
    if (kind == '~' || kind == 'o') add_curve(o, p, n, kind == 'o');
    else
        for (int i = 0; i < n - 1; i++) add_segment(o, p[i], p[i + 1]);
    return *s == ',' ? s + 1 : s;
}

/* ------------------------------------------------ segments to pixels */

/* From the grid to the picture: origin at the base line, x along the text. */
static point place(point p, point origin, double scale, bool upward)
{
    const double along = p.x * scale, up = (p.y - BASE_LINE) * scale;
    return upward ? (point){ origin.x - up, origin.y - along } : (point){ origin.x + along, origin.y - up };
}

static double distance(const segment *s, point p)
{
    const double dx = s->to.x - s->from.x, dy = s->to.y - s->from.y, length2 = dx * dx + dy * dy;
    double t = length2 > 0 ? ((p.x - s->from.x) * dx + (p.y - s->from.y) * dy) / length2 : 0;
    t = fmin(1, fmax(0, t));
    return hypot(p.x - s->from.x - t * dx, p.y - s->from.y - t * dy);
}

static double nearest(const outline *o, point p)
{
    double least = INFINITY;
    for (int i = 0; i < o->count; i++) least = fmin(least, distance(&o->segment[i], p));
    return least;
}

/* Every pixel that a glyph of this size at `origin` might touch. */
static void fill(const atm_image *image, const outline *o, point origin, const atm_text_style *style)
{
    const int reach = (int)(1.5 * style->size + style->weight) + 1;
    const int cx = (int)origin.x, cy = (int)origin.y;
    for (int y = cy - reach; y <= cy + reach; y++)
        for (int x = cx - reach; x <= cx + reach; x++) {
            const double away = nearest(o, (point){ x + 0.5, y + 0.5 });
            const double cover = fmin(1, style->weight / 2 + 0.5 - away);
            if (cover > 0) blend(image, x, y, style->colour, cover);
        }
}

static void draw_glyph(const atm_image *image, const glyph *g, point origin, const atm_text_style *style)
{
    outline o = { .count = 0 };
    for (const char *s = g->strokes; *s; ) s = add_stroke(&o, s);
    for (int i = 0; i < o.count; i++) {
        segment *seg = &o.segment[i];
        seg->from = place(seg->from, origin, style->size / CAPITAL, style->upward);
        seg->to = place(seg->to, origin, style->size / CAPITAL, style->upward);
    }
    fill(image, &o, origin, style);
}

void atm_draw_text(const atm_image *image, double x, double y, const atm_text_style *style, const char *text)
{
    const double start = -style->align * atm_text_width(text, style->size), half = style->size / 2;
    point pen = style->upward ? (point){ x + half, y - start } : (point){ x + start, y + half };
    for (const char *c = text; *c; c++) {
        const glyph *g = find(*c);
        const double step = (g->width + GAP) * style->size / CAPITAL;
        draw_glyph(image, g, pen, style);
        if (style->upward) pen.y -= step;
        else pen.x += step;
    }
}
