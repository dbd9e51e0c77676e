#include "es_kernels.h"
#include "es_requant.h"

/* The taps of one window that are inside the image. */
typedef struct {
    const int8_t *first;
    int32_t rows, columns;
    int32_t pixel_bytes, row_bytes;
} taps_t;

/* Rounded half away from zero. */
static int32_t mean(int32_t sum, int32_t count) { return (sum > 0 ? sum + count / 2 : sum - count / 2) / count; }

/* Sums four channels in the lanes of two words: 255 values of at least -128 are no less than -32640, so that a lane is
 * moved to its sum of 32 bits after at most 255 taps.
 */
static void sum_four(const taps_t *taps, int32_t sums[4]) {
    uint32_t even = 0, odd = 0;
    int32_t held = 0;
    const int8_t *row = taps->first;
    sums[0] = sums[1] = sums[2] = sums[3] = 0;
    for (int32_t y = 0; y < taps->rows; y++) {
        const int8_t *a = row;
        for (int32_t left = taps->columns; left > 0;) {
            if (held == 255) {
                held = 0;
                sums[0] += (int16_t)(even & 0xffffU), sums[1] += (int16_t)(odd & 0xffffU);
                sums[2] += (int16_t)(even >> 16), sums[3] += (int16_t)(odd >> 16);
                even = odd = 0;
            }
            int32_t chunk = left < 255 - held ? left : 255 - held;
            left -= chunk;
            held += chunk;
            for (; chunk > 0; chunk--) {
                const uint32_t word = es_read_u32(a);
                even = es_sxtab16(even, word);
                odd = es_sxtab16_ror8(odd, word);
                a += taps->pixel_bytes;
            }
        }
        row += taps->row_bytes;
    }
    sums[0] += (int16_t)(even & 0xffffU), sums[1] += (int16_t)(odd & 0xffffU);
    sums[2] += (int16_t)(even >> 16), sums[3] += (int16_t)(odd >> 16);
}

static int32_t sum_one(const taps_t *taps) {
    int32_t sum = 0;
    for (int32_t y = 0; y < taps->rows; y++) {
        const int8_t *a = taps->first + y * taps->row_bytes;
        for (int32_t x = 0; x < taps->columns; x++) {
            sum += *a;
            a += taps->pixel_bytes;
        }
    }
    return sum;
}

/* All channels of one output position. */
static void pool(const es_pool_params_t *params, taps_t taps, int8_t *output) {
    const int32_t count = taps.rows * taps.columns;
    int32_t c = 0;
    for (; c + 4 <= params->channels; c += 4) {
        int32_t sums[4];
        sum_four(&taps, sums);
        for (int32_t i = 0; i < 4; i++) {
            output[c + i] = (int8_t)es_clamp(mean(sums[i], count), params->act_min, params->act_max);
        }
        taps.first += 4;
    }
    for (; c < params->channels; c++) {
        output[c] = (int8_t)es_clamp(mean(sum_one(&taps), count), params->act_min, params->act_max);
        taps.first++;
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
                const taps_t taps = {input + y0 * row_bytes + x0 * params->channels, y1 - y0, x1 - x0, params->channels,
                                     row_bytes};
                pool(params, taps, output);
                output += params->channels;
            }
        }
        input += params->in_h * row_bytes;
    }
}
