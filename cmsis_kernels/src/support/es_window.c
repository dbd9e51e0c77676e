#include "es_window.h"

void es_window_copy(const es_conv_params_t *params, const es_window_t *window, const int8_t *pad, int8_t *column) {
    int32_t taps;
    for (int32_t ky = 0; ky < params->kernel_h; ky++) {
        for (int32_t kx = 0; kx < params->kernel_w; kx += taps) {
            const int8_t *const from = es_window_run(params, window, ky, kx, pad, &taps);
            es_copy(column, from, taps * params->in_c);
            column += taps * params->in_c;
        }
    }
}
