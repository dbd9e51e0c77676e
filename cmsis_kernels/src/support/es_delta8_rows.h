/* Rows of encoding delta8 times columns: the inner loops of the sparse convolution and of the sparse matrix product.
 *
 * The encoding is described in src/encoding/es_encoding_delta8.c.
 */
#ifndef ES_DELTA8_ROWS_H
#define ES_DELTA8_ROWS_H

#include "es_requant.h"

/* Weights that all columns are multiplied by. */
typedef struct {
    const uint8_t *weights;       /* checked, at a multiple of 4 */
    const es_channel_t *channels; /* one a row */
    uint32_t rows;
    es_output_t out;
} es_delta8_rows_t;

/* Interleaves `columns` values of four sources to two words each: lanes (0, 1) and (2, 3). Returns the next place. */
uint32_t *es_delta8_interleave(uint32_t *to, const int8_t *const from[4], uint32_t columns);

/* One column of int8 to `rows` outputs. */
void es_delta8_rows_one(const es_delta8_rows_t *sparse, const int8_t *column, int8_t *output);

/* Four interleaved columns to `count` (1..4) times `rows` outputs; those of the other columns are dropped. */
void es_delta8_rows_four(const es_delta8_rows_t *sparse, const uint32_t *interleaved, uint32_t count, int8_t *output);

/* `vectors` columns of `columns` int8, one after another, to `rows` outputs each. Scratch: 8 bytes a column, none for
 * one vector.
 */
void es_delta8_rows_vectors(const es_delta8_rows_t *sparse, const int8_t *input, uint32_t columns, uint32_t vectors,
                            int8_t *output, uint32_t *interleaved);

#endif
