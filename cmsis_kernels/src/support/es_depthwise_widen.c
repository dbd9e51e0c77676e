#include "es_depthwise_strip.h"
#include "es_intrin_depthwise.h"

void es_depthwise_fill(void *to, uint32_t word, uint32_t words) {
    uint8_t *at = to;
    for (; words >= 4; words -= 4) {
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
    const uint32_t filter = plan->filter * 2;
    weights += first;
    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        for (int32_t kx = 0; kx < p->kernel_w; kx++) {
            for (uint32_t i = 0; i < count; i++) {
                to[i * filter + (uint32_t)(kx * p->dilation_w)] = weights[i];
            }
            weights += tap_bytes;
        }
        to += 2 * plan->pairs * (uint32_t)p->dilation_h;
    }
}

/* Two taps of four channels to a word of each filter, twice each. */
ES_INLINE void widen_taps(uint32_t a, uint32_t b, uint32_t *to, uint32_t filter) {
    const uint32_t low = es_pkhbt(a, b), high = es_pkhtb(a, b);
    to[0] = es_sxtab16(es_sxtb16(low), low);
    to[filter] = es_sxtab16_ror8(es_sxtb16_ror8(low), low);
    to[2 * filter] = es_sxtab16(es_sxtb16(high), high);
    to[3 * filter] = es_sxtab16_ror8(es_sxtb16_ror8(high), high);
}

void es_depthwise_widen_threes(const es_depthwise_plan_t *plan, const int8_t *weights, uint32_t first, uint32_t count,
                               uint32_t *to) {
    const uint32_t tap_bytes = ((uint32_t)plan->params.out_c + 3) & ~3U;
    uint32_t i = 0;
    for (; i + 4 <= count; i += 4) {
        const int8_t *tap = weights + first + i;
        for (uint32_t ky = 0; ky < 3; ky++) {
            const uint32_t w0 = es_read_u32(tap), w1 = es_read_u32(tap + tap_bytes);
            const uint32_t w2 = es_read_u32(tap + 2 * tap_bytes);
            widen_taps(w0, w1, to, 6);
            widen_taps(w1, w2, to + 1, 6);
            tap += 3 * tap_bytes;
            to += 2;
        }
        to += 18;
    }
    for (; i < count; i++) {
        const int8_t *tap = weights + first + i;
        for (uint32_t ky = 0; ky < 3; ky++) {
            const int32_t w1 = tap[tap_bytes];
            to[0] = ((uint32_t)tap[0] * 2 & 0xffffU) | (uint32_t)w1 << 17;
            to[1] = ((uint32_t)w1 * 2 & 0xffffU) | (uint32_t)tap[2 * tap_bytes] << 17;
            tap += 3 * tap_bytes;
            to += 2;
        }
    }
}

/* Rows inside the image, `columns` of each, to where `left` columns of padding are before them. */
typedef struct {
    const int8_t *from;
    int16_t *to;
    uint32_t rows, columns;
    uint32_t row_bytes; /* of the image */
    uint32_t pixel_bytes;
    uint32_t pitch;
} block_t;

ES_INLINE void widen_fours(const block_t *block, const uint32_t lane) {
    const int8_t *from = block->from;
    int16_t *to = block->to;
    for (uint32_t left = block->rows; left != 0; left--) {
        es_widen_four(from, block->pixel_bytes, block->columns, to, lane);
        from += block->row_bytes;
        to += 4 * lane;
    }
}

/* Rows of four channels at one of the pitches of ES_THREE_PITCHES are widened by loops that know it. */
static void widen_threes(const block_t *block) {
    switch (block->pitch * 2) {
#define ES_THREE_ROW(pitch_bytes)              \
    case pitch_bytes:                          \
        widen_fours(block, (pitch_bytes) / 8); \
        return;
        ES_THREE_PITCHES(ES_THREE_ROW)
#undef ES_THREE_ROW
        default:
            return;
    }
}

static void widen_any(const block_t *block, uint32_t lanes) {
    const uint32_t lane = block->pitch / lanes;
    for (uint32_t y = 0; y < block->rows; y++) {
        for (uint32_t i = 0; i < lanes; i++) {
            const int8_t *from = block->from + y * block->row_bytes + i;
            int16_t *to = block->to + y * block->pitch + i * lane;
            for (uint32_t left = block->columns; left != 0; left--) {
                *to++ = *from;
                from += block->pixel_bytes;
            }
        }
    }
}

/* Neighbouring bytes to neighbouring int16, four at a time. */
static void widen_plane(const block_t *block) {
    for (uint32_t y = 0; y < block->rows; y++) {
        const int8_t *from = block->from + y * block->row_bytes;
        int16_t *to = block->to + y * block->pitch;
        uint32_t left = block->columns;
        for (; left >= 4; left -= 4) {
            const uint32_t word = es_read_u32(from);
            const uint32_t even = es_sxtb16(word), odd = es_sxtb16_ror8(word);
            es_write_u32(to, es_pkhbt(even, odd));
            es_write_u32(to + 2, es_pkhtb(even, odd));
            from += 4;
            to += 4;
        }
        for (; left != 0; left--) {
            *to++ = *from++;
        }
    }
}

static void widen_block(const es_depthwise_plan_t *plan, const block_t *block) {
    if (plan->lanes == 4 && plan->three) {
        widen_threes(block);
    } else if (block->pixel_bytes == 1) {
        widen_plane(block);
    } else {
        widen_any(block, plan->lanes);
    }
}

static uint32_t lesser(uint32_t a, uint32_t b) { return a < b ? a : b; }

void es_depthwise_widen_rows(const es_depthwise_plan_t *plan, const int8_t *image, int32_t y, uint32_t count,
                             int16_t *to) {
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
    if (inside == 0) {
        return;
    }
    const block_t block = {
        .from = image + first * (uint32_t)(p->in_w * p->in_c),
        .to = to + above * plan->pitch + left,
        .rows = inside,
        .columns = lesser(plan->lane - left, (uint32_t)p->in_w),
        .row_bytes = (uint32_t)(p->in_w * p->in_c),
        .pixel_bytes = (uint32_t)p->in_c,
        .pitch = plan->pitch,
    };
    if (block.columns != 0) {
        widen_block(plan, &block);
    }
}
