#include "es_delta8_rows.h"
#include "es_kernels.h"
#include "es_size.h"

uint32_t es_fully_connected_delta8_s8_get_buffer_size(const es_fc_params_t *params) {
    return params->batches >= 2 ? es_size_mul((uint32_t)params->in_c, 8) : 0;
}

void es_fully_connected_delta8_s8(const es_fc_params_t *params, const int8_t *input, const uint8_t *weights,
                                  const es_channel_t *channels, int8_t *output, void *scratch) {
    const uint32_t columns = (uint32_t)params->in_c;
    const es_delta8_rows_t sparse = {weights, channels, (uint32_t)params->out_c,
                                     es_output(params->out_zero_point, params->act_min, params->act_max)};
    es_delta8_rows_vectors(&sparse, input, columns, (uint32_t)params->batches, output, scratch);
}
