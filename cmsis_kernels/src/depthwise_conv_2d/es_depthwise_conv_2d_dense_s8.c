#include "es_depthwise_strip.h"
#include "es_kernels.h"
#include "es_size.h"

/* A strip is as many output rows as have their widened input in STRIP_BYTES, at least one. */
enum {
    STRIP_BYTES = 4096
};

/* A column of pixels lies in memory just as a row does, and rows are what the inner loops are good at. */
static void turn(es_conv_params_t *p) {
    if (p->in_w != 1 || p->out_w != 1 || p->kernel_w != 1 || p->pad_left != 0) {
        return;
    }
    p->in_w = p->in_h, p->in_h = 1;
    p->out_w = p->out_h, p->out_h = 1;
    p->kernel_w = p->kernel_h, p->kernel_h = 1;
    p->stride_w = p->stride_h, p->stride_h = 1;
    p->dilation_w = p->dilation_h, p->dilation_h = 1;
    p->pad_left = p->pad_top, p->pad_top = 0;
}

/* The least of ES_THREE_PITCHES with `lanes` rows of `lane` int16; 0 where there is none. */
static uint32_t three_pitch(uint32_t lanes, uint32_t lane) {
    static const uint16_t pitches_bytes[] = {
#define ES_THREE_ROW(pitch_bytes) pitch_bytes,
        ES_THREE_PITCHES(ES_THREE_ROW)
#undef ES_THREE_ROW
    };
    const uint32_t wanted = es_size_mul(lanes, es_size_mul(lane, 2));
    for (uint32_t i = 0; i < sizeof pitches_bytes / sizeof pitches_bytes[0]; i++) {
        if (wanted <= pitches_bytes[i]) {
            return pitches_bytes[i] / 2U;
        }
    }
    return 0;
}

/* Two windows at a time read as far as the third word behind the last window's first column, or the second. */
static void plan_three(es_depthwise_plan_t *plan) {
    const es_conv_params_t *const p = &plan->params;
    if (p->kernel_h != 3 || p->kernel_w != 3 || p->dilation_h != 1 || p->dilation_w != 1 || p->out_w < 2 ||
        (p->stride_w != 1 && p->stride_w != 2)) {
        return;
    }
    const uint32_t out_w = (uint32_t)p->out_w;
    const uint32_t columns = p->stride_w == 1 ? es_size_add(out_w, 2 + out_w % 2) : es_size_mul(2, out_w + 1);
    const uint32_t pitch = three_pitch(plan->lanes, columns);
    if (pitch != 0) {
        plan->three = true;
        plan->pitch = pitch;
        plan->lane = pitch / plan->lanes;
    }
}

static es_depthwise_plan_t plan_of(const es_conv_params_t *params) {
    es_depthwise_plan_t plan = {.params = *params};
    es_conv_params_t *const p = &plan.params;
    turn(p);
    plan.lanes = p->in_c % 4 == 0 ? 4 : 1;
    plan.multiplier = p->in_c > 0 ? (uint32_t)p->out_c / (uint32_t)p->in_c : 0;
    plan.width = es_size_add(es_size_mul((uint32_t)p->kernel_w - 1, (uint32_t)p->dilation_w), 1);
    plan.height = es_size_add(es_size_mul((uint32_t)p->kernel_h - 1, (uint32_t)p->dilation_h), 1);
    plan.pairs = plan.width <= 2 ? 2 : plan.width / 2 + plan.width % 2;
    plan.filter = es_size_mul(plan.height, plan.pairs);
    const uint32_t steps = es_size_mul((uint32_t)p->out_w - 1, (uint32_t)p->stride_w);
    plan.lane = es_size_add(steps, es_size_mul(plan.pairs, 2));
    plan.lane = es_size_add(plan.lane, plan.lane % 2);
    plan.pitch = es_size_mul(plan.lanes, plan.lane);
    plan_three(&plan);

    const uint32_t row_bytes = es_size_mul(plan.pitch, 2);
    const uint32_t rows = row_bytes > STRIP_BYTES ? 0 : STRIP_BYTES / row_bytes;
    const uint32_t stride = p->stride_h > 0 ? (uint32_t)p->stride_h : 1; /* sizes are asked for unchecked params too */
    const uint32_t more = rows <= plan.height ? 0 : (rows - plan.height) / stride;
    plan.strip = more < (uint32_t)p->out_h ? more + 1 : (uint32_t)p->out_h;
    plan.in_rows = es_size_add(plan.height, es_size_mul(plan.strip - 1, stride));
    return plan;
}

uint32_t es_depthwise_conv_2d_dense_s8_get_buffer_size(const es_conv_params_t *params) {
    if (es_depthwise_is_window(params)) {
        return 0;
    }
    const es_depthwise_plan_t plan = plan_of(params);
    const uint32_t filters_bytes = es_size_mul(es_size_mul(plan.lanes, plan.multiplier), es_size_mul(plan.filter, 4));
    return es_size_add(es_size_mul(plan.in_rows, es_size_mul(plan.pitch, 2)), filters_bytes);
}

uint32_t es_depthwise_pitch_bytes(const es_conv_params_t *params) {
    const es_depthwise_plan_t plan = plan_of(params);
    return plan.three ? 2 * plan.pitch : 0;
}

