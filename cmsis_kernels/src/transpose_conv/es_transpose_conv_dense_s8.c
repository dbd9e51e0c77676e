#include "es_kernels.h"
#include "es_requant.h"

/* The taps that reach one output along one axis: tap first + i * stride reads input `in` - i, for i below count. */
typedef struct {
    int32_t first, count, in;
} taps_t;

static taps_t taps_of(int32_t out, int32_t pad, int32_t kernel, int32_t stride, int32_t in_size) {
    const int32_t place = out + pad; /* = in * stride + tap */
    taps_t taps = {place % stride, 0, place / stride};
    if (taps.in >= in_size) {
        taps.first += (taps.in - in_size + 1) * stride;
        taps.in = in_size - 1;
    }
    if (taps.first < kernel) {
        const int32_t fit = (kernel - taps.first - 1) / stride + 1;
        taps.count = fit < taps.in + 1 ? fit : taps.in + 1;
    }
    return taps;
}

/* Sum of products of one vector of inputs. */
ES_INLINE uint32_t dot(const int8_t *weights, const int8_t *input, int32_t zero_point, int32_t count) {
    int32_t sum = 0;
    for (int32_t i = 0; i < count; i++) {
        sum = (int32_t)((uint32_t)sum + (uint32_t)(weights[i] * (input[i] - zero_point)));
    }
    return (uint32_t)sum;
}

/* Sum of one filter over all taps that reach an output. */
static uint32_t filter_sum(const es_conv_params_t *params, const int8_t *image, const int8_t *filter, taps_t rows,
                           taps_t columns) {
    uint32_t acc = 0;
    for (int32_t i = 0; i < rows.count; i++) {
        const int32_t ky = rows.first + i * params->stride_h;
        const int8_t *const in_row = image + (rows.in - i) * params->in_w * params->in_c;
        for (int32_t j = 0; j < columns.count; j++) {
            const int32_t kx = columns.first + j * params->stride_w;
            const int8_t *const weights = filter + (ky * params->kernel_w + kx) * params->in_c;
            acc += dot(weights, in_row + (columns.in - j) * params->in_c, params->in_zero_point, params->in_c);
        }
    }
    return acc;
}

uint32_t es_transpose_conv_dense_s8_get_buffer_size(const es_conv_params_t *params) {
    (void)params;
    return 0;
}

void es_transpose_conv_dense_s8(const es_conv_params_t *params, const int8_t *input, const uint8_t *weights,
                                const es_channel_t *channels, int8_t *output, void *scratch) {
    const es_output_t out = es_output(params->out_zero_point, params->act_min, params->act_max);
    const int32_t filter_bytes = (params->kernel_h * params->kernel_w * params->in_c + 3) & ~3;
    (void)scratch;
    for (int32_t batch = 0; batch < params->batches; batch++) {
        for (int32_t oy = 0; oy < params->out_h; oy++) {
            const taps_t rows = taps_of(oy, params->pad_top, params->kernel_h, params->stride_h, params->in_h);
            for (int32_t ox = 0; ox < params->out_w; ox++) {
                const taps_t columns = taps_of(ox, params->pad_left, params->kernel_w, params->stride_w, params->in_w);
                const int8_t *filter = (const int8_t *)weights;
                for (int32_t o = 0; o < params->out_c; o++) {
                    const uint32_t acc = filter_sum(params, input, filter, rows, columns) + (uint32_t)channels[o].bias;
                    *output++ = es_requantize((int32_t)acc, &channels[o], &out);
                    filter += filter_bytes;
                }
            }
        }
        input += params->in_h * params->in_w * params->in_c;
    }
}
