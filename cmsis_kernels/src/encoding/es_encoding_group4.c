/* Encoding group4: groups of four neighbouring columns of which a weight is not zero, in blocks of four groups.
 *
 *   table    `rows` u16: how many blocks each row has; one more u16, 0, where `rows` is odd
 *   blocks   those of row 0, then those of row 1 and so on, 20 bytes each:
 *              0..3   four u8 steps
 *              4..19  four times four int8 weights
 *
 * Group g is columns 4g .. 4g + 3. A row is read with a group that starts at 0: each entry adds its step to the group
 * and then stands for its four weights there. An entry of four zeros is a filler. The encoder writes fillers in two
 * places only: steps of 255 where the next group is more than 255 away, as many as leave it a step of 1..255, and steps
 * of 0 where a row's last block has entries left over. A row without non-zero weights has no blocks.
 *
 * Rules, each checked:
 *   1. `columns` is a multiple of 4;
 *   2. every entry's group, fillers included, is less than columns / 4;
 *   3. entries that are no fillers are at strictly increasing groups in their row;
 *   4. the table's padding is 0;
 *   5. table and blocks are all the bytes that there are.
 * Any placing of fillers that keeps the rules is valid: they add nothing to a sum.
 */
#include "es_encodings.h"
#include "es_intrin.h"
#include "es_steps.h"

enum {
    BLOCK_BYTES = 20
};

/* Four weights of a block, whose address may be any. */
static uint32_t weights_of(const uint8_t *block, uint32_t entry) { return es_read_u32(block + 4 + 4 * entry); }

int32_t es_encoding_group4_check(const uint8_t *weights, uint32_t bytes, uint32_t rows, uint32_t columns) {
    if (bytes <= INT32_MAX && columns % 4 != 0) {
        return 0;
    }
    return es_steps_check(weights, bytes, rows, columns / 4, 4);
}

uint64_t es_encoding_group4_products(const uint8_t *weights, uint32_t rows, uint32_t columns, uint32_t group,
                                     es_positions_fn_t *positions, const void *context) {
    (void)columns;
    uint64_t products = 0;
    const uint8_t *block = weights + ((size_t)rows + 1) / 2 * 4;
    for (uint32_t row = 0; row < rows; row++) {
        uint32_t index = 0;
        for (uint32_t blocks = es_read_u16(weights + 2 * row); blocks != 0; blocks--) {
            for (uint32_t i = 0; i < ES_STEPS; i++) {
                index += block[i];
                for (uint32_t column = 4 * index; weights_of(block, i) != 0 && column < 4 * index + 4; column++) {
                    products += positions(context, column / group);
                }
            }
            block += BLOCK_BYTES;
        }
    }
    return products;
}