/* Moves the rows of a full strip that the next one needs too to its beginning; returns how many. */
static uint32_t keep_rows(const es_depthwise_plan_t *plan, int16_t *rows_at) {
    const uint32_t done = plan->strip * (uint32_t)plan->params.stride_h;
    if (done >= plan->in_rows) {
        return 0;
    }
    const uint32_t kept = plan->in_rows - done;
    uint8_t *to = (uint8_t *)rows_at;
    const uint8_t *from = (const uint8_t *)(rows_at + done * plan->pitch);
    for (uint32_t words = kept * plan->pitch / 2; words != 0; words--) {
        uint32_t word;
        es_load_step(from, 4, word);
        es_write_u32(to, word);
        to += 4;
    }
    return kept;
}

/* All strips of one image, or the only one, whose inside is `whole`. */
static void make_image(es_depthwise_strip_t *strip, const es_depthwise_block_t *whole, const int8_t *image,
                       int8_t *output) {
    const es_depthwise_plan_t *const plan = strip->plan;
    const es_conv_params_t *const p = &plan->params;
    if (strip->rows == (uint32_t)p->out_h) {
        es_depthwise_widen_block(plan->lanes, whole, image);
        es_depthwise_make_strip(strip, output);
        return;
    }
    const uint32_t full = strip->rows;
    int32_t top = -p->pad_top;
    uint32_t kept = 0;
    for (uint32_t left = (uint32_t)p->out_h; left != 0;) {
        strip->rows = left < full ? left : full;
        const uint32_t in_rows = (strip->rows - 1) * (uint32_t)p->stride_h + plan->height;
        const es_depthwise_block_t block =
            es_depthwise_block(plan, top + (int32_t)kept, in_rows - kept, strip->rows_at + kept * plan->pitch);
        es_depthwise_widen_block(plan->lanes, &block, image);
        es_depthwise_make_strip(strip, output);
        top += (int32_t)strip->rows * p->stride_h;
        output += strip->rows * (uint32_t)(p->out_w * p->out_c);
        left -= strip->rows;
        kept = left == 0 ? 0 : keep_rows(plan, strip->rows_at);
    }
    strip->rows = full;
}

/* Widens the filters of `count` channels; true where they are for es_three_t. */
static bool widen_filters(const es_depthwise_strip_t *strip, const int8_t *weights, const es_channel_t *channels,
                          uint32_t first, uint32_t count, void *filters) {
    const es_depthwise_plan_t *const plan = strip->plan;
    bool three = strip->three.loop != 0;
    for (uint32_t i = 0; i < count && three; i++) {
        three = es_scale_of(&channels[first + i]).shift <= 31;
    }
    if (three) {
        es_depthwise_widen_threes(plan, weights, first, count, filters);
        return true;
    }
    /* Between the taps zeros stay zeros, but es_three_t has others there. */
    if (first == 0 || strip->three.loop != 0) {
        es_depthwise_fill(filters, 0, count * plan->filter);
    }
    es_depthwise_widen_filters(plan, weights, first, count, filters);
    return false;
}

/* es_three_make and es_windows_make saturate to int8 only. */
static void clamp_all(int8_t *output, uint32_t count, const es_output_t *out) {
    for (; count != 0; count--) {
        *output = (int8_t)es_clamp(*output, out->min, out->max);
        output++;
    }
}

void es_depthwise_conv_2d_dense_s8(const es_conv_params_t *params, const int8_t *input, const uint8_t *weights,
                                   const es_channel_t *channels, int8_t *output, void *scratch) {
    if (ES_HAS_depthwise_window && es_depthwise_is_window(params)) {
        es_depthwise_make_window(params, input, (const int8_t *)weights, channels, output);
        return;
    }
    const es_depthwise_plan_t plan = plan_of(params);
    const es_conv_params_t *const p = &plan.params;
    const es_output_t out = es_output(p->out_zero_point, p->act_min, p->act_max);
    const uint32_t count = plan.lanes * plan.multiplier;
    const uint32_t in_bytes = (uint32_t)(p->in_h * p->in_w * p->in_c);
    const uint32_t out_bytes = (uint32_t)(p->out_h * p->out_w * p->out_c);
    int16_t *const rows_at = scratch;
    /* Behind the rows: with a weight of zero, an odd filter reads one column more than the last row may have. */
    uint32_t *const filters = (uint32_t *)(void *)(rows_at + plan.in_rows * plan.pitch);
    es_depthwise_fill(rows_at, ((uint32_t)p->in_zero_point & 0xffffU) * 0x10001U, plan.in_rows * plan.pitch / 2);
    const es_depthwise_block_t whole = es_depthwise_block(&plan, -p->pad_top, plan.in_rows, rows_at);
    es_depthwise_strip_t strip = {&plan,
                                  &out,
                                  rows_at,
                                  filters,
                                  channels,
                                  plan.strip,
                                  false,
                                  es_depthwise_three(&plan, rows_at),
                                  es_depthwise_windows(&plan, rows_at)};
    const int8_t *image = input;
    for (uint32_t first = 0; first < (uint32_t)p->out_c; first += count) {
        strip.is_three = widen_filters(&strip, (const int8_t *)weights, channels, first, count, filters);
        for (uint32_t batch = 0; batch < (uint32_t)p->batches; batch++) {
            make_image(&strip, &whole, image + batch * in_bytes, output + first + batch * out_bytes);
        }
        image += plan.lanes;
        strip.channels += count;
    }
    if (out.short_limit == 0) {
        clamp_all(output, (uint32_t)p->batches * out_bytes, &out);
    }
}
