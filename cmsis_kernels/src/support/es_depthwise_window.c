#include "es_depthwise_strip.h"

/* Four channels of the window. */
ES_INLINE void make_four(const es_conv_params_t *p, const int8_t *image, const int8_t *weights,
                         const es_channel_t *channels, const es_output_t *out, int8_t *output) {
    const uint32_t tap_bytes = ((uint32_t)p->out_c + 3) & ~3U;
    const uint32_t pixel_bytes = (uint32_t)(p->dilation_w * p->in_c);
    const uint32_t row_bytes = (uint32_t)(p->dilation_h * p->in_w * p->in_c);
    int32_t sums[4] = {channels[0].bias, channels[1].bias, channels[2].bias, channels[3].bias};
    for (int32_t rows = p->kernel_h; rows != 0; rows--) {
        const int8_t *a = image;
        for (int32_t left = p->kernel_w; left != 0; left--) {
            es_tap_four(a, weights, sums);
            a += pixel_bytes;
            weights += tap_bytes;
        }
        image += row_bytes;
    }
    for (uint32_t i = 0; i < 4; i++) {
        output[i] = es_requantize(sums[i], &channels[i], out);
    }
}

static int8_t make_one(const es_conv_params_t *p, const int8_t *image, const int8_t *weights,
                       const es_channel_t *channel, const es_output_t *out) {
    const uint32_t tap_bytes = ((uint32_t)p->out_c + 3) & ~3U;
    uint32_t sum = (uint32_t)channel->bias;
    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        for (int32_t kx = 0; kx < p->kernel_w; kx++) {
            const int32_t pixel = ky * p->dilation_h * p->in_w + kx * p->dilation_w;
            sum += (uint32_t)(image[pixel * p->in_c] * *weights);
            weights += tap_bytes;
        }
    }
    return es_requantize((int32_t)sum, channel, out);
}

bool es_depthwise_is_window(const es_conv_params_t *p) {
    const int64_t width = (int64_t)(p->kernel_w - 1) * p->dilation_w + 1;
    const int64_t height = (int64_t)(p->kernel_h - 1) * p->dilation_h + 1;
    return p->in_c == p->out_c && p->out_h == 1 && p->out_w == 1 && p->pad_top == 0 && p->pad_left == 0 &&
           height <= p->in_h && width <= p->in_w;
}

void es_depthwise_make_window(const es_conv_params_t *params, const int8_t *input, const int8_t *weights,
                              const es_channel_t *channels, int8_t *output) {
    const es_output_t out = es_output(params->out_zero_point, params->act_min, params->act_max);
    const int32_t count = params->in_c;
    for (int32_t batch = 0; batch < params->batches; batch++) {
        int32_t c = 0;
        for (; c + 4 <= count; c += 4) {
            make_four(params, input + c, weights + c, channels + c, &out, output + c);
        }
        for (; c < count; c++) {
            output[c] = make_one(params, input + c, weights + c, &channels[c], &out);
        }
        input += params->in_h * params->in_w * count;
        output += count;
    }
}
