#include "es_depthwise_strip.h"

/* Adds the products of `count` (1 or 4) outputs side by side. */
ES_INLINE void accumulate(const es_depthwise_strip_t *strip, const int16_t *begin, uint32_t stride, uint32_t count,
                          int32_t acc[4]) {
    const uint32_t *filter = strip->filter;
    const uint32_t pitch = strip->plan->pitch;
    for (uint32_t rows = strip->plan->height; rows != 0; rows--) {
        const int16_t *a = begin;
        for (uint32_t pairs = strip->plan->pairs; pairs != 0; pairs--) {
            uint32_t w;
            es_load_step(filter, 4, w);
            acc[0] = es_smlad(w, es_read_u32(a), acc[0]);
            if (count == 4) {
                acc[1] = es_smlad(w, es_read_u32(a + stride), acc[1]);
                acc[2] = es_smlad(w, es_read_u32(a + 2 * stride), acc[2]);
                acc[3] = es_smlad(w, es_read_u32(a + 3 * stride), acc[3]);
            }
            a += 2;
        }
        begin += pitch;
    }
}

ES_INLINE void make_row(const es_depthwise_strip_t *strip, const int16_t *a, uint32_t stride, int8_t *output) {
    const es_channel_t *const channel = strip->channel;
    const uint32_t out_c = (uint32_t)strip->plan->params.out_c;
    uint32_t left = (uint32_t)strip->plan->params.out_w;
    for (; left >= 4; left -= 4) {
        int32_t acc[4] = {channel->bias, channel->bias, channel->bias, channel->bias};
        accumulate(strip, a, stride, 4, acc);
        es_requantize_two(acc[0], acc[1], channel, strip->out, output, out_c);
        es_requantize_two(acc[2], acc[3], channel, strip->out, output + 2 * out_c, out_c);
        output += 4 * out_c;
        a += 4 * stride;
    }
    for (; left != 0; left--) {
        int32_t acc[4] = {channel->bias, 0, 0, 0};
        accumulate(strip, a, stride, 1, acc);
        *output = es_requantize(acc[0], channel, strip->out);
        output += out_c;
        a += stride;
    }
}

/* Any filter, stride and requantisation. */
ES_APART void make_any(const es_depthwise_strip_t *strip, int8_t *output) {
    const es_conv_params_t *const p = &strip->plan->params;
    const int16_t *a = strip->plane;
    for (uint32_t row = 0; row < strip->rows; row++) {
        if (p->stride_w == 1) {
            make_row(strip, a, 1, output);
        } else if (p->stride_w == 2) {
            make_row(strip, a, 2, output);
        } else {
            make_row(strip, a, (uint32_t)p->stride_w, output);
        }
        a += (uint32_t)p->stride_h * strip->plan->pitch;
        output += p->out_w * p->out_c;
    }
}

/* Adds one row of taps (w0, w1), w2 to two neighbouring outputs, from the words (a0, a1), (a2, a3). At stride 1, where
 * `w2` is (w1, w2), the second output gets w0 a1 + (w1 a2 + w2 a3); at stride 2 (w0 a2 + w1 a3) + w2 a4.
 */
ES_INLINE void add_three(const int16_t **a, uint32_t w01, uint32_t w2, uint32_t stride, int32_t *acc0, int32_t *acc1) {
    uint32_t a01, a23;
    if (stride == 1) {
        es_load_pair(*a, 4, a01, a23);
        *acc0 = es_smlatb(w2, a23, es_smlad(w01, a01, *acc0));
        *acc1 = es_smlad(w2, a23, es_smlabt(w01, a01, *acc1));
    } else {
        es_load_pair(*a, 8, a01, a23);
        const uint32_t a45 = es_load_u32(*a);
        *acc0 = es_smlabb(w2, a23, es_smlad(w01, a01, *acc0));
        *acc1 = es_smlabb(w2, a45, es_smlad(w01, a23, *acc1));
    }
}

/* The second word of a filter's row as add_three wants it, from (w0, w1) and (w2, 0). */
ES_INLINE uint32_t last_weights(uint32_t w01, uint32_t w2, uint32_t stride) {
    return stride == 1 ? w01 >> 16 | w2 << 16 : w2;
}

/* 3 x 3 taps, stride 1 or 2, short requantisation: two outputs at a time, the weights in registers. */
ES_INLINE void make_three(const es_depthwise_strip_t *strip, uint32_t stride, int8_t *output) {
    const es_conv_params_t *const p = &strip->plan->params;
    const uint32_t *const w = strip->filter;
    const uint32_t w0 = es_load_u32(w), w2 = es_load_u32(w + 2), w4 = es_load_u32(w + 4);
    const uint32_t w1 = last_weights(w0, es_load_u32(w + 1), stride);
    const uint32_t w3 = last_weights(w2, es_load_u32(w + 3), stride);
    const uint32_t w5 = last_weights(w4, es_load_u32(w + 5), stride);
    const es_scale_t scale = es_scale_of(strip->channel);
    const int32_t bias = strip->channel->bias;
    const int16_t *begin = strip->plane;
    for (uint32_t rows = strip->rows; rows != 0; rows--) {
        const int16_t *a0 = begin, *a1 = a0 + strip->plan->pitch, *a2 = a1 + strip->plan->pitch;
        int8_t *to = output;
        uint32_t out_c = (uint32_t)p->out_c;
        for (int32_t left = p->out_w; left > 0; left -= 2) {
            int32_t acc0 = bias, acc1 = bias;
            add_three(&a0, w0, w1, stride, &acc0, &acc1);
            es_sequence(acc1, a1);
            add_three(&a1, w2, w3, stride, &acc0, &acc1);
            es_sequence(acc1, a2);
            add_three(&a2, w4, w5, stride, &acc0, &acc1);
            to[0] = (int8_t)es_requantize_short(acc0, &scale);
            if (left == 1) {
                break;
            }
            es_opaque(out_c); /* no pointer of its own for the second output */
            to[out_c] = (int8_t)es_requantize_short(acc1, &scale);
            to += 2 * out_c;
        }
        begin += (uint32_t)p->stride_h * strip->plan->pitch;
        output += p->out_w * p->out_c;
    }
}

ES_APART void make_three_by_one(const es_depthwise_strip_t *strip, int8_t *output) { make_three(strip, 1, output); }

ES_APART void make_three_by_two(const es_depthwise_strip_t *strip, int8_t *output) { make_three(strip, 2, output); }

void es_depthwise_make_strip(const es_depthwise_strip_t *strip, int8_t *output) {
    const es_depthwise_plan_t *const plan = strip->plan;
    const es_scale_t scale = es_scale_of(strip->channel);
    const bool three = plan->height == 3 && plan->width == 3 && es_scale_is_short(&scale, strip->out);
    if (three && plan->params.stride_w == 1) {
        make_three_by_one(strip, output);
    } else if (three && plan->params.stride_w == 2) {
        make_three_by_two(strip, output);
    } else {
        make_any(strip, output);
    }
}
