/* fuzz_safetensors.c - any bytes: refused, or tensors that can be read to their last byte. */
#include "fuzz.h"
#include "io/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    atm_tensor_set set = { 0 };
    atm_status status = atm_safetensors_parse(bytes, size, &set);
    if (status == ATM_OK) status = atm_tensor_set_seal(&set);
    if (status == ATM_OK) read_all_tensors(&set);
    check(status == ATM_OK || status == ATM_E_DATA);
    atm_tensor_set_free(&set);
    return 0;
}
