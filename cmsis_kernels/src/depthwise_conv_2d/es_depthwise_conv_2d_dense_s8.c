#include "es_kernels.h"
#include "es_requant.h"
#include "es_size.h"

/* Channels are taken apart: for `lanes` input channels at a time, the input rows that a strip of output rows needs lie
 * in scratch as int16, between zero points; two neighbours of a row are then one SMLAD. The filters of these channels
 * are widened to pairs of taps beside them, with zeros between the taps of a dilated filter and after those of an odd
 * one.
 *
 * A strip is as many output rows as fit into STRIP_BYTES, at least one. Rows that two strips need are widened twice.
 */
enum { STRIP_BYTES = 4096 };

typedef struct {
    es_conv_params_t params; /* as given, or turned by a quarter where both images are one column wide */
    uint32_t lanes;          /* input channels at a time: 4, or 1 where in_c is no multiple of 4 */
    uint32_t multiplier;     /* output channels of an input channel */
    uint32_t width;          /* columns from the filter's first to its last */
    uint32_t height;         /* rows likewise */
    uint32_t pairs;          /* words of a filter's row */
    uint32_t pitch;          /* int16 of a widened row, even */
    uint32_t strip;          /* output rows at a time */
    uint32_t plane;          /* int16 of a channel's rows for a strip */
    uint32_t filter;         /* words of a widened filter */
} plan_t;

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

static plan_t plan_of(const es_conv_params_t *params) {
    plan_t plan = {.params = *params};
    es_conv_params_t *const p = &plan.params;
    turn(p);
    plan.lanes = p->in_c % 4 == 0 ? 4 : 1;
    plan.multiplier = p->in_c > 0 ? (uint32_t)p->out_c / (uint32_t)p->in_c : 0;
    plan.width = es_size_add(es_size_mul((uint32_t)p->kernel_w - 1, (uint32_t)p->dilation_w), 1);
    plan.height = es_size_add(es_size_mul((uint32_t)p->kernel_h - 1, (uint32_t)p->dilation_h), 1);
    plan.pairs = plan.width / 2 + plan.width % 2;
    plan.filter = es_size_mul(plan.height, plan.pairs);
    /* One word more: two outputs at a time read the columns of a last one that may not be there. */
    const uint32_t steps = es_size_mul((uint32_t)p->out_w - 1, (uint32_t)p->stride_w);
    plan.pitch = es_size_round4(es_size_add(steps, es_size_mul(plan.pairs + 1, 2)));

    const uint32_t row_bytes = es_size_mul(plan.lanes, es_size_mul(plan.pitch, 2));
    const uint32_t rows = row_bytes > STRIP_BYTES ? 0 : STRIP_BYTES / row_bytes;
    const uint32_t more = rows <= plan.height ? 0 : (rows - plan.height) / (uint32_t)p->stride_h;
    plan.strip = more < (uint32_t)p->out_h ? more + 1 : (uint32_t)p->out_h;
    const uint32_t in_rows = es_size_add(plan.height, (plan.strip - 1) * (uint32_t)p->stride_h);
    plan.plane = es_size_mul(in_rows, plan.pitch);
    return plan;
}

uint32_t es_depthwise_conv_2d_dense_s8_get_buffer_size(const es_conv_params_t *params) {
    const plan_t plan = plan_of(params);
    const uint32_t filters_bytes = es_size_mul(plan.multiplier, es_size_mul(plan.filter, 4));
    return es_size_mul(plan.lanes, es_size_add(es_size_mul(plan.plane, 2), filters_bytes));
}

static void fill(int16_t *to, int32_t value, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        to[i] = (int16_t)value;
    }
}

/* Four bytes at each of `count` places, `step_bytes` apart, to four rows of int16 that are `pitch` apart. */
static void widen_four(const int8_t *from, uint32_t step_bytes, uint32_t count, int16_t *to, uint32_t pitch) {
    int16_t *to1 = to + pitch;
    int16_t *to2 = to1 + pitch;
    int16_t *to3 = to2 + pitch;
    for (; count >= 2; count -= 2) {
        const uint32_t a = es_read_u32(from);
        const uint32_t b = es_read_u32(from + step_bytes);
        const uint32_t low = es_pkhbt(a, b);
        const uint32_t high = es_pkhtb(a, b);
        from += 2 * step_bytes;
        es_write_u32(to, es_sxtb16(low));
        es_write_u32(to1, es_sxtb16_ror8(low));
        es_write_u32(to2, es_sxtb16(high));
        es_write_u32(to3, es_sxtb16_ror8(high));
        to += 2;
        to1 += 2;
        to2 += 2;
        to3 += 2;
    }
    if (count != 0) {
        *to = from[0];
        *to1 = from[1];
        *to2 = from[2];
        *to3 = from[3];
    }
}

/* Widens `count` filters, from output channel `first` on; zeros between and after taps are there from the start. */
static void widen_filters(const plan_t *plan, const int8_t *weights, uint32_t first, uint32_t count, int16_t *to) {
    const es_conv_params_t *const p = &plan->params;
    const uint32_t tap_bytes = ((uint32_t)p->out_c + 3) & ~3U;
    const uint32_t filter = plan->filter * 2;
    weights += first;
    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        if (count % 4 == 0 && p->dilation_w == 1) {
            for (uint32_t i = 0; i < count; i += 4) {
                widen_four(weights + i, tap_bytes, (uint32_t)p->kernel_w, to + i * filter, filter);
            }
            weights += (uint32_t)p->kernel_w * tap_bytes;
        } else {
            for (int32_t kx = 0; kx < p->kernel_w; kx++) {
                for (uint32_t i = 0; i < count; i++) {
                    to[i * filter + (uint32_t)(kx * p->dilation_w)] = weights[i];
                }
                weights += tap_bytes;
            }
        }
        to += 2 * plan->pairs * (uint32_t)p->dilation_h;
    }
}

