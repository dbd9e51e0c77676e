#include "es_intrin.h"
#include "es_kernels.h"

enum {
    BLOCK = 64, /* bytes that es_mark_words takes */
    HIGH = 129  /* what an element of 127 adds to a sum of marks; one of -128 adds 1 */
};

/* A block has at most 64 elements of -128, fewer than HIGH, so that its sum says how many there are of either. */
static void take(es_ends_t *ends, uint32_t marks) {
    const uint32_t high = marks / HIGH;
    ends->high += high;
    ends->low += marks - high * HIGH;
}

es_ends_t es_count_ends_s8(const int8_t *data, uint32_t count) {
    es_ends_t ends = {0, 0};
    for (; count != 0 && (uintptr_t)data % 4 != 0; count--, data++) {
        ends.low += *data == INT8_MIN;
        ends.high += *data == INT8_MAX;
    }
    for (; count >= BLOCK; count -= BLOCK) {
        take(&ends, es_mark_words(&data));
    }
    uint32_t marks = 0;
    for (; count >= 4; count -= 4) {
        marks = es_mark_word(es_load_u32(data), marks);
        data += 4;
    }
    take(&ends, marks);
    for (; count != 0; count--, data++) {
        ends.low += *data == INT8_MIN;
        ends.high += *data == INT8_MAX;
    }
    return ends;
}
