#include "es_kernels.h"

uint32_t es_lut_s8_get_buffer_size(const es_lut_params_t *params) {
    (void)params;
    return 0;
}

void es_lut_s8(const es_lut_params_t *params, const int8_t *input, const int8_t *table, int8_t *output) {
    const int8_t *const centre = table + 128;
    const int8_t *const end = input + params->count;
    for (const int8_t *const fours = input + (params->count & ~3U); input != fours;) {
        output[0] = centre[input[0]];
        output[1] = centre[input[1]];
        output[2] = centre[input[2]];
        output[3] = centre[input[3]];
        input += 4;
        output += 4;
    }
    while (input != end) {
        *output++ = centre[*input++];
    }
}
