/* dataset_private.h - the parts of the dataset reader to one another. */
#ifndef ATM_DATA_DATASET_PRIVATE_H
#define ATM_DATA_DATASET_PRIVATE_H

#include <stdatomic.h>
#include <sys/stat.h>

#include "data/dataset_table.h"

struct atm_dataset {
    const char *path;
    int fd;
    struct stat at_open;                /* to tell a changed file from a damaged one */
    atm_dataset_table table;
    atm_pair *pair;
    size_t n_pairs;
    char fingerprint[33];
    atomic_int *users;                  /* apart, so that a const dataset can be held */
};

/* The dataset lives until the last of its users has closed it. */
void atm_dataset_hold(const atm_dataset *dataset);

/* dataset_scan.c: fills the table from the file's structure, all places checked against
 * at_open.st_size; reads attributes, but no rows. */
atm_status atm_dataset_scan(atm_dataset *dataset);

/* All of `bytes` at `offset`.  ATM_E_DATA: the file ends before, or cannot be read. */
atm_status atm_dataset_pread(const atm_dataset *dataset, void *out, size_t bytes, uint64_t offset);

#endif
