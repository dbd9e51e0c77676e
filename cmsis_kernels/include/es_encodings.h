/* Checks and counts of weight encodings, for the loader.
 *
 * Weights come from an image and are untrusted until the check has passed. One file an encoding, one pair of
 * functions a file; which bytes an encoding has is said at the top of src/encoding/es_encoding_<name>.c.
 *
 * es_encoding_<name>_check
 *   `bytes` bytes at `weights` (any alignment) against `rows` rows of `columns` columns, all of any value. Reads
 *   nothing outside them.
 *   Returns -1 where all rules are kept, else the offset of the first byte against one: of a missing or superfluous
 *   byte where the length is wrong, of the table entry where a row is longer than the bytes left. 2^31 bytes
 *   and more are refused, with offset 2^31 - 1.
 *
 * es_encoding_<name>_products
 *   For checked weights: how many products a kernel forms with them, fillers not counted. Columns belong to taps,
 *   `group` (1 or more, divides `columns`) neighbours each; positions(context, index) says how many times tap `index`
 *   meets real input. The sum over the stored weights of the positions of their taps.
 */
#ifndef ES_ENCODINGS_H
#define ES_ENCODINGS_H

#include <stdint.h>

typedef uint32_t es_positions_fn_t(const void *context, uint32_t group_index);

int32_t es_encoding_dense_check(const uint8_t *weights, uint32_t bytes, uint32_t rows, uint32_t columns);
uint64_t es_encoding_dense_products(const uint8_t *weights, uint32_t rows, uint32_t columns, uint32_t group,
                                    es_positions_fn_t *positions, const void *context);

int32_t es_encoding_delta8_check(const uint8_t *weights, uint32_t bytes, uint32_t rows, uint32_t columns);
uint64_t es_encoding_delta8_products(const uint8_t *weights, uint32_t rows, uint32_t columns, uint32_t group,
                                     es_positions_fn_t *positions, const void *context);

int32_t es_encoding_bitmap_check(const uint8_t *weights, uint32_t bytes, uint32_t rows, uint32_t columns);
uint64_t es_encoding_bitmap_products(const uint8_t *weights, uint32_t rows, uint32_t columns, uint32_t group,
                                     es_positions_fn_t *positions, const void *context);

int32_t es_encoding_run4_check(const uint8_t *weights, uint32_t bytes, uint32_t rows, uint32_t columns);
uint64_t es_encoding_run4_products(const uint8_t *weights, uint32_t rows, uint32_t columns, uint32_t group,
                                   es_positions_fn_t *positions, const void *context);

int32_t es_encoding_dense_sums_check(const uint8_t *weights, uint32_t bytes, uint32_t rows, uint32_t columns);
uint64_t es_encoding_dense_sums_products(const uint8_t *weights, uint32_t rows, uint32_t columns, uint32_t group,
                                         es_positions_fn_t *positions, const void *context);

int32_t es_encoding_squares_check(const uint8_t *weights, uint32_t bytes, uint32_t rows, uint32_t columns);
uint64_t es_encoding_squares_products(const uint8_t *weights, uint32_t rows, uint32_t columns, uint32_t group,
                                      es_positions_fn_t *positions, const void *context);

int32_t es_encoding_group4_check(const uint8_t *weights, uint32_t bytes, uint32_t rows, uint32_t columns);
uint64_t es_encoding_group4_products(const uint8_t *weights, uint32_t rows, uint32_t columns, uint32_t group,
                                     es_positions_fn_t *positions, const void *context);

#endif
