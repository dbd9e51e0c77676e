#include "es_intrin.h"
#include "es_kernels.h"

enum {
    BLOCK = 128, /* bytes that es_mark_words takes */
    HIGH = 129   /* what an element of 127 adds to them; one of -128 adds 1 */
};

/* A block has at most 128 elements of -128, fewer than HIGH, so that its marks say how many there are of 127. */
static uint32_t high_of(uint32_t marks) { return marks / HIGH; }

es_ends_t es_count_ends_s8(const int8_t *data, uint32_t count) {
    uint32_t total = 0; /* of all marks */
    uint32_t high = 0;
    uint32_t marks = 0;
    for (; count != 0 && (uintptr_t)data % 4 != 0; count--, data++) {
        marks += *data == INT8_MIN ? 1u : *data == INT8_MAX ? HIGH : 0u;
    }
    for (; count >= BLOCK; count -= BLOCK) {
        const uint32_t of_block = es_mark_words(&data, 0);
        total += of_block;
        high += high_of(of_block);
    }
    for (; count >= 4; count -= 4) {
        marks = es_mark_word(es_load_u32(data), marks);
        data += 4;
    }
    for (; count != 0; count--, data++) {
        marks += *data == INT8_MIN ? 1u : *data == INT8_MAX ? HIGH : 0u;
    }
    high += high_of(marks);
    total += marks;
    return (es_ends_t){.low = total - high * HIGH, .high = high};
}
