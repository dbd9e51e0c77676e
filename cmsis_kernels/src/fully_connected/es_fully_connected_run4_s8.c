#include "es_kernels.h"
#include "es_sparse_conv.h"

uint32_t es_fully_connected_run4_s8_get_buffer_size(const es_fc_params_t *params) {
    return es_sparse_vectors_bytes(params);
}

void es_fully_connected_run4_s8(const es_fc_params_t *params, const int8_t *input, const uint8_t *weights,
                                const es_channel_t *channels, int8_t *output, void *scratch) {
    es_sparse_vectors(&es_sparse_run4, params, input, weights, channels, output, scratch);
}
