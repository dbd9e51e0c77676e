#include "es_intrin.h"
#include "es_kernels.h"

enum {
    BLOCK = 64 /* bytes that es_count_words takes */
};

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
    while (count >= BLOCK) {
        /* A byte of `equal` counts at most 15 * 16 = 240 and so cannot pass 255. */
        uint32_t blocks = count / BLOCK < 15 ? count / BLOCK : 15;
        uint32_t equal = 0;
        count -= blocks * BLOCK;
        for (; blocks != 0; blocks--) {
            equal = es_count_words(&data, key, equal);
        }
        total += sum_bytes(equal);
    }
    uint32_t equal = 0;
    for (; count >= 4; count -= 4) {
        equal = es_count_word(es_load_u32(data), key, equal);
        data += 4;
    }
    total += sum_bytes(equal);
    for (; count != 0; count--) {
        total += *data++ == value;
    }
    return total;
}
