/* weights.h - the weights of one network, wherever they lie.
 *
 * A network binds all its tensors first and asks once, at the end, whether all
 * is well; so one error lists everything that is wrong with the files:
 *
 *     TRY(atm_weights_open("model/vae", NULL, &w));
 *     atm_weights_alias(w, "to_q", "query");                      (older files)
 *     ok = atm_weights_find(w, "conv_in.weight", 4, dim, ATM_F32, &weight); ...
 *     TRY(atm_weights_check(w, NULL));
 *
 * Not thread-safe. */
#ifndef ATM_IO_WEIGHTS_H
#define ATM_IO_WEIGHTS_H

#include "io/tensor_file.h"

typedef struct atm_weights atm_weights;

typedef struct atm_weight {
    const void *data;               /* 64-byte alignment is not promised; NULL when not found */
    atm_dtype dtype;                /* the one asked for */
    size_t count;                   /* elements */
    const atm_file_tensor *source;  /* as it is in the file */
} atm_weight;

/* `path` is a weights file, or a component's folder, in which are looked for, in
 * this order: {diffusion_pytorch_,}model.safetensors, their sharded
 * *.safetensors.index.json, {diffusion_,}pytorch_model.bin, their
 * *.bin.index.json, and the .fp16.safetensors variants.
 *
 * `prefix` (NULL for none): only tensors whose names begin with it are seen, and
 * without it.  A wrapper around every name ("state_dict.", "module." of
 * DataParallel ...) is dropped when there is no prefix.
 * ATM_E_NOINPUT when there are no weights, ATM_E_DATA when they are broken. */
atm_status atm_weights_open(const char *path, const char *prefix, atm_weights **out);
void       atm_weights_close(atm_weights *weights);            /* NULL is allowed */
const char *atm_weights_path(const atm_weights *weights);

/* Where a name holds `part` as whole dotted words, a file may say `other`
 * instead: ("to_out.0", "proj_attn").  Both texts must outlive `weights`. */
void atm_weights_alias(atm_weights *weights, const char *part, const char *other);

/* Is there such a tensor (or an alias)?  Does not count as use. */
bool atm_weights_has(const atm_weights *weights, const char *name);

/* The same tensor as it is in its file, under the name it has there; NULL: none. */
const atm_file_tensor *atm_weights_tensor(const atm_weights *weights, const char *name);

/* What every name seen begins with in the files ("" usually). */
const char *atm_weights_prefix(const atm_weights *weights);

/* The tensor `name` [dim] as elements of `want`: a pointer into the file when it
 * has that dtype, else converted once into owned memory; valid until closing.
 * Dimensions of 1 do not count: a [C,C,1,1] convolution serves as [C,C] and the
 * other way round.  False, and *out zeroed, when the tensor is missing, has
 * another shape, or is an integer tensor where floats are wanted (or the
 * reverse): that is remembered for atm_weights_check(). */
bool atm_weights_find(atm_weights *weights, const char *name, int rank, const int64_t *dim,
                      atm_dtype want, atm_weight *out);

/* ATM_OK when every tensor asked for was found and every tensor of the files was
 * asked for; else one ATM_E_DATA message naming all that is missing,
 * unexpected and mis-shaped (shortened: "... and 37 more").  Unexpected tensors
 * that match a glob of `ignore` (NULL-terminated, or NULL), that are known to
 * be harmless (position_ids, num_batches_tracked, attn.bias ...) or that have
 * no elements are passed over. */
atm_status atm_weights_check(const atm_weights *weights, const char *const *ignore);

/* The caller has its own (packed) copy: gives the pages back, so that the resident
 * size does not double.  The data stay valid, and come back from the file when they
 * are read.  Converted weights have no file to come back from, and stay. */
void atm_weights_release_pages(atm_weights *weights, const void *data, size_t bytes);

/* The files themselves, for listing; 0 <= i < count. */
size_t                 atm_weights_file_count(const atm_weights *weights);
const atm_tensor_file *atm_weights_file(const atm_weights *weights, size_t i);

#endif
