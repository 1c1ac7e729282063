/* Weights begin with the variance that keeps activations near one through the layer:
 * uniform in +-sqrt(3) std with std = gain / sqrt(fan_in) (LeCun et al. 1998), where
 * fan_in counts the inputs that meet in one output.  Biases begin at 0, norms at 1 and
 * 0, tables of positions small.
 *
 * The vocoder has no norms, so its gains decide how loud an untrained model is:
 * sqrt(2) makes up for what a leaky ReLU takes, the second convolution of a residual
 * step adds little, and the last one sets the level of the noise. */
#include "model/random_weights.h"

#include <fnmatch.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/philox.h"

/* `scale` is the standard deviation, or for CONSTANT the value. */
typedef enum { CONSTANT, UNIFORM, NORMAL } init_kind;
typedef struct { init_kind kind; double scale; } init;

typedef enum { FAN_REST, FAN_FIRST, FAN_UPSAMPLE } fan;

/* First match wins.  `part` and `name` are globs, rank 0 is any. */
static const struct {
    const char *part, *name;
    int rank;
    init_kind kind;
    fan fan;                    /* of UNIFORM        */
    double scale;               /* gain, std or value */
} rules[] = {
    { "*",              "*bias",                      0, CONSTANT, FAN_REST,     0    },
    { "vocoder",        "mean",                       0, CONSTANT, FAN_REST,     0    },
    { "vocoder",        "scale",                      0, CONSTANT, FAN_REST,     1    },
    { "vocoder",        "upsampler.*",                0, UNIFORM,  FAN_UPSAMPLE, 1.41 },
    { "vocoder",        "resblocks.*.convs1.*",       0, UNIFORM,  FAN_REST,     1.41 },
    { "vocoder",        "resblocks.*.convs2.*",       0, UNIFORM,  FAN_REST,     0.5  },
    { "vocoder",        "conv_post.*",                0, UNIFORM,  FAN_REST,     0.2  },
    { "unet",           "conv_out.*",                 0, UNIFORM,  FAN_REST,     0.1  },
    { "*",              "*pos_embed",                 0, NORMAL,   FAN_REST,     0.02 },
    { "*",              "*position_embedding.weight", 0, NORMAL,   FAN_REST,     0.02 },
    { "*",              "*cls_token",                 0, NORMAL,   FAN_REST,     0.02 },
    { "*",              "*class_embedding",           0, NORMAL,   FAN_REST,     0.02 },
    { "language_model", "w?e.weight",                 0, NORMAL,   FAN_REST,     0.02 },
    { "language_model", "h.*.weight",                 2, UNIFORM,  FAN_FIRST,    1    },
    { "*",              "*.weight",                   1, CONSTANT, FAN_REST,     1    },
    { "*",              "*",                          0, UNIFORM,  FAN_REST,     1    },
};

/* A transposed convolution [Cin, Cout, k] has k / stride taps meeting in one output;
 * the stride is not in the shape, but kernels are about two strides long. */
static double fan_in(fan kind, const atm_file_tensor *t)
{
    double rest = 1;
    for (int i = 1; i < t->rank; i++) rest *= (double)t->dim[i];
    switch (kind) {
    case FAN_FIRST:    return (double)t->dim[0];
    case FAN_UPSAMPLE: return 2 * (double)t->dim[0];
    default:           return rest;
    }
}

static init init_of(const char *part, const atm_file_tensor *t)
{
    int i = 0;
    while (fnmatch(rules[i].part, part, 0) || fnmatch(rules[i].name, t->name, 0) ||
           (rules[i].rank && rules[i].rank != t->rank))
        i++;                                            /* the last row matches all */
    const double scale = rules[i].scale;
    const bool uniform = rules[i].kind == UNIFORM;
    return (init){ rules[i].kind, uniform ? scale / sqrt(fan_in(rules[i].fan, t)) : scale };
}

/* ------------------------------------------------------------------ numbers */

/* A piece has a counter of its own, so the pieces of a tensor can be made in any order. */
enum { PIECE = 1 << 16, PIECES = 32 };

typedef struct {
    init init;
    uint64_t key;
    uint32_t first;             /* number of the batch's first piece */
    size_t left;                /* elements of the batch             */
    atm_dtype dtype;
    float *numbers;             /* [PIECES * PIECE]                  */
    unsigned char *bytes;       /* the same as dtype                 */
} batch;

size_t atm_init_scratch(void) { return (size_t)PIECES * PIECE * 2 * sizeof(float); }

static void fill(const batch *b, uint32_t piece, float *x, size_t n)
{
    const atm_rng rng = { .seed = b->key, .stream = ATM_STREAM_INIT, .sample = piece };
    const float scale = (float)b->init.scale, width = (float)(sqrt(12.0) * b->init.scale);
    switch (b->init.kind) {
    case UNIFORM:
        atm_uniform(rng, x, n);
        for (size_t i = 0; i < n; i++) x[i] = (x[i] - 0.5F) * width;
        break;
    case NORMAL:
        atm_normal(rng, x, n);
        for (size_t i = 0; i < n; i++) x[i] *= scale;
        break;
    default:
        for (size_t i = 0; i < n; i++) x[i] = scale;
    }
}

static void make_piece(int task, int thread, void *arg)
{
    (void)thread;
    const batch *b = arg;
    const size_t from = (size_t)task * PIECE, n = b->left - from < PIECE ? b->left - from : PIECE;
    fill(b, b->first + (uint32_t)task, b->numbers + from, n);
    atm_convert(b->bytes + from * atm_dtype_size(b->dtype), b->dtype, b->numbers + from, ATM_F32, n);
}

/* FNV-1a, 64 bits. */
static uint64_t hash(uint64_t h, const void *data, size_t n)
{
    const unsigned char *byte = data;
    for (size_t i = 0; i < n; i++) h = (h ^ byte[i]) * UINT64_C(0x100000001b3);
    return h;
}

static uint64_t key_of(uint64_t seed, const char *part, const char *name)
{
    uint64_t h = hash(UINT64_C(0xcbf29ce484222325), &seed, sizeof seed);
    return hash(hash(h, part, strlen(part) + 1), name, strlen(name) + 1);
}

atm_status atm_init_fill(uint64_t seed, const char *part, const atm_file_tensor *tensor, atm_pool *pool,
                         void *scratch, atm_init_write write, void *user)
{
    const size_t width = atm_dtype_size(tensor->dtype), whole = (size_t)PIECES * PIECE;
    batch b = { .init = init_of(part, tensor), .key = key_of(seed, part, tensor->name),
                .dtype = tensor->dtype, .numbers = scratch,
                .bytes = (unsigned char *)((float *)scratch + whole) };
    for (size_t done = 0, n = tensor->bytes / width; done < n; done += b.left) {
        b.left = n - done < whole ? n - done : whole;
        atm_pool_run(pool, (int)((b.left + PIECE - 1) / PIECE), make_piece, &b);
        TRY_RETURN(write(user, b.bytes, b.left * width));
        b.first += PIECES;
    }
    return ATM_OK;
}
