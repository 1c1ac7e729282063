/* fuzz_torchfile.c - both containers of torch.save(), and thereby zip and pickle. */
#include "fuzz.h"
#include "io/torchfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    atm_tensor_set set = { 0 };
    bool zip = size && bytes[0] == 'P';
    atm_status status = zip ? atm_torch_zip_parse(bytes, size, &set)
                            : atm_torch_legacy_parse(bytes, size, &set);
    if (status == ATM_OK) status = atm_tensor_set_seal(&set);
    if (status == ATM_OK) read_all_tensors(&set);
    check(status == ATM_OK || status == ATM_E_DATA);
    atm_tensor_set_free(&set);
    return 0;
}
