/* Encoding squares: words of two rows by two columns, eight rows side by side.
 *
 *   blocks   one for each eight rows; the last one of as many pairs of rows as are left, 1..4. Columns are padded to a
 *            multiple of 4, their pairs are 0 and 2, 1 and 3, 4 and 6, 5 and 7, ... Of each pair in turn a word for each
 *            pair of rows: byte 2j + i is row i's weight of column j, plus 128 in row 0
 *
 * Rules, each checked: the bytes are exactly these; those of rows and columns that are not there are 0.
 */
#include "es_encodings.h"

enum {
    BLOCK_ROWS = 8
};

int32_t es_encoding_squares_check(const uint8_t *weights, uint32_t bytes, uint32_t rows, uint32_t columns) {
    const uint64_t padded = ((uint64_t)columns + 3) / 4 * 4;
    const uint64_t padded_rows = ((uint64_t)rows + 1) / 2 * 2; /* at most 2^32, as padded is */
    const uint64_t half_bytes = padded_rows / 2 * padded;      /* at most 2^63: no wrap, and no 64-bit division */
    if (bytes > INT32_MAX) {
        return INT32_MAX;
    }
    if (half_bytes > bytes / 2) {
        return (int32_t)bytes;
    }
    if (bytes != 2 * half_bytes) {
        return (int32_t)(2 * half_bytes);
    }
    uint32_t at = 0;
    for (uint32_t first = 0; first < padded_rows; first += BLOCK_ROWS) {
        const uint32_t end = padded_rows - first < BLOCK_ROWS ? (uint32_t)padded_rows : first + BLOCK_ROWS;
        for (uint32_t column = 0; column < padded; column += column % 2 == 0 ? 1 : 3) {
            for (uint32_t row = first; row < end; row += 2) {
                for (uint32_t byte = 0; byte < 4; byte++, at++) {
                    if ((row + byte % 2 >= rows || column + byte / 2 * 2 >= columns) && weights[at] != 0) {
                        return (int32_t)at;
                    }
                }
            }
        }
    }
    return -1;
}

uint64_t es_encoding_squares_products(const uint8_t *weights, uint32_t rows, uint32_t columns, uint32_t group,
                                      es_positions_fn_t *positions, const void *context) {
    return es_encoding_dense_products(weights, rows, columns, group, positions, context);
}
