#include "es_kernels.h"
#include "es_window.h"

uint32_t es_resize_nearest_neighbor_s8_get_buffer_size(const es_resize_params_t *params) {
    (void)params;
    return 0;
}

void es_resize_nearest_neighbor_s8(const es_resize_params_t *params, const uint16_t *rows, const uint16_t *columns,
                                   const int8_t *input, int8_t *output) {
    const int32_t row_bytes = params->in_w * params->channels;
    const int32_t out_row_bytes = params->out_w * params->channels;
    for (int32_t batch = 0; batch < params->batches; batch++) {
        for (int32_t y = 0; y < params->out_h; y++) {
            if (y > 0 && rows[y] == rows[y - 1]) {
                es_copy(output, output - out_row_bytes, out_row_bytes);
                output += out_row_bytes;
                continue;
            }
            const int8_t *const row = input + rows[y] * row_bytes;
            for (int32_t x = 0; x < params->out_w; x++) {
                es_copy(output, row + columns[x] * params->channels, params->channels);
                output += params->channels;
            }
        }
        input += params->in_h * row_bytes;
    }
}
