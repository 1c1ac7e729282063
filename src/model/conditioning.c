#include "model/conditioning.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"
#include "io/safetensors.h"

enum { N_TENSORS = 5, LIST_BYTES = 1500, MOST = 65536 };

/* One row a tensor of the file: where its sizes and its numbers are in the struct. */
typedef struct {
    const char *name;
    int rank;
    size_t size[2];             /* offsets of the int members that are dim[1], dim[2] */
    size_t data;                /* offset of the float * member                       */
    bool is_mask;
} row;

#define AT(member) offsetof(atm_conditioning, member)
static const row rows[N_TENSORS] = {
    { "prompt_embeds",                    3, { AT(text_tokens), AT(text_dim) }, AT(text),          false },
    { "attention_mask",                   2, { AT(text_tokens) },               AT(mask),          true  },
    { "negative_prompt_embeds",           3, { AT(text_tokens), AT(text_dim) }, AT(negative_text), false },
    { "negative_attention_mask",          2, { AT(text_tokens) },               AT(negative_mask), true  },
    { "negative_generated_prompt_embeds", 3, { AT(loa_tokens), AT(loa_dim) },   AT(negative_loa),  false },
};
#undef AT

static int *size_of(const atm_conditioning *c, const row *r, int i)
{
    return (int *)((char *)(uintptr_t)c + r->size[i]);
}

static float **data_of(const atm_conditioning *c, const row *r)
{
    return (float **)((char *)(uintptr_t)c + r->data);
}

static size_t count_of(const atm_conditioning *c, const row *r)
{
    size_t n = 1;
    for (int i = 0; i < r->rank - 1; i++) n *= (size_t)*size_of(c, r, i);
    return n;
}

void atm_conditioning_free(atm_conditioning *c)
{
    for (int i = 0; i < N_TENSORS; i++) free(*data_of(c, &rows[i]));
    free(c->source);
    *c = (atm_conditioning){ 0 };
}

/* ------------------------------------------------------------------ reading */

/* The first tensor with a size sets it, the others must agree. */
static bool fits(atm_conditioning *c, const row *r, const atm_file_tensor *t)
{
    if (t->rank != r->rank || t->dim[0] != 1) return false;
    for (int i = 0; i < r->rank - 1; i++) {
        int *size = size_of(c, r, i);
        if (t->dim[i + 1] < 1 || t->dim[i + 1] > MOST) return false;
        if (*size == 0) *size = (int)t->dim[i + 1];
        if (*size != t->dim[i + 1]) return false;
    }
    return r->is_mask || atm_dtype_is_float(t->dtype);
}

static void complain(char *list, const atm_conditioning *c, const row *r, const atm_file_tensor *t)
{
    const size_t used = strlen(list);
    char shape[ATM_SHAPE_TEXT], wanted[64] = "";
    for (int i = 0; i < r->rank - 1; i++)
        snprintf(wanted + strlen(wanted), sizeof wanted - strlen(wanted), *size_of(c, r, i) ? ",%d" : ",*",
                 *size_of(c, r, i));
    snprintf(list + used, LIST_BYTES - used, "\n  %s: expected %s[1%s], found %s%s", r->name,
             r->is_mask ? "" : "floats ", wanted, t ? atm_dtype_name(t->dtype) : "nothing",
             t ? atm_shape_text(shape, t->dim, t->rank) : "");
}

static atm_status copy(atm_conditioning *c, const row *r, const atm_file_tensor *t)
{
    const size_t n = count_of(c, r);
    float *to = malloc(n * sizeof *to);
    if (!to) return atm_fail(ATM_E_MEMORY, "no memory for %s", r->name);
    atm_convert(to, ATM_F32, t->data, t->dtype, n);
    *data_of(c, r) = to;
    return ATM_OK;
}

static atm_status read_tensors(const atm_tensor_file *file, atm_conditioning *c)
{
    char list[LIST_BYTES] = "";
    for (int i = 0; i < N_TENSORS; i++) {
        const atm_file_tensor *t = atm_tensor_file_find(file, rows[i].name);
        if (t && fits(c, &rows[i], t)) TRY_RETURN(copy(c, &rows[i], t));
        else complain(list, c, &rows[i], t);
    }
    if (!list[0]) return ATM_OK;
    return atm_fail(ATM_E_DATA, "%s: conditioning does not fit:%s", atm_tensor_file_path(file), list);
}

atm_status atm_conditioning_read(const char *path, atm_conditioning *out)
{
    atm_status status = ATM_OK;
    atm_tensor_file *file = NULL;
    *out = (atm_conditioning){ 0 };
    TRY(atm_tensor_file_open(path, &file));
    TRY(read_tensors(file, out));
    const char *source = atm_tensor_file_metadata(file, "source");
    out->source = strdup(source ? source : "");
    if (!out->source) TRY(atm_fail(ATM_E_MEMORY, "no memory for %s", path));
done:
    atm_tensor_file_close(file);
    if (status != ATM_OK) atm_conditioning_free(out);
    return status;
}

/* ------------------------------------------------------------------ writing */

atm_status atm_conditioning_write(const char *path, const atm_conditioning *c)
{
    atm_file_tensor tensor[N_TENSORS];
    for (int i = 0; i < N_TENSORS; i++) {
        const row *r = &rows[i];
        tensor[i] = (atm_file_tensor){ .name = r->name, .dtype = ATM_F32, .rank = r->rank, .dim = { 1 },
                                       .data = *data_of(c, r), .bytes = count_of(c, r) * sizeof(float) };
        for (int k = 0; k < r->rank - 1; k++) tensor[i].dim[k + 1] = *size_of(c, r, k);
    }
    const atm_text_pair source = { "source", c->source ? c->source : "" };
    return atm_safetensors_write(path, tensor, N_TENSORS, &source, 1);
}

/* Both texts end in a norm: T5's has small weights, GPT-2's weights of order one. */
static double spread_of(const row *r)
{
    return strstr(r->name, "generated") ? 1 : 0.2;
}

atm_status atm_conditioning_random(uint64_t seed, atm_conditioning *out)
{
    for (int i = 0; i < N_TENSORS; i++) {
        const row *r = &rows[i];
        const size_t n = count_of(out, r);
        float *x = malloc(n * sizeof *x);
        if (!x) {
            atm_conditioning_free(out);
            return atm_fail(ATM_E_MEMORY, "no memory for random conditioning");
        }
        atm_normal((atm_rng){ .seed = seed, .stream = ATM_STREAM_INIT, .step = (uint32_t)i }, x, n);
        for (size_t k = 0; k < n; k++) x[k] = r->is_mask ? 1 : x[k] * (float)spread_of(r);
        *data_of(out, r) = x;
    }
    char text[64];
    snprintf(text, sizeof text, "random, seed %llu", (unsigned long long)seed);
    out->source = strdup(text);
    return out->source ? ATM_OK : atm_fail(ATM_E_MEMORY, "no memory for random conditioning");
}
