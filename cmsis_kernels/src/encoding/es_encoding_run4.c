/* Encoding run4: runs of zeros in 4 bits, and the non-zero weights.
 *
 *   table    `rows` u16: how many nibbles each row has
 *   nibbles  those of row 0, then those of row 1 and so on, each row from a new byte on, the lower nibble of a byte first
 *   weights  int8, one a nibble that is not 15, in the same order
 *
 * A row is read from column 0 on. A nibble of 0..14 skips as many columns; the next column has the next weight. A nibble
 * of 15 skips 15 columns. Columns behind the last nibble are 0.
 *
 * Rules, each checked:
 *   1. every weight's column, and the column that a nibble of 15 leads to, is less than `columns`;
 *   2. the upper nibble of a row's last byte is 0 where it belongs to no run;
 *   3. table, nibbles and weights are all the bytes that there are.
 * A weight may be 0: it adds nothing to a sum.
 */
#include "es_encodings.h"
#include "es_intrin.h"

enum {
    SKIP = 15
};

ES_INLINE uint32_t nibble(const uint8_t *nibbles, uint32_t index) { return nibbles[index / 2] >> index % 2 * 4 & 15U; }

/* Adds a row's weights to `count`. Returns the offset in `nibbles` of the first byte against the rules, or -1. */
static int32_t check_row(const uint8_t *nibbles, uint32_t row_nibbles, uint32_t columns, uint32_t *count) {
    uint64_t column = 0; /* at most 16 * 65535 past `columns` */
    for (uint32_t i = 0; i < row_nibbles; i++) {
        const uint32_t run = nibble(nibbles, i);
        column += run;
        if (column >= columns) {
            return (int32_t)(i / 2);
        }
        if (run != SKIP) {
            column++;
            *count += 1;
        }
    }
    return row_nibbles % 2 != 0 && nibble(nibbles, row_nibbles) != 0 ? (int32_t)(row_nibbles / 2) : -1;
}

int32_t es_encoding_run4_check(const uint8_t *weights, uint32_t bytes, uint32_t rows, uint32_t columns) {
    const uint64_t table_bytes = (uint64_t)rows * 2;
    if (bytes > INT32_MAX) {
        return INT32_MAX;
    }
    if (table_bytes > bytes) {
        return (int32_t)bytes;
    }
    uint32_t offset = (uint32_t)table_bytes;
    uint32_t count = 0; /* at most two a byte */
    for (uint32_t row = 0; row < rows; row++) {
        const uint32_t row_nibbles = es_read_u16(weights + 2 * row);
        const uint32_t row_bytes = (row_nibbles + 1) / 2;
        if (row_bytes > bytes - offset) {
            return (int32_t)(2 * row);
        }
        const int32_t violation = check_row(weights + offset, row_nibbles, columns, &count);
        if (violation >= 0) {
            return (int32_t)offset + violation;
        }
        offset += row_bytes;
    }
    if (count != bytes - offset) {
        return (int32_t)(count < bytes - offset ? offset + count : bytes);
    }
    return -1;
}

uint64_t es_encoding_run4_products(const uint8_t *weights, uint32_t rows, uint32_t columns, uint32_t group,
                                   es_positions_fn_t *positions, const void *context) {
    (void)columns;
    const uint8_t *nibbles = weights + (size_t)rows * 2;
    const uint8_t *values = nibbles;
    for (uint32_t row = 0; row < rows; row++) {
        values += ((uint32_t)es_read_u16(weights + 2 * row) + 1) / 2;
    }
    uint64_t products = 0;
    for (uint32_t row = 0; row < rows; row++) {
        const uint32_t row_nibbles = es_read_u16(weights + 2 * row);
        uint32_t column = 0;
        for (uint32_t i = 0; i < row_nibbles; i++) {
            const uint32_t run = nibble(nibbles, i);
            column += run;
            if (run != SKIP) {
                if (*values++ != 0) {
                    products += positions(context, column / group);
                }
                column++;
            }
        }
        nibbles += (row_nibbles + 1) / 2;
    }
    return products;
}
