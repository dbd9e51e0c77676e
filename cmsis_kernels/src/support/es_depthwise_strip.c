#include "es_depthwise_strip.h"

/* One window. */
static int32_t accumulate(const es_depthwise_plan_t *plan, const uint32_t *filter, const int16_t *begin, int32_t acc) {
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

/* One output channel, window by window: any filter, stride and requantisation. */
ES_APART void make_any(const es_depthwise_strip_t *strip, const int16_t *rows_at, const uint32_t *filter,
                       const es_channel_t *channel, int8_t *output) {
    const es_conv_params_t *const p = &strip->plan->params;
    for (uint32_t row = 0; row < strip->rows; row++) {
        const int16_t *a = rows_at;
        for (int32_t left = p->out_w; left != 0; left--) {
            *output = es_requantize(accumulate(strip->plan, filter, a, channel->bias), channel, strip->out);
            output += p->out_c;
            a += p->stride_w;
        }
        rows_at += (uint32_t)p->stride_h * strip->plan->pitch;
    }
}

es_windows_t es_depthwise_windows(const es_depthwise_plan_t *plan, const int16_t *rows_at) {
    const es_conv_params_t *const p = &plan->params;
    const uint32_t stride_bytes = 2 * (uint32_t)p->stride_w, pitch_bytes = 2 * plan->pitch;
    const uint32_t out_w = (uint32_t)p->out_w;
    const bool fits = out_w - 4 < 1U << 22 && stride_bytes <= 4; /* 4 windows at least, and `left` is positive */
    const es_windows_t windows = {
        .first = rows_at,
        .height = plan->height,
        .pairs = plan->pairs,
        .row_skip_bytes = pitch_bytes - 4 * plan->pairs,
        .out_c = (uint32_t)p->out_c,
        .next_bytes = 4 * stride_bytes - pitch_bytes * (plan->height - 1) - 4 * plan->pairs,
        .left = (out_w - 4) << 9 | (stride_bytes & 4U) << 6,
        .next_row_bytes = pitch_bytes * (uint32_t)p->stride_h - out_w * stride_bytes,
        .rows = fits ? plan->strip : 0,
        .stride_bytes = stride_bytes,
    };
    return windows;
}

static void make_anys(const es_depthwise_strip_t *strip, int8_t *output) {
    const es_depthwise_plan_t *const plan = strip->plan;
    const uint32_t lane = plan->lane, words = plan->filter, multiplier = plan->multiplier;
    const uint32_t *filter = strip->filters;
    const es_channel_t *channel = strip->channels;
    es_windows_t windows = strip->windows;
    const bool fours = ES_HAS_depthwise_general && windows.rows != 0;
    windows.rows = strip->rows;
    uint32_t same = multiplier; /* output channels left that read the same input */
    for (const int8_t *const end = output + plan->lanes * multiplier; output != end; output++) {
        if (fours && es_scale_of(channel).shift <= 31) {
            es_windows_make(&windows, filter, channel, output);
        } else {
            make_any(strip, windows.first, filter, channel, output);
        }
        filter += words;
        channel++;
        if (--same == 0) {
            same = multiplier;
            windows.first += lane;
        }
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
