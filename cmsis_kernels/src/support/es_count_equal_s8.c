#include "es_intrin.h"
#include "es_kernels.h"

/* Adds 1 to each byte of `sum` whose byte of the next two words equals that of `key`: their exclusive or is 0 there,
 * and 1 - x saturates to 0 everywhere else.
 */
ES_INLINE uint32_t add_equal(uint32_t sum, const int8_t **data, uint32_t key) {
    uint32_t low, high;
    es_load_pair(*data, 8, low, high);
    sum += es_uqsub8(0x01010101U, low ^ key);
    return sum + es_uqsub8(0x01010101U, high ^ key);
}

/* Sum of four bytes; no sum of two passes 510, no sum of four 1020. */
static uint32_t sum_bytes(uint32_t word) {
    const uint32_t pairs = (word & 0x00ff00ffU) + (word >> 8 & 0x00ff00ffU);
    return (pairs & 0xffffU) + (pairs >> 16);
}

uint32_t es_count_equal_s8(const int8_t *data, uint32_t count, int32_t value) {
    const uint32_t key = ((uint32_t)value & 0xffU) * 0x01010101U;
    uint32_t total = 0;
    for (; count != 0 && (uintptr_t)data % 4 != 0; count--) {
        total += *data++ == value;
    }
    while (count >= 32) {
        /* Blocks of eight words; a byte of `equal` counts at most 31 * 8 = 248 and so cannot pass 255. */
        uint32_t blocks = count / 32 < 31 ? count / 32 : 31;
        uint32_t equal = 0;
        count -= blocks * 32;
        for (; blocks != 0; blocks--) {
            equal = add_equal(equal, &data, key);
            equal = add_equal(equal, &data, key);
            equal = add_equal(equal, &data, key);
            equal = add_equal(equal, &data, key);
        }
        total += sum_bytes(equal);
    }
    for (; count != 0; count--) {
        total += *data++ == value;
    }
    return total;
}
