/* Encoding delta8: non-zero weights with 8-bit column steps, in groups of four.
 *
 *   table    `rows` u16: how many groups each row has; one more u16, 0, where `rows` is odd
 *   groups   those of row 0, then those of row 1 and so on, 8 bytes each:
 *              0..3  four u8 steps
 *              4..7  four int8 weights
 *
 * A group is four entries; entry i is step i and weight i. A row is read with a column that starts at 0: each entry
 * adds its step to the column and then stands for its weight at that column. So the first entry's step is the
 * column itself, and later ones are distances from the entry before, filler or not.
 * An entry of weight 0 is a filler. The encoder writes fillers in two places only: steps of 255 where the next
 * non-zero weight is more than 255 columns away, as many as leave it a step of 1..255, and steps of 0 where a row's
 * last group has entries left over. A row without non-zero weights has no groups.
 *
 * Rules, each checked:
 *   1. every entry's column, fillers included, is less than `columns`;
 *   2. entries that are no fillers are at strictly increasing columns in their row;
 *   3. the table's padding is 0;
 *   4. table and groups are all the bytes that there are.
 * Any placing of fillers that keeps the rules is valid: they add nothing to a sum.
 */
#include "es_encodings.h"
#include "es_intrin.h"

enum {
    GROUP_ENTRIES = 4,
    GROUP_BYTES = 8
};

/* Returns the offset of the first entry against the rules in a row's groups, or -1. */
static int32_t check_row(const uint8_t *weights, uint32_t begin, uint32_t end, uint32_t columns) {
    uint64_t column = 0; /* at most 255 past 2^32 */
    uint64_t next = 0;   /* first column that the next weight may have */
    for (uint32_t group = begin; group < end; group += GROUP_BYTES) {
        for (uint32_t i = 0; i < GROUP_ENTRIES; i++) {
            column += weights[group + i];
            if (column >= columns) {
                return (int32_t)(group + i);
            }
            if (weights[group + GROUP_ENTRIES + i] == 0) {
                continue;
            }
            if (column < next) {
                return (int32_t)(group + i);
            }
            next = column + 1;
        }
    }
    return -1;
}

int32_t es_encoding_delta8_check(const uint8_t *weights, uint32_t bytes, uint32_t rows, uint32_t columns) {
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
        const uint32_t row_bytes = es_read_u16(weights + 2 * row) * GROUP_BYTES; /* below 2^19 */
        if (row_bytes > bytes - offset) {
            return (int32_t)(2 * row);
        }
        const int32_t violation = check_row(weights, offset, offset + row_bytes, columns);
        if (violation >= 0) {
            return violation;
        }
        offset += row_bytes;
    }
    return offset == bytes ? -1 : (int32_t)offset;
}

uint64_t es_encoding_delta8_products(const uint8_t *weights, uint32_t rows, uint32_t columns, uint32_t group,
                                     es_positions_fn_t *positions, const void *context) {
    (void)columns;
    uint64_t products = 0;
    const uint8_t *entries = weights + ((size_t)rows + 1) / 2 * 4;
    for (uint32_t row = 0; row < rows; row++) {
        uint32_t column = 0;
        for (uint32_t groups = es_read_u16(weights + 2 * row); groups != 0; groups--) {
            for (uint32_t i = 0; i < GROUP_ENTRIES; i++) {
                column += entries[i];
                if (entries[GROUP_ENTRIES + i] != 0) {
                    products += positions(context, column / group);
                }
            }
            entries += GROUP_BYTES;
        }
    }
    return products;
}
