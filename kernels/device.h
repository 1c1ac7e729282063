/* device.h - a backend opened for use: its threads and its packed weights. */
#ifndef ATM_KERNELS_DEVICE_H
#define ATM_KERNELS_DEVICE_H

#include "kernels/ops.h"

struct atm_device {
    const atm_backend *backend;
    atm_pool *pool;
    struct atm_pack *pack;      /* list of packed weights, owned */
};

/* `name`: "ref", "ref64", "cpu", "cuda" or "auto" (the fastest that is here).
 * Fails with ATM_E_DEVICE and the reason when the backend cannot run here. */
atm_status atm_device_open(const char *name, int threads, atm_device **out);
void       atm_device_close(atm_device *device);        /* NULL is allowed */

/* Memory of plans and packed weights: 64-byte aligned, huge pages when large. */
void *atm_device_alloc(size_t bytes);
void  atm_device_free(void *p);

/* Packed copies of constant weights, shared by all plans of a device and keyed
 * by (address, layout, size).  find returns NULL when there is none; add copies
 * nothing: it takes ownership of `packed` (from atm_device_alloc). */
void *atm_pack_find(atm_device *device, const void *weight, int layout, size_t bytes);
void *atm_pack_add(atm_device *device, const void *weight, int layout, size_t bytes, void *packed);

/* Before the memory [base, base + bytes) of weights goes away: a later weight at
 * the same address must not find the packed copy of an earlier one. */
void atm_device_forget(atm_device *device, const void *base, size_t bytes);

#endif
