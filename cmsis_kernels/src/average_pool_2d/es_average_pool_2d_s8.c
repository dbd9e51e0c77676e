#include "es_kernels.h"
#include "es_requant.h"
#include "es_sum_four.h"

/* Rounded half away from zero. The mean of int8 is one, so that only a narrower activation clamps. */
ES_INLINE int8_t mean(int32_t sum, int32_t count, int32_t half, const es_pool_params_t *params, bool narrow) {
    const int32_t sign = sum >> 31;
    const int32_t y = (sum + ((half ^ sign) - sign)) / count;
    return (int8_t)(narrow ? es_clamp(y, params->act_min, params->act_max) : y);
}

/* All channels of one output position. */
static void pool(const es_pool_params_t *params, es_taps_t taps, int8_t *output) {
    const int32_t count = (int32_t)(taps.rows * taps.columns);
    const int32_t half = count / 2;
    const bool narrow = params->act_min != -128 || params->act_max != 127;
    for (int32_t left = params->channels, made; left != 0; left -= made) {
        int32_t sums[4];
        if (left >= 4) {
            es_sum_four(&taps, sums);
        } else {
            sums[0] = es_sum_one(&taps);
        }
        made = left >= 4 ? 4 : 1;
        for (int32_t i = 0; i < made; i++) {
            *output++ = mean(sums[i], count, half, params, narrow);
        }
        taps.first += made;
    }
}

uint32_t es_average_pool_2d_s8_get_buffer_size(const es_pool_params_t *params) {
    (void)params;
    return 0;
}

void es_average_pool_2d_s8(const es_pool_params_t *params, const int8_t *input, int8_t *output) {
    const int32_t row_bytes = params->in_w * params->channels;
    for (int32_t batch = 0; batch < params->batches; batch++) {
        for (int32_t oy = 0; oy < params->out_h; oy++) {
            const int32_t y = oy * params->stride_h - params->pad_top;
            const int32_t y0 = y < 0 ? 0 : y;
            const int32_t y1 = params->in_h - y < params->kernel_h ? params->in_h : y + params->kernel_h;
            for (int32_t ox = 0; ox < params->out_w; ox++) {
                const int32_t x = ox * params->stride_w - params->pad_left;
                const int32_t x0 = x < 0 ? 0 : x;
                const int32_t x1 = params->in_w - x < params->kernel_w ? params->in_w : x + params->kernel_w;
                const es_taps_t taps = {input + y0 * row_bytes + x0 * params->channels, (uint32_t)(y1 - y0),
                                        (uint32_t)(x1 - x0), (uint32_t)params->channels, (uint32_t)row_bytes};
                pool(params, taps, output);
                output += params->channels;
            }
        }
        input += params->in_h * row_bytes;
    }
}
