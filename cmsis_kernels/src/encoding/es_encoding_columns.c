/* Encoding columns: one byte a weight, eight rows side by side, as es_lists_add_bytes multiplies them.
 *
 *   blocks   one for each eight rows: `columns` times eight bytes, two words. Of word k, which is the block's rows
 *            4k .. 4k + 3: byte 0 is row 4k plus 128, byte 3 row 4k + 1, byte 2 row 4k + 2 plus 128, byte 1 row 4k + 3
 *
 * Rules, each checked: the bytes are exactly these; those of rows that are not there are 0.
 */
#include "es_encodings.h"
#include "es_intrin.h"

enum {
    BLOCK_ROWS = 8
};

int32_t es_encoding_columns_check(const uint8_t *weights, uint32_t bytes, uint32_t rows, uint32_t columns) {
    static const uint8_t row_of_byte[4] = {0, 3, 2, 1};
    const uint64_t blocks = ((uint64_t)rows + BLOCK_ROWS - 1) / BLOCK_ROWS; /* at most 2^29 */
    const uint64_t expected_bytes = blocks * columns * BLOCK_ROWS;          /* below 2^64 */
    if (bytes > INT32_MAX) {
        return INT32_MAX;
    }
    if (bytes != expected_bytes) {
        return (int32_t)(bytes < expected_bytes ? bytes : expected_bytes);
    }
    for (uint32_t offset = 0; rows % BLOCK_ROWS != 0 && offset < columns * BLOCK_ROWS; offset++) {
        const uint32_t at = bytes - columns * BLOCK_ROWS + offset;
        if (offset % BLOCK_ROWS / 4 * 4 + row_of_byte[offset % 4] >= rows % BLOCK_ROWS && weights[at] != 0) {
            return (int32_t)at;
        }
    }
    return -1;
}

uint64_t es_encoding_columns_products(const uint8_t *weights, uint32_t rows, uint32_t columns, uint32_t group,
                                      es_positions_fn_t *positions, const void *context) {
    return es_encoding_dense_products(weights, rows, columns, group, positions, context);
}
