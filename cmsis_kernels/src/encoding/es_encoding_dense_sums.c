/* Encoding dense_sums: what kernels need that leave zero activations out, or take the same rows as dense.
 *
 *   rows     in encoding dense
 *   sums     `rows` int32: the sum of each row's weights
 *   limit    u32: how many products, of any 9-bit factor, any row's sum holds in 24 bits; see es_lists.h
 *
 * Rules, each checked: those of dense; the bytes are exactly these; limit is 1 or more.
 * Sums and limit are the encoder's promise: wrong ones give wrong outputs and do nothing worse.
 */
#include "es_encodings.h"
#include "es_intrin.h"

int32_t es_encoding_dense_sums_check(const uint8_t *weights, uint32_t bytes, uint32_t rows, uint32_t columns) {
    const uint64_t dense_bytes = ((uint64_t)columns + 3) / 4 * 4 * rows; /* see es_encoding_dense_check: no wrap */
    const uint64_t tail_bytes = (uint64_t)rows * 4 + 4;
    if (bytes > INT32_MAX) {
        return INT32_MAX;
    }
    if (dense_bytes > bytes || bytes - dense_bytes < tail_bytes) {
        return (int32_t)bytes;
    }
    if (bytes - dense_bytes > tail_bytes) {
        return (int32_t)(dense_bytes + tail_bytes);
    }
    const int32_t violation = es_encoding_dense_check(weights, (uint32_t)dense_bytes, rows, columns);
    if (violation >= 0) {
        return violation;
    }
    return es_read_u32(weights + bytes - 4) != 0 ? -1 : (int32_t)(bytes - 4);
}

uint64_t es_encoding_dense_sums_products(const uint8_t *weights, uint32_t rows, uint32_t columns, uint32_t group,
                                         es_positions_fn_t *positions, const void *context) {
    return es_encoding_dense_products(weights, rows, columns, group, positions, context);
}
