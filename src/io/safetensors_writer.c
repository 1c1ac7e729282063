/* safetensors_writer.c - streaming: the header first, then the data as they come,
 * so that a 5 GB model needs no memory of its own. */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory_stream.h"
#include "base/size.h"
#include "io/atomic_file.h"
#include "io/safetensors.h"
#include "io/utf8.h"

struct atm_safetensors_writer {
    atm_atomic_file *file;
    size_t expected, written;       /* bytes of data */
};

static atm_status put_string(FILE *out, const char *text)
{
    if (!atm_utf8_valid(text, strlen(text))) return atm_fail(ATM_E_BUG, "safetensors: a name is not UTF-8");
    fputc('"', out);
    for (const char *p = text; *p; p++) {
        if ((unsigned char)*p < 0x20) fprintf(out, "\\u%04x", (unsigned)*p);
        else fprintf(out, *p == '"' || *p == '\\' ? "\\%c" : "%c", *p);
    }
    fputc('"', out);
    return ATM_OK;
}

static atm_status put_metadata(FILE *out, const atm_text_pair *pair, size_t n)
{
    fputs("\"__metadata__\":{", out);
    for (size_t i = 0; i < n; i++) {
        if (i) fputc(',', out);
        TRY_RETURN(put_string(out, pair[i].key));
        fputc(':', out);
        TRY_RETURN(put_string(out, pair[i].value));
    }
    fputc('}', out);
    return ATM_OK;
}

static atm_status tensor_bytes(const atm_file_tensor *t, size_t *bytes)
{
    char shape[ATM_SHAPE_TEXT];
    if (t->rank < 0 || t->rank > ATM_FILE_RANK_MAX || (unsigned)t->dtype >= ATM_DTYPE_COUNT)
        return atm_fail(ATM_E_BUG, "safetensors: %s has rank %d or an unknown dtype", t->name, t->rank);
    if (!atm_shape_size(t->dim, t->rank, bytes) || !atm_mul_size(*bytes, atm_dtype_size(t->dtype), bytes))
        return atm_fail(ATM_E_BUG, "safetensors: %s has the impossible shape %s", t->name,
                        atm_shape_text(shape, t->dim, t->rank));
    return ATM_OK;
}

/* Adds the tensor's bytes to *offset. */
static atm_status put_tensor(FILE *out, const atm_file_tensor *t, size_t *offset)
{
    char shape[ATM_SHAPE_TEXT];
    size_t bytes, begin = *offset;
    TRY_RETURN(tensor_bytes(t, &bytes));
    if (!atm_add_size(begin, bytes, offset)) return atm_fail(ATM_E_BUG, "safetensors: too much data");
    TRY_RETURN(put_string(out, t->name));
    fprintf(out, ":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}", atm_dtype_name(t->dtype),
            atm_shape_text(shape, t->dim, t->rank), begin, *offset);
    return ATM_OK;
}

static atm_status put_header(FILE *out, const atm_file_tensor *spec, size_t n,
                             const atm_text_pair *metadata, size_t n_metadata, size_t *data_bytes)
{
    fputc('{', out);
    if (n_metadata) TRY_RETURN(put_metadata(out, metadata, n_metadata));
    for (size_t i = 0; i < n; i++) {
        if (i || n_metadata) fputc(',', out);
        TRY_RETURN(put_tensor(out, &spec[i], data_bytes));
    }
    fputc('}', out);
    for (long at = ftell(out); at > 0 && at % 8; at++) fputc(' ', out);     /* the data begin 8-aligned */
    return ATM_OK;
}

