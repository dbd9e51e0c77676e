/* Encoding pairs: words of two weights each, eight rows side by side, as es_lists_add multiplies them.
 *
 *   blocks   one for each eight rows: `columns` times four int32; word j of a column is w[2j + 1] * 2^24 + w[2j], where
 *            w are the weights of the block's eight rows in that column, 0 where there are fewer rows
 *   limit    u32: how many products, of any 9-bit factor, any row's sum holds in 24 bits; see es_lists.h
 *
 * Rules, each checked: every word's lower weight is -128..127 (bits 7..23 less what it borrows are alike); rows that are
 * not there are 0; the bytes are exactly these; limit is 1 or more.
 * The limit is the encoder's promise, and that no lower weight is negative beside an upper -128: wrong ones give wrong
 * outputs and do nothing worse.
 */
#include "es_encodings.h"
#include "es_intrin.h"

enum {
    BLOCK_ROWS = 8
};

/* Whether a word is two weights, of which `present` (1 or more are) may be other than 0. */
static int is_pair(uint32_t word, uint32_t present) {
    const int32_t low24 = (int32_t)(word << 8) >> 8;
    const uint32_t upper = (word >> 24) + (low24 < 0 ? 1U : 0U); /* an int8, or 128: the carry into a negative one */
    return low24 >= -128 && low24 <= 127 && (present >= 2 || (upper & 0xffU) == 0) && (present >= 1 || low24 == 0);
}

int32_t es_encoding_pairs_check(const uint8_t *weights, uint32_t bytes, uint32_t rows, uint32_t columns) {
    const uint64_t blocks = ((uint64_t)rows + BLOCK_ROWS - 1) / BLOCK_ROWS; /* at most 2^29 */
    if (bytes > INT32_MAX) {
        return INT32_MAX;
    }
    if (columns >= (1U << 31) / 16 || blocks * columns * 16 + 4 > bytes) {
        return (int32_t)bytes;
    }
    const uint32_t words_bytes = (uint32_t)blocks * columns * 16;
    if (words_bytes + 4 != bytes) {
        return (int32_t)words_bytes + 4;
    }
    for (uint32_t offset = 0; offset < words_bytes; offset += 4) {
        const uint32_t row = offset / (columns * 16) * BLOCK_ROWS + offset % 16 / 2;
        if (!is_pair(es_read_u32(weights + offset), row < rows ? rows - row : 0)) {
            return (int32_t)offset;
        }
    }
    return es_read_u32(weights + words_bytes) != 0 ? -1 : (int32_t)words_bytes;
}

uint64_t es_encoding_pairs_products(const uint8_t *weights, uint32_t rows, uint32_t columns, uint32_t group,
                                    es_positions_fn_t *positions, const void *context) {
    return es_encoding_dense_products(weights, rows, columns, group, positions, context);
}
