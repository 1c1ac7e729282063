/* device.c - the registry of backends, their memory, and packed weights. */
#define _GNU_SOURCE
#include "kernels/device.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/size.h"

enum { SMALL_ALIGN = 64, HUGE_PAGE = 2 << 20 };

struct atm_pack {
    struct atm_pack *next;
    const void *weight;
    int layout;
    size_t bytes;           /* of the weight */
    void *packed;
};

/* ------------------------------------------------------------------ backends */

/* CUDA lives in a plugin: linking it would cost every start 0.13 s and 215 MiB,
 * and the program would not start on a machine without it. */
static atm_status find_cuda(const atm_backend **out)
{
    void *plugin = dlopen("libarttomus_cuda.so", RTLD_NOW | RTLD_LOCAL);
    if (!plugin) return atm_fail(ATM_E_DEVICE, "no CUDA backend: %s", dlerror());
    const atm_backend *backend = dlsym(plugin, "atm_backend_cuda");
    if (!backend) return atm_fail(ATM_E_DEVICE, "libarttomus_cuda.so holds no atm_backend_cuda: is it another version?");
    *out = backend;
    return ATM_OK;
}

static atm_status find_backend(const char *name, const atm_backend **out)
{
    static const atm_backend *const built_in[] = { &atm_backend_cpu, &atm_backend_ref, &atm_backend_ref64 };
    if (strcmp(name, "auto") == 0 && find_cuda(out) == ATM_OK) return ATM_OK;
    if (strcmp(name, "auto") == 0) name = "cpu";
    if (strcmp(name, "cuda") == 0) return find_cuda(out);
    for (size_t i = 0; i < sizeof built_in / sizeof *built_in; i++)
        if (strcmp(name, built_in[i]->name) == 0) { *out = built_in[i]; return ATM_OK; }
    return atm_fail(ATM_E_USAGE, "unknown backend '%s': auto, cpu, cuda, ref and ref64 exist", name);
}

atm_status atm_device_open(const char *name, int threads, atm_device **out)
{
    const atm_backend *backend = NULL;
    TRY_RETURN(find_backend(name, &backend));
    atm_device *device = calloc(1, sizeof *device);
    if (!device) return atm_fail(ATM_E_MEMORY, "no memory for a device");
    device->backend = backend;
    atm_status status = atm_pool_create(threads, &device->pool);
    if (status != ATM_OK) { free(device); return status; }
    *out = device;
    return ATM_OK;
}

void atm_device_close(atm_device *device)
{
    if (!device) return;
    atm_device_forget(device, NULL, SIZE_MAX);
    atm_pool_destroy(device->pool);
    free(device);
}

/* ------------------------------------------------------------------ memory */

void *atm_device_alloc(size_t bytes)
{
    size_t align = bytes >= HUGE_PAGE ? HUGE_PAGE : SMALL_ALIGN, rounded;
    if (!atm_round_up_size(bytes ? bytes : 1, align, &rounded)) return NULL;
    void *p = aligned_alloc(align, rounded);
    /* Whole huge pages only: one for the tail too would make a thousand packed weights
     * of 2.5 MB resident as 4 MB each.  Advice: failure is harmless. */
    if (p && align == HUGE_PAGE) madvise(p, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
    return p;
}

void atm_device_free(void *p) { free(p); }

/* ------------------------------------------------------------------ packed weights */

void *atm_pack_find(atm_device *device, const void *weight, int layout, size_t bytes)
{
    for (struct atm_pack *k = device->pack; k; k = k->next)
        if (k->weight == weight && k->layout == layout && k->bytes == bytes) return k->packed;
    return NULL;
}

void *atm_pack_add(atm_device *device, const void *weight, int layout, size_t bytes, void *packed)
{
    struct atm_pack *k = malloc(sizeof *k);
    if (!k) { atm_device_free(packed); return NULL; }
    *k = (struct atm_pack){ device->pack, weight, layout, bytes, packed };
    device->pack = k;
    return packed;
}

static bool inside(const void *p, const void *base, size_t bytes)
{
    return (uintptr_t)p - (uintptr_t)base < bytes;
}

void atm_device_forget(atm_device *device, const void *base, size_t bytes)
{
    for (struct atm_pack **at = &device->pack, *k; (k = *at) != NULL; ) {
        if (!inside(k->weight, base, bytes)) { at = &k->next; continue; }
        *at = k->next;
        atm_device_free(k->packed);
        free(k);
    }
}
