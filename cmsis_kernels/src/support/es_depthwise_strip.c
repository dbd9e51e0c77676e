#include "es_depthwise_strip.h"

/* One output channel of a strip. */
typedef struct {
    const int16_t *rows_at;
    const uint32_t *filter;
    const es_channel_t *channel;
} one_t;

/* Adds the products of one output. */
static int32_t accumulate_one(const es_depthwise_plan_t *plan, const uint32_t *filter, const int16_t *begin,
                              int32_t acc) {
    const uint32_t pitch = plan->pitch;
    for (uint32_t rows = plan->height; rows != 0; rows--) {
        const int16_t *a = begin;
        for (uint32_t pairs = plan->pairs; pairs != 0; pairs--) {
            uint32_t w;
            es_load_step(filter, 4, w);
            acc = es_smlad(w, es_read_u32(a), acc);
            a += 2;
        }
        begin += pitch;
    }
    return acc;
}

/* Adds the products of four outputs side by side. */
ES_INLINE void accumulate(const es_depthwise_plan_t *plan, const uint32_t *filter, const int16_t *begin,
                          uint32_t stride, int32_t acc[4]) {
    const uint32_t pitch = plan->pitch;
    const uint32_t pairs = plan->pairs;
    for (uint32_t rows = plan->height; rows != 0; rows--) {
        es_row_four(begin, &filter, pairs, stride, acc);
        begin += pitch;
    }
}

ES_INLINE void make_row(const es_depthwise_strip_t *strip, const one_t *one, const int16_t *a, uint32_t stride,
                        int8_t *output) {
    const es_channel_t *const channel = one->channel;
    const uint32_t out_c = (uint32_t)strip->plan->params.out_c;
    uint32_t left = (uint32_t)strip->plan->params.out_w;
    for (; left >= 4; left -= 4) {
        int32_t acc[4] = {channel->bias, channel->bias, channel->bias, channel->bias};
        accumulate(strip->plan, one->filter, a, stride, acc);
        for (uint32_t i = 0; i < 4; i += 2) {
            es_requantize_two(acc[i], acc[i + 1], channel, strip->out, output, out_c);
            output += 2 * out_c;
        }
        a += 4 * stride;
    }
    for (; left != 0; left--) {
        const int32_t acc = accumulate_one(strip->plan, one->filter, a, channel->bias);
        *output = es_requantize(acc, channel, strip->out);
        output += out_c;
        a += stride;
    }
}

/* Any filter, stride and requantisation. */
ES_APART void make_any(const es_depthwise_strip_t *strip, const one_t *one, int8_t *output) {
    const es_conv_params_t *const p = &strip->plan->params;
    const int16_t *a = one->rows_at;
    for (uint32_t row = 0; row < strip->rows; row++) {
        make_row(strip, one, a, (uint32_t)p->stride_w, output);
        a += (uint32_t)p->stride_h * strip->plan->pitch;
        output += p->out_w * p->out_c;
    }
}

static void make_anys(const es_depthwise_strip_t *strip, int8_t *output) {
    const es_depthwise_plan_t *const plan = strip->plan;
    one_t one = {strip->rows_at, strip->filters, strip->channels};
    for (uint32_t lane = 0; lane < plan->lanes; lane++) {
        for (uint32_t i = 0; i < plan->multiplier; i++) {
            make_any(strip, &one, output);
            one.filter += plan->filter;
            one.channel++;
            output++;
        }
        one.rows_at += plan->lane;
    }
}

es_three_t es_depthwise_three(const es_depthwise_plan_t *plan, const int16_t *rows_at) {
    const es_conv_params_t *const p = &plan->params;
    const es_three_t three = {
        .middle = rows_at + plan->pitch,
        .out_c = (uint32_t)p->out_c,
        .skip_bytes = 2 * plan->pitch * (uint32_t)p->stride_h - (uint32_t)p->out_w / 2 * 4 * (uint32_t)p->stride_w,
        .left = ((uint32_t)p->out_w - 2) << 8,
        .loop = plan->three ? es_three_loop(2 * plan->pitch, (uint32_t)p->stride_w) : 0,
        .pitch_bytes = 2 * plan->pitch,
        .stride_w = (uint32_t)p->stride_w,
    };
    return three;
}

static void make_threes(const es_depthwise_strip_t *strip, int8_t *output) {
    const es_depthwise_plan_t *const plan = strip->plan;
    const uint32_t lane = plan->lane, words = plan->filter, multiplier = plan->multiplier;
    const uint32_t *filter = strip->filters;
    const es_channel_t *channel = strip->channels;
    es_three_t three = strip->three;
    three.end = three.middle + strip->rows * (uint32_t)plan->params.stride_h * plan->pitch;
    uint32_t same = multiplier; /* output channels left that read the same input */
    for (const int8_t *const end = output + plan->lanes * multiplier; output != end; output++) {
        es_three_make(&three, filter, channel, output);
        filter += words;
        channel++;
        if (--same == 0) {
            same = multiplier;
            three.middle += lane;
            three.end += lane;
        }
    }
}

void es_depthwise_make_strip(const es_depthwise_strip_t *strip, int8_t *output) {
    if (strip->is_three) {
        make_threes(strip, output);
    } else {
        make_anys(strip, output);
    }
}
