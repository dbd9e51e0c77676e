#include "es_kernels.h"
#include "es_sparse_conv.h"

uint32_t es_conv_2d_bitmap_s8_get_buffer_size(const es_conv_params_t *params) { return es_sparse_conv_bytes(params); }

void es_conv_2d_bitmap_s8(const es_conv_params_t *params, const int8_t *input, const uint8_t *weights,
                          const es_channel_t *channels, int8_t *output, void *scratch) {
    es_sparse_conv(&es_sparse_bitmap, params, input, weights, channels, output, scratch);
}
