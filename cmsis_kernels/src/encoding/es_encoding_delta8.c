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
#include "es_steps.h"

enum {
    GROUP_BYTES = 8
};

int32_t es_encoding_delta8_check(const uint8_t *weights, uint32_t bytes, uint32_t rows, uint32_t columns) {
    return es_steps_check(weights, bytes, rows, columns, 1);
}

uint64_t es_encoding_delta8_products(const uint8_t *weights, uint32_t rows, uint32_t columns, uint32_t group,
                                     es_positions_fn_t *positions, const void *context) {
    (void)columns;
    uint64_t products = 0;
    const uint8_t *entries = weights + ((size_t)rows + 1) / 2 * 4;
    for (uint32_t row = 0; row < rows; row++) {
        uint32_t column = 0;
        for (uint32_t groups = es_read_u16(weights + 2 * row); groups != 0; groups--) {
            for (uint32_t i = 0; i < ES_STEPS; i++) {
                column += entries[i];
                if (entries[ES_STEPS + i] != 0) {
                    products += positions(context, column / group);
                }
            }
            entries += GROUP_BYTES;
        }
    }
    return products;
}