/* Widens input row y of `lanes` channels. What is outside is zero points from the start; columns stay so, and rows as
 * well where there is but one strip.
 */
static void widen_row(const plan_t *plan, const int8_t *image, int32_t y, int16_t *to) {
    const es_conv_params_t *const p = &plan->params;
    const uint32_t left = (uint32_t)p->pad_left < plan->pitch ? (uint32_t)p->pad_left : plan->pitch;
    const uint32_t room = plan->pitch - left;
    const uint32_t count = room < (uint32_t)p->in_w ? room : (uint32_t)p->in_w;
    to += left;
    if (y < 0 || y >= p->in_h) {
        for (uint32_t lane = 0; lane < plan->lanes && plan->strip < (uint32_t)p->out_h; lane++) {
            fill(to + lane * plan->plane, p->in_zero_point, count);
        }
        return;
    }
    const int8_t *from = image + y * p->in_w * p->in_c;
    if (plan->lanes == 4) {
        widen_four(from, (uint32_t)p->in_c, count, to, plan->plane);
        return;
    }
    for (uint32_t x = 0; x < count; x++) {
        to[x] = *from;
        from += p->in_c;
    }
}

/* A strip of one output channel. */
typedef struct {
    const plan_t *plan;
    const es_output_t *out;
    const int16_t *plane;
    const uint32_t *filter;
    const es_channel_t *channel;
    uint32_t rows;
} strip_t;

/* Adds the products of `count` (1 or 4) outputs side by side. */
ES_INLINE void accumulate(const strip_t *strip, const int16_t *begin, uint32_t stride, uint32_t count,
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

ES_INLINE void make_row(const strip_t *strip, const int16_t *a, uint32_t stride, int8_t *output) {
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
ES_APART void make_any(const strip_t *strip, int8_t *output) {
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

/* 3 x 3 taps, stride 1 or 2, short requantisation: two outputs at a time, the weights in registers. */
ES_INLINE void make_three(const strip_t *strip, uint32_t stride, int8_t *output) {
    const es_conv_params_t *const p = &strip->plan->params;
    const uint32_t *const w = strip->filter;
    const uint32_t w0 = w[0], w2 = w[2], w4 = w[4];
    const uint32_t w1 = stride == 1 ? w0 >> 16 | w[1] << 16 : w[1];
    const uint32_t w3 = stride == 1 ? w2 >> 16 | w[3] << 16 : w[3];
    const uint32_t w5 = stride == 1 ? w4 >> 16 | w[5] << 16 : w[5];
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

ES_APART void make_three_by_one(const strip_t *strip, int8_t *output) {
    make_three(strip, 1, output);
}

ES_APART void make_three_by_two(const strip_t *strip, int8_t *output) {
    make_three(strip, 2, output);
}

/* A strip of all output channels of `lanes` input channels. */
static void make_strip(strip_t strip, int8_t *output) {
    const plan_t *const plan = strip.plan;
    const bool three = plan->height == 3 && plan->width == 3 && plan->params.stride_w <= 2;
    for (uint32_t lane = 0; lane < plan->lanes; lane++) {
        for (uint32_t i = 0; i < plan->multiplier; i++) {
            const es_scale_t scale = es_scale_of(strip.channel);
            if (!three || !es_scale_is_short(&scale, strip.out)) {
                make_any(&strip, output);
            } else if (plan->params.stride_w == 1) {
                make_three_by_one(&strip, output);
            } else {
                make_three_by_two(&strip, output);
            }
            strip.filter += plan->filter;
            strip.channel++;
            output++;
        }
        strip.plane += plan->plane;
    }
}

void es_depthwise_conv_2d_dense_s8(const es_conv_params_t *params, const int8_t *input, const uint8_t *weights,
                                   const es_channel_t *channels, int8_t *output, void *scratch) {
    const plan_t plan = plan_of(params);
    const es_conv_params_t *const p = &plan.params;
    const es_output_t out = es_output(p->out_zero_point, p->act_min, p->act_max);
    const uint32_t count = plan.lanes * plan.multiplier;
    uint32_t *const filters = scratch;
    int16_t *const planes = (int16_t *)(void *)(filters + count * plan.filter);
    fill((int16_t *)(void *)filters, 0, count * plan.filter * 2);
    fill(planes, p->in_zero_point, plan.lanes * plan.plane);
    for (uint32_t first = 0; first < (uint32_t)p->out_c; first += count) {
        const int8_t *image = input + first / plan.multiplier;
        int8_t *to = output + first;
        widen_filters(&plan, (const int8_t *)weights, first, count, (int16_t *)(void *)filters);
        for (int32_t batch = 0; batch < p->batches; batch++) {
            uint32_t left = (uint32_t)p->out_h;
            int32_t top = -p->pad_top;
            while (left != 0) {
                const uint32_t rows = left < plan.strip ? left : plan.strip;
                const uint32_t in_rows = (rows - 1) * (uint32_t)p->stride_h + plan.height;
                for (uint32_t i = 0; i < in_rows; i++) {
                    widen_row(&plan, image, top + (int32_t)i, planes + i * plan.pitch);
                }
                make_strip((strip_t){&plan, &out, planes, filters, channels + first, rows}, to);
                top += (int32_t)rows * p->stride_h;
                to += rows * (uint32_t)(p->out_w * p->out_c);
                left -= rows;
            }
            image += p->in_h * p->in_w * p->in_c;
        }
    }
}
