#include "es_depthwise_strip.h"

void es_depthwise_fill(void *to, uint32_t word, uint32_t words) {
    uint8_t *at = to;
    for (; words >= 8; words -= 8) {
        es_store_pair(at, 8, word, word);
        es_store_pair(at, 8, word, word);
        es_store_pair(at, 8, word, word);
        es_store_pair(at, 8, word, word);
    }
    for (; words != 0; words--) {
        es_write_u32(at, word);
        at += 4;
    }
}

void es_depthwise_widen_filters(const es_depthwise_plan_t *plan, const int8_t *weights, uint32_t first, uint32_t count,
                                int16_t *to) {
    const es_conv_params_t *const p = &plan->params;
    const uint32_t tap_bytes = ((uint32_t)p->out_c + 3) & ~3U;
    const uint32_t taps = (uint32_t)p->kernel_w, rows = (uint32_t)p->kernel_h, step = (uint32_t)p->dilation_w;
    const uint32_t lane = 2 * plan->filter, pitch = 2 * plan->pairs * (uint32_t)p->dilation_h;
    es_depthwise_block_t block = {0, to, rows, taps, taps * tap_bytes, tap_bytes, lane, pitch};
    weights += first;
    for (; count >= 4 && step == 1; count -= 4) {
        es_depthwise_widen_block(4, &block, weights);
        weights += 4;
        block.to += 4 * lane;
    }
    for (; count != 0; count--) {
        for (uint32_t tap = 0; tap < rows * taps; tap++) {
            block.to[tap / taps * pitch + tap % taps * step] = weights[tap * tap_bytes];
        }
        weights++;
        block.to += lane;
    }
}

static uint32_t lesser(uint32_t a, uint32_t b) { return a < b ? a : b; }

es_depthwise_block_t es_depthwise_block(const es_depthwise_plan_t *plan, int32_t y, uint32_t count, int16_t *to) {
    const es_conv_params_t *const p = &plan->params;
    const uint32_t above = y >= 0 ? 0 : lesser((uint32_t)-y, count);
    const uint32_t first = (uint32_t)y + above; /* inside, unless all rows are above or below */
    const uint32_t inside = first >= (uint32_t)p->in_h ? 0 : lesser((uint32_t)p->in_h - first, count - above);
    const uint32_t left = lesser((uint32_t)p->pad_left, plan->lane);
    if (plan->strip < (uint32_t)p->out_h) {
        const uint32_t word = ((uint32_t)p->in_zero_point & 0xffffU) * 0x10001U;
        const uint32_t words = plan->pitch / 2;
        es_depthwise_fill(to, word, above * words);
        es_depthwise_fill(to + (above + inside) * plan->pitch, word, (count - above - inside) * words);
    }
    const es_depthwise_block_t block = {
        .from = inside == 0 ? 0 : first * (uint32_t)(p->in_w * p->in_c),
        .to = to + above * plan->pitch + left,
        .rows = inside,
        .columns = inside == 0 ? 0 : lesser(plan->lane - left, (uint32_t)p->in_w),
        .row_bytes = (uint32_t)(p->in_w * p->in_c),
        .pixel_bytes = (uint32_t)p->in_c,
        .lane = plan->lane,
        .pitch = plan->pitch,
    };
    return block;
}
