/* Encoding dense: `rows` rows of `columns` int8, each row followed by zeros up to a multiple of 4 bytes.
 *
 * Rules, each checked: the bytes are exactly rows * round_up(columns, 4); every padding byte is 0.
 */
#include "es_encodings.h"
#include "es_intrin.h"

int32_t es_encoding_dense_check(const uint8_t *weights, uint32_t bytes, uint32_t rows, uint32_t columns) {
    const uint64_t row_bytes = ((uint64_t)columns + 3) / 4 * 4; /* at most 2^32 */
    /* rows * row_bytes could wrap only where rows = row_bytes = 2^32, and rows is less */
    const uint64_t expected_bytes = row_bytes * rows;
    if (bytes > INT32_MAX) {
        return INT32_MAX;
    }
    if (bytes != expected_bytes) {
        return (int32_t)(bytes < expected_bytes ? bytes : expected_bytes);
    }
    if (columns % 4 == 0) {
        return -1;
    }
    for (uint64_t row = 0; row < expected_bytes; row += row_bytes) {
        for (uint64_t offset = row + columns; offset < row + row_bytes; offset++) {
            if (weights[offset] != 0) {
                return (int32_t)offset;
            }
        }
    }
    return -1;
}

uint64_t es_encoding_dense_products(const uint8_t *weights, uint32_t rows, uint32_t columns, uint32_t group,
                                    es_positions_fn_t *positions, const void *context) {
    (void)weights;
    uint64_t a_row = 0;
    for (uint32_t index = 0; index < columns / group; index++) {
        a_row += (uint64_t)positions(context, index) * group;
    }
    return a_row * rows;
}
