#include "es_depthwise_strip.h"

void es_depthwise_fill(int16_t *to, int32_t value, uint32_t count) {
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

void es_depthwise_widen_filters(const es_depthwise_plan_t *plan, const int8_t *weights, uint32_t first, uint32_t count,
                                int16_t *to) {
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

void es_depthwise_widen_row(const es_depthwise_plan_t *plan, const int8_t *image, int32_t y, int16_t *to) {
    const es_conv_params_t *const p = &plan->params;
    const uint32_t left = (uint32_t)p->pad_left < plan->pitch ? (uint32_t)p->pad_left : plan->pitch;
    const uint32_t room = plan->pitch - left;
    const uint32_t count = room < (uint32_t)p->in_w ? room : (uint32_t)p->in_w;
    to += left;
    if (y < 0 || y >= p->in_h) {
        for (uint32_t lane = 0; lane < plan->lanes && plan->strip < (uint32_t)p->out_h; lane++) {
            es_depthwise_fill(to + lane * plan->plane, p->in_zero_point, count);
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
