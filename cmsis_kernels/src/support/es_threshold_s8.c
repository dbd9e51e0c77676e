#include "es_intrin.h"
#include "es_kernels.h"

enum {
    STEP = 8,   /* bytes that a turn of the loop takes */
    TURNS = 127 /* two words a turn: a byte of a sum counts at most 254 and so cannot pass 255 */
};

/* The threshold as the words that each byte is compared with and becomes. */
typedef struct {
    uint32_t low; /* least value that becomes zero */
    uint32_t
        span; /* from there to the greatest; both within int8, so that bytes outside are further from `low`, modulo 256 */
    uint32_t zero;
} limits_t;

/* Sum of four bytes. */
static uint32_t sum_bytes(uint32_t word) {
    const uint32_t pairs = (word & 0x00ff00ffU) + (word >> 8 & 0x00ff00ffU);
    return (pairs & 0xffffU) + (pairs >> 16);
}

/* One word: what it becomes; `equal` and `within` each count in every byte what was the zero point, and what is now. */
ES_INLINE uint32_t take_word(uint32_t word, const limits_t *limits, uint32_t *equal, uint32_t *within) {
    *equal = es_count_word(word, limits->zero, *equal);
    const uint32_t distance = es_usub8(word, limits->low);
    return es_choose_word(limits->span, distance, limits->zero, word, within);
}

uint32_t es_threshold_s8(int8_t *data, uint32_t count, int32_t zero_point, uint32_t threshold, uint32_t *set_to_zero) {
    const int32_t reach = (int32_t)threshold;
    const int32_t low = zero_point - reach < -128 ? -128 : zero_point - reach;
    const int32_t high = zero_point + reach > 127 ? 127 : zero_point + reach;
    const limits_t limits = {((uint32_t)low & 0xffU) * 0x01010101U, (uint32_t)(high - low) * 0x01010101U,
                             ((uint32_t)zero_point & 0xffU) * 0x01010101U};
    const int8_t *from = data;
    uint32_t before = 0, after = 0;
    while (count >= STEP) {
        uint32_t turns = count / STEP < TURNS ? count / STEP : TURNS;
        uint32_t equal = 0, within = 0;
        count -= turns * STEP;
        for (; turns != 0; turns--) {
            uint32_t first, second;
            es_load_pair(from, STEP, first, second);
            first = take_word(first, &limits, &equal, &within);
            second = take_word(second, &limits, &equal, &within);
            es_store_pair(data, STEP, first, second);
        }
        before += sum_bytes(equal);
        after += sum_bytes(within);
    }
    for (; count != 0; count--, data++) {
        if (*data >= low && *data <= high) {
            before += *data == zero_point;
            after++;
            *data = (int8_t)zero_point;
        }
    }
    *set_to_zero = after - before;
    return after;
}