static atm_status make_header(const atm_file_tensor *spec, size_t n, const atm_text_pair *metadata,
                              size_t n_metadata, size_t *data_bytes, char **text, size_t *bytes)
{
    FILE *out = atm_memory_stream(text, bytes);
    if (!out) return atm_fail(ATM_E_MEMORY, "no memory for a safetensors header");
    atm_status status = put_header(out, spec, n, metadata, n_metadata, data_bytes);
    if (fclose(out) != 0 && status == ATM_OK)
        status = atm_fail(ATM_E_MEMORY, "no memory for a safetensors header");
    if (status == ATM_OK && *bytes > ATM_SAFETENSORS_MAX_HEADER)
        status = atm_fail(ATM_E_BUG, "safetensors: a header of %zu bytes is above the limit", *bytes);
    return status;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A file that our own reader would refuse must not be written. */
static atm_status check_names(const atm_file_tensor *spec, size_t n)
{
    const char **name = calloc(n + 1, sizeof *name);
    if (!name) return atm_fail(ATM_E_MEMORY, "no memory for %zu names", n);
    for (size_t i = 0; i < n; i++) name[i] = spec[i].name;
    name[n] = "__metadata__";
    qsort(name, n + 1, sizeof *name, by_name);
    atm_status status = ATM_OK;
    for (size_t i = 0; i < n && status == ATM_OK; i++)
        if (strcmp(name[i], name[i + 1]) == 0)
            status = atm_fail(ATM_E_BUG, "safetensors: two tensors are called %s", name[i]);
    free(name);
    return status;
}

static atm_status write_header(atm_safetensors_writer *writer, const char *text, size_t bytes)
{
    unsigned char length[8];
    for (int i = 0; i < 8; i++) length[i] = (unsigned char)(bytes >> (8 * i));
    TRY_RETURN(atm_atomic_write(writer->file, length, sizeof length));
    return atm_atomic_write(writer->file, text, bytes);
}

atm_status atm_safetensors_begin(const char *path, const atm_file_tensor *spec, size_t n,
                                 const atm_text_pair *metadata, size_t n_metadata,
                                 atm_safetensors_writer **out)
{
    atm_status status = ATM_OK;
    char *text = NULL;
    size_t bytes = 0;
    atm_safetensors_writer *writer = calloc(1, sizeof *writer);
    if (!writer) return atm_fail(ATM_E_MEMORY, "%s: no memory", path);
    TRY(check_names(spec, n));
    TRY(make_header(spec, n, metadata, n_metadata, &writer->expected, &text, &bytes));
    TRY(atm_atomic_open(path, &writer->file));
    TRY(write_header(writer, text, bytes));
    *out = writer;
done:
    free(text);
    if (status != ATM_OK) atm_safetensors_abort(writer);
    return status;
}

atm_status atm_safetensors_append(atm_safetensors_writer *writer, const void *data, size_t bytes)
{
    if (bytes > writer->expected - writer->written)
        return atm_fail(ATM_E_BUG, "safetensors: more data than the %zu bytes announced", writer->expected);
    writer->written += bytes;
    return atm_atomic_write(writer->file, data, bytes);
}

atm_status atm_safetensors_commit(atm_safetensors_writer *writer)
{
    size_t expected = writer->expected, written = writer->written;
    if (written != expected) {
        atm_safetensors_abort(writer);
        return atm_fail(ATM_E_BUG, "safetensors: %zu of the announced %zu bytes given", written, expected);
    }
    atm_status status = atm_atomic_commit(writer->file);
    free(writer);
    return status;
}

void atm_safetensors_abort(atm_safetensors_writer *writer)
{
    if (!writer) return;
    atm_atomic_abort(writer->file);
    free(writer);
}

/* Stable: equal widths keep the caller's order. */
static void wide_first(const atm_file_tensor *from, atm_file_tensor *to, size_t n)
{
    size_t at = 0;
    for (size_t width = 8; width; width /= 2)
        for (size_t i = 0; i < n; i++)
            if (atm_dtype_size(from[i].dtype) == width) to[at++] = from[i];
}

static atm_status append_all(atm_safetensors_writer *writer, const atm_file_tensor *tensor, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t bytes;
        TRY_RETURN(tensor_bytes(&tensor[i], &bytes));
        TRY_RETURN(atm_safetensors_append(writer, tensor[i].data, bytes));
    }
    return ATM_OK;
}

atm_status atm_safetensors_write(const char *path, const atm_file_tensor *tensor, size_t n,
                                 const atm_text_pair *metadata, size_t n_metadata)
{
    atm_status status = ATM_OK;
    atm_safetensors_writer *writer = NULL;
    atm_file_tensor *sorted = calloc(n + 1, sizeof *sorted);
    if (!sorted) return atm_fail(ATM_E_MEMORY, "%s: no memory", path);
    wide_first(tensor, sorted, n);
    TRY(atm_safetensors_begin(path, sorted, n, metadata, n_metadata, &writer));
    TRY(append_all(writer, sorted, n));
    status = atm_safetensors_commit(writer);
    writer = NULL;
done:
    atm_safetensors_abort(writer);
    free(sorted);
    return status;
}
