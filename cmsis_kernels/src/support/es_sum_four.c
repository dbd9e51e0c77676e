#include "es_sum_four.h"

/* Channels 0 and 2, and 1 and 3, summed in the lanes of two words. */
typedef struct {
    uint32_t even, odd;
} lanes_t;

/* 252 values of at least -128 are no less than -32256, so that lanes stay apart. */
enum {
    MOST_TAPS = 252
};

ES_INLINE void add_tap(lanes_t *lanes, const int8_t *a) {
    const uint32_t word = es_read_u32(a);
    lanes->even = es_sxtab16(lanes->even, word);
    lanes->odd = es_sxtab16_ror8(lanes->odd, word);
}

/* A run of `count` pixels; returns where it ends. */
ES_INLINE const int8_t *add_run(lanes_t *lanes, const int8_t *a, uint32_t step_bytes, uint32_t count) {
    for (uint32_t fours = count / 4; fours != 0; fours--) {
        add_tap(lanes, a);
        add_tap(lanes, a + step_bytes);
        a += 2 * step_bytes;
        es_opaque(a); /* no offsets of their own for the other two */
        add_tap(lanes, a);
        add_tap(lanes, a + step_bytes);
        a += 2 * step_bytes;
        es_opaque(a);
    }
    for (count &= 3U; count != 0; count--) {
        add_tap(lanes, a);
        a += step_bytes;
    }
    return a;
}

static void empty(lanes_t *lanes, int32_t sums[4]) {
    sums[0] = (int32_t)((uint32_t)sums[0] + (uint32_t)(int16_t)(lanes->even & 0xffffU));
    sums[1] = (int32_t)((uint32_t)sums[1] + (uint32_t)(int16_t)(lanes->odd & 0xffffU));
    sums[2] = (int32_t)((uint32_t)sums[2] + (uint32_t)(int16_t)(lanes->even >> 16));
    sums[3] = (int32_t)((uint32_t)sums[3] + (uint32_t)(int16_t)(lanes->odd >> 16));
    lanes->even = lanes->odd = 0;
}

/* Rows that lie one behind the other are one row. */
static es_taps_t joined(const es_taps_t *taps) {
    es_taps_t result = *taps;
    if (taps->row_bytes == taps->columns * taps->step_bytes) {
        result.columns *= result.rows;
        result.rows = 1;
    }
    return result;
}

void es_sum_four(const es_taps_t *taps, int32_t sums[4]) {
    const es_taps_t t = joined(taps);
    lanes_t lanes = {0, 0};
    uint32_t room = MOST_TAPS;
    sums[0] = sums[1] = sums[2] = sums[3] = 0;
    for (uint32_t y = 0; y < t.rows; y++) {
        const int8_t *a = t.first + y * t.row_bytes;
        for (uint32_t left = t.columns; left != 0;) {
            if (room == 0) {
                empty(&lanes, sums);
                room = MOST_TAPS;
            }
            const uint32_t count = left < room ? left : room;
            a = add_run(&lanes, a, t.step_bytes, count);
            left -= count;
            room -= count;
        }
    }
    empty(&lanes, sums);
}

int32_t es_sum_one(const es_taps_t *taps) {
    const es_taps_t t = joined(taps);
    int32_t sum = 0;
    for (uint32_t y = 0; y < t.rows; y++) {
        const int8_t *a = t.first + y * t.row_bytes;
        for (uint32_t left = t.columns; left != 0; left--) {
            sum += *a;
            a += t.step_bytes;
        }
    }
    return sum;
}
