#include "es_intrin.h"
#include "es_kernels.h"

enum {
    STEP = 8 /* bytes that a turn of the loop takes */
};

/* The same byte four times. */
static uint32_t four(int32_t byte) { return ((uint32_t)byte & 0xffU) * 0x01010101U; }

uint32_t es_threshold_s8(int8_t *data, uint32_t count, int32_t zero_point, uint32_t threshold, uint32_t *set_to_zero) {
    const int32_t reach = (int32_t)threshold;
    const int32_t low = zero_point - reach < -128 ? -128 : zero_point - reach;
    const int32_t high = zero_point + reach > 127 ? 127 : zero_point + reach;
    /* Outside low..high a code is more than high - low above low, modulo 256. */
    es_near_t near = {four(zero_point), four(low), four(high - low), 0, 0};
    const int8_t *from = data;
    for (; count >= STEP; count -= STEP) {
        uint32_t a, b;
        es_load_pair(from, 8, a, b);
        a = es_near_to_zero(a, &near);
        b = es_near_to_zero(b, &near);
        es_store_pair(data, 8, a, b);
    }
    for (; count != 0; count--, data++) {
        if (*data >= low && *data <= high) {
            near.equal += *data == zero_point;
            near.within++;
            *data = (int8_t)zero_point;
        }
    }
    *set_to_zero = near.within - near.equal;
    return near.within;
}
