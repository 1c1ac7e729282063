/* torchfile.h - tensors of torch.save() files (.pt .pth .bin), without Python
 * and without executing anything.
 *
 * A pickle is a program for a small stack machine; Python's loader lets it call
 * any function.  Ours (pickle.h) only builds values, and knows by name the
 * few globals that describe tensors: whatever else a file names is refused,
 * with that name.  What is accepted: a dict of tensors, or a dict of such dicts
 * ({"state_dict": {...}}, joined with '.'); numbers, texts and None beside
 * them are passed over.  Tensors that are not row-major are copied. */
#ifndef ATM_IO_TORCHFILE_H
#define ATM_IO_TORCHFILE_H

#include "io/tensor_set.h"

/* torch >= 1.6: a zip of ROOT/data.pkl and ROOT/data/KEY, stored uncompressed. */
atm_status atm_torch_zip_parse(const void *bytes, size_t size, atm_tensor_set *set);

/* Before: pickles of magic, version, system, state and storage keys, then raw storages. */
atm_status atm_torch_legacy_parse(const void *bytes, size_t size, atm_tensor_set *set);

#endif
