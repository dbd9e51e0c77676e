#include "es_dense_rows.h"
#include "es_kernels.h"

/* Vectors that share unpacked weights. */
enum {
    BAND = 8
};

uint32_t es_fully_connected_dense_s8_get_buffer_size(const es_fc_params_t *params) {
    return es_dense_vectors_bytes((uint32_t)params->out_c, (uint32_t)params->in_c, (uint32_t)params->batches, BAND);
}

void es_fully_connected_dense_s8(const es_fc_params_t *params, const int8_t *input, const uint8_t *weights,
                                 const es_channel_t *channels, int8_t *output, void *scratch) {
    const uint32_t count = (uint32_t)params->in_c;
    const es_dense_rows_t dense = {.weights = weights,
                                   .channels = channels,
                                   .rows = (uint32_t)params->out_c,
                                   .groups = (count + 3) / 4,
                                   .out = es_output(params->out_zero_point, params->act_min, params->act_max)};
    es_dense_rows_vectors(&dense, input, count, (uint32_t)params->batches, BAND, output, scratch);
}
