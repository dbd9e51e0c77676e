/* Encoding bitmap: a bit a weight, and the non-zero weights.
 *
 *   bits     `rows` rows of round_up(columns, 32) / 32 u32: bit 31 - i % 32 of word i / 32 is set where column i has a weight
 *   weights  int8, as many as bits are set, in the order of rows and columns
 *
 * Rules, each checked: bits behind a row's last column are 0; bits and weights are all the bytes that there are. A weight
 * may be 0: it adds nothing to a sum.
 */
#include "es_encodings.h"
#include "es_intrin.h"

static uint32_t row_words(uint32_t columns) { return columns / 32 + (columns % 32 != 0); }

int32_t es_encoding_bitmap_check(const uint8_t *weights, uint32_t bytes, uint32_t rows, uint32_t columns) {
    const uint32_t words = row_words(columns);
    const uint64_t bits_bytes = (uint64_t)rows * words * 4; /* below 2^61 */
    if (bytes > INT32_MAX) {
        return INT32_MAX;
    }
    if (bits_bytes > bytes) {
        return (int32_t)bytes;
    }
    uint64_t expected_bytes = bits_bytes;
    for (uint32_t row = 0; row < rows; row++) {
        const uint8_t *const bits = weights + (size_t)row * words * 4;
        for (uint32_t word = 0; word < words; word++) {
            expected_bytes += (uint32_t)__builtin_popcount(es_read_u32(bits + 4 * word));
        }
        if (columns % 32 != 0 && (es_read_u32(bits + 4 * (words - 1)) << columns % 32) != 0) {
            return (int32_t)(bits + 4 * (words - 1) - weights);
        }
    }
    if (bytes != expected_bytes) {
        return (int32_t)(bytes < expected_bytes ? bytes : expected_bytes);
    }
    return -1;
}

uint64_t es_encoding_bitmap_products(const uint8_t *weights, uint32_t rows, uint32_t columns, uint32_t group,
                                     es_positions_fn_t *positions, const void *context) {
    const uint32_t words = row_words(columns);
    const uint8_t *values = weights + (size_t)rows * words * 4;
    uint64_t products = 0;
    for (uint32_t row = 0; row < rows; row++) {
        for (uint32_t word = 0; word < words; word++) {
            uint32_t bits = es_read_u32(weights);
            weights += 4;
            while (bits != 0) {
                const uint32_t bit = es_clz(bits);
                bits &= ~(0x80000000U >> bit);
                if (*values++ != 0) {
                    products += positions(context, (32 * word + bit) / group);
                }
            }
        }
    }
    return products;
}
