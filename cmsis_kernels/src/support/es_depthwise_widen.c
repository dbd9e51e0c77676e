#include "es_depthwise_strip.h"

void es_depthwise_widen_threes(const es_depthwise_plan_t *plan, const int8_t *weights, uint32_t first, uint32_t count,
                               uint32_t *to) {
    const uint32_t tap_bytes = ((uint32_t)plan->params.out_c + 3) & ~3U;
    const int8_t *tap = weights + first;
    for (; count >= 4; count -= 4) {
        es_three_widen_four(tap, tap_bytes, to);
        tap += 4;
        to += 4 * plan->filter;
    }
    for (; count != 0; count--) {
        es_three_widen(tap, tap_bytes, to);
        tap++;
        to += plan->filter;
    }
}

/* Rows of four channels. */
ES_INLINE void widen_fours(const es_depthwise_block_t *block, const int8_t *from) {
    const uint32_t pixel_bytes = block->pixel_bytes, row_bytes = block->row_bytes;
    const uint32_t columns = block->columns, lane = block->lane, pitch = block->pitch;
    int16_t *to = block->to;
    for (uint32_t left = block->rows; left != 0; left--) {
        es_widen_four(from, pixel_bytes, columns, to, lane);
        from += row_bytes;
        to += pitch;
    }
}

/* Neighbouring bytes to neighbouring int16, four at a time. */
static void widen_plane(const es_depthwise_block_t *block, const int8_t *image) {
    for (uint32_t y = 0; y < block->rows; y++) {
        const int8_t *from = image + y * block->row_bytes;
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

/* Rows of one channel of several. */
static void widen_one(const es_depthwise_block_t *block, const int8_t *from) {
    int16_t *to = block->to;
    for (uint32_t rows = block->rows; rows != 0; rows--) {
        for (uint32_t x = 0; x < block->columns; x++) {
            to[x] = from[x * block->pixel_bytes];
        }
        from += block->row_bytes;
        to += block->pitch;
    }
}

void es_depthwise_widen_block(uint32_t lanes, const es_depthwise_block_t *block, const int8_t *image) {
    const int8_t *const from = image + block->from;
    if (block->columns == 0) {
        return;
    }
    if (lanes == 4) {
        widen_fours(block, from);
    } else if (block->pixel_bytes == 1) {
        widen_plane(block, from);
    } else {
        widen_one(block, from);
    }
}
