#include "es_depthwise_strip.h"

/* The taps of a window. */
typedef struct {
    uint32_t rows, columns;
    uint32_t row_bytes, pixel_bytes; /* of the image */
    uint32_t tap_bytes;              /* of the weights */
} taps_t;

/* A column of taps is taken as a row, so that the inner loop is the long one. */
static taps_t taps_of(const es_conv_params_t *p) {
    const uint32_t pixel_bytes = (uint32_t)(p->dilation_w * p->in_c);
    const uint32_t row_bytes = (uint32_t)(p->dilation_h * p->in_w * p->in_c);
    const bool turned = p->kernel_w == 1;
    const taps_t taps = {
        .rows = turned ? 1 : (uint32_t)p->kernel_h,
        .columns = turned ? (uint32_t)p->kernel_h : (uint32_t)p->kernel_w,
        .row_bytes = row_bytes,
        .pixel_bytes = turned ? row_bytes : pixel_bytes,
        .tap_bytes = ((uint32_t)p->out_c + 3) & ~3U,
    };
    return taps;
}

/* Four channels of the window. */
ES_APART void make_four(const taps_t *taps, const int8_t *image, const int8_t *weights, const es_channel_t *channels,
                        const es_output_t *out, int8_t *output) {
    const uint32_t pixel_bytes = taps->pixel_bytes, tap_bytes = taps->tap_bytes;
    int32_t sums[4] = {channels[0].bias, channels[1].bias, channels[2].bias, channels[3].bias};
    for (uint32_t rows = taps->rows; rows != 0; rows--) {
        const int8_t *a = image;
        for (uint32_t left = taps->columns; left != 0; left--) {
            es_tap_four(a, weights, sums);
            a += pixel_bytes;
            weights += tap_bytes;
        }
        image += taps->row_bytes;
    }
    for (uint32_t i = 0; i < 4; i++) {
        output[i] = es_requantize(sums[i], &channels[i], out);
    }
}

static int8_t make_one(const taps_t *taps, const int8_t *image, const int8_t *weights, const es_channel_t *channel,
                       const es_output_t *out) {
    uint32_t sum = (uint32_t)channel->bias;
    for (uint32_t y = 0; y < taps->rows; y++) {
        for (uint32_t x = 0; x < taps->columns; x++) {
            sum += (uint32_t)(image[y * taps->row_bytes + x * taps->pixel_bytes] * *weights);
            weights += taps->tap_bytes;
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
    const taps_t taps = taps_of(params);
    const int32_t count = params->in_c;
    for (int32_t batch = 0; batch < params->batches; batch++) {
        int32_t c = 0;
        for (; c + 4 <= count; c += 4) {
            make_four(&taps, input + c, weights + c, channels + c, &out, output + c);
        }
        for (; c < count; c++) {
            output[c] = make_one(&taps, input + c, weights + c, &channels[c], &out);
        }
        input += params->in_h * params->in_w * count;
        output += count;
    }
}
