#include "es_steps.h"

#include <stdbool.h>

#include "es_intrin.h"

static bool is_filler(const uint8_t *entry, uint32_t entry_bytes) {
    uint32_t any = 0;
    for (uint32_t i = 0; i < entry_bytes; i++) {
        any |= entry[i];
    }
    return any == 0;
}

/* Returns the offset of the first entry against the rules in a row's blocks, or -1. */
static int32_t check_row(const uint8_t *weights, uint32_t begin, uint32_t end, uint32_t places, uint32_t entry_bytes) {
    uint64_t place = 0; /* at most 255 past 2^32 */
    uint64_t next = 0;  /* first place that the next entry may have */
    for (uint32_t block = begin; block < end; block += ES_STEPS * (1 + entry_bytes)) {
        for (uint32_t i = 0; i < ES_STEPS; i++) {
            place += weights[block + i];
            if (place >= places) {
                return (int32_t)(block + i);
            }
            if (is_filler(weights + block + ES_STEPS + i * entry_bytes, entry_bytes)) {
                continue;
            }
            if (place < next) {
                return (int32_t)(block + i);
            }
            next = place + 1;
        }
    }
    return -1;
}

int32_t es_steps_check(const uint8_t *weights, uint32_t bytes, uint32_t rows, uint32_t places, uint32_t entry_bytes) {
    const uint64_t table_bytes = ((uint64_t)rows + 1) / 2 * 4;
    if (bytes > INT32_MAX) {
        return INT32_MAX;
    }
    if (table_bytes > bytes) {
        return (int32_t)bytes;
    }
    if (rows % 2 != 0 && es_read_u16(weights + 2 * rows) != 0) {
        return (int32_t)(2 * rows);
    }
    uint32_t offset = (uint32_t)table_bytes;
    for (uint32_t row = 0; row < rows; row++) {
        const uint32_t row_bytes = es_read_u16(weights + 2 * row) * ES_STEPS * (1 + entry_bytes); /* below 2^21 */
        if (row_bytes > bytes - offset) {
            return (int32_t)(2 * row);
        }
        const int32_t violation = check_row(weights, offset, offset + row_bytes, places, entry_bytes);
        if (violation >= 0) {
            return violation;
        }
        offset += row_bytes;
    }
    return offset == bytes ? -1 : (int32_t)offset;
}
