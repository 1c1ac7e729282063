#include "io/tensor_set.h"

#include <stdlib.h>

#include "base/size.h"

static atm_status no_memory(void) { return atm_fail(ATM_E_MEMORY, "no memory for a list of tensors"); }

/* Room for one more in an array of *capacity elements. */
static atm_status grow(void **array, size_t n, size_t *capacity, size_t element)
{
    if (n < *capacity) return ATM_OK;
    size_t wanted, bytes;
    if (!atm_add_size(*capacity, *capacity / 2 + 64, &wanted) ||
        !atm_mul_size(wanted, element, &bytes)) return no_memory();
    void *bigger = realloc(*array, bytes);
    if (!bigger) return no_memory();
    *array = bigger;
    *capacity = wanted;
    return ATM_OK;
}

atm_status atm_tensor_set_add(atm_tensor_set *set, const atm_file_tensor *tensor)
{
    void *array = set->tensor;
    TRY_RETURN(grow(&array, set->n, &set->capacity, sizeof *tensor));
    set->tensor = array;
    set->tensor[set->n++] = *tensor;
    return ATM_OK;
}

atm_status atm_tensor_set_add_metadata(atm_tensor_set *set, atm_text_pair pair)
{
    void *array = set->metadata;
    TRY_RETURN(grow(&array, set->n_metadata, &set->metadata_capacity, sizeof pair));
    set->metadata = array;
    set->metadata[set->n_metadata++] = pair;
    return ATM_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const atm_file_tensor *)a)->name, ((const atm_file_tensor *)b)->name);
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const atm_text_pair *)a)->key, ((const atm_text_pair *)b)->key);
}

/* safetensors packs tensors without padding: after an odd number of U8 an F32
 * lies at an odd address, which no kernel may read. */
static atm_status align(atm_tensor_set *set, atm_file_tensor *tensor)
{
    if ((uintptr_t)tensor->data % atm_dtype_size(tensor->dtype) == 0) return ATM_OK;
    void *copy = atm_arena_alloc(&set->arena, tensor->bytes, 1);
    if (!copy)
        return atm_fail(ATM_E_MEMORY, "no memory for %zu bytes of %s", tensor->bytes, tensor->name);
    tensor->data = memcpy(copy, tensor->data, tensor->bytes);
    return ATM_OK;
}

static void sort(void *array, size_t n, size_t element, int (*compare)(const void *, const void *))
{
    if (n) qsort(array, n, element, compare);       /* qsort(NULL, 0) is undefined */
}

atm_status atm_tensor_set_seal(atm_tensor_set *set)
{
    sort(set->tensor, set->n, sizeof *set->tensor, by_name);
    sort(set->metadata, set->n_metadata, sizeof *set->metadata, by_key);
    for (size_t i = 1; i < set->n; i++)
        if (by_name(&set->tensor[i - 1], &set->tensor[i]) == 0)
            return atm_fail(ATM_E_DATA, "tensor %s is there twice", set->tensor[i].name);
    for (size_t i = 1; i < set->n_metadata; i++)
        if (by_key(&set->metadata[i - 1], &set->metadata[i]) == 0)
            return atm_fail(ATM_E_DATA, "metadata key %s is there twice", set->metadata[i].key);
    for (size_t i = 0; i < set->n; i++) TRY_RETURN(align(set, &set->tensor[i]));
    return ATM_OK;
}

const atm_file_tensor *atm_tensor_set_find(const atm_tensor_set *set, const char *name)
{
    const atm_file_tensor key = { .name = name };
    return set->n ? bsearch(&key, set->tensor, set->n, sizeof key, by_name) : NULL;
}

const char *atm_tensor_set_metadata(const atm_tensor_set *set, const char *key)
{
    const atm_text_pair wanted = { .key = key };
    const atm_text_pair *pair =
        set->n_metadata ? bsearch(&wanted, set->metadata, set->n_metadata, sizeof wanted, by_key) : NULL;
    return pair ? pair->value : NULL;
}

void atm_tensor_set_free(atm_tensor_set *set)
{
    free(set->tensor);
    free(set->metadata);
    atm_arena_free(&set->arena);
    *set = (atm_tensor_set){ 0 };
}
