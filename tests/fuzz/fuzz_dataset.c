/* fuzz_dataset.c - any bytes as an HDF5 file: refused, or columns that can be read to their last row. */
#define _GNU_SOURCE
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "data/dataset_private.h"
#include "support/hdf5_repair.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void read_all_columns(const atm_dataset *d)
{
    for (int i = 0; i < d->table.n_entries; i++) {
        const atm_column *c = &d->table.entry[i]->column;
        void *row = malloc(c->row_bytes);
        check(row && atm_dataset_find(d, c->name) == c);
        for (size_t k = 0; k < c->rows; k++) {
            const atm_status status = atm_dataset_read(d, c, k, row);
            check(status == ATM_OK || status == ATM_E_DATA);
        }
        free(row);
    }
}

/* In memory, under a name. */
static int file_of(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size + 1);
    const int fd = memfd_create("dataset", 0);
    check(copy && fd >= 0);
    memcpy(copy, bytes, size);
    hdf5_repair(copy, size);
    check(write(fd, copy, size) == (ssize_t)size);
    free(copy);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char path[64];
    atm_dataset *d;
    const int fd = file_of(bytes, size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const atm_status status = atm_dataset_open(path, &d);
    check(status == ATM_OK || status == ATM_E_DATA);
    if (status == ATM_OK) {
        read_all_columns(d);
        atm_dataset_close(d);
    }
    close(fd);
    return 0;
}
