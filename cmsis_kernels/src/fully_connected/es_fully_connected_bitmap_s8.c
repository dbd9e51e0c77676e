#include "es_kernels.h"
#include "es_sparse_conv.h"

uint32_t es_fully_connected_bitmap_s8_get_buffer_size(const es_fc_params_t *params) {
    const es_conv_params_t conv = es_sparse_conv_of_vectors(params);
    return es_sparse_conv_bytes(&conv);
}

void es_fully_connected_bitmap_s8(const es_fc_params_t *params, const int8_t *input, const uint8_t *weights,
                                  const es_channel_t *channels, int8_t *output, void *scratch) {
    const es_conv_params_t conv = es_sparse_conv_of_vectors(params);
    es_sparse_conv(&es_sparse_bitmap, &conv, input, weights, channels, output, scratch);
}
