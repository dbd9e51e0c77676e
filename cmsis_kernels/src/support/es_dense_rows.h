/* Dense rows times columns: the inner loops of the dense convolution and of the dense matrix product.
 *
 * Columns are made in bands: packed two by two, they meet one tile of rows after another, whose weights are unpacked once
 * a band. A pair that lacks a column has its first one twice, and a last tile that lacks rows takes those before: their
 * outputs are written twice.
 */
#ifndef ES_DENSE_ROWS_H
#define ES_DENSE_ROWS_H

#include "es_requant.h"

/* Weights that all columns are multiplied by. */
typedef struct {
    const uint8_t *weights;       /* rows of 4 * groups int8, at a multiple of 4 */
    const es_channel_t *channels; /* one a row */
    uint32_t rows;
    uint32_t groups;
    es_output_t out;
} es_dense_rows_t;

/* Columns of a band, `band` at most, so that all bands are about alike. 1, for columns one by one, where fewer than four
 * would share unpacked weights and where the rows do not fill a tile.
 */
uint32_t es_dense_band(uint32_t rows, uint32_t columns, uint32_t band);

/* Scratch for a band: pairs of packed columns and behind them a tile of rows, or a single packed column. */
uint32_t es_dense_scratch_bytes(uint32_t groups, uint32_t band);

/* Packs two columns of `count` int8, or one; the rows' padding meets zeros. Returns the place of the next. */
uint32_t *es_dense_pack_pair(uint32_t *to, const int8_t *first, const int8_t *second, uint32_t count);
void es_dense_pack_one(uint32_t *to, const int8_t *column, uint32_t count);

/* One packed column to `rows` outputs. */
void es_dense_rows_one(const es_dense_rows_t *dense, const uint32_t *packed, int8_t *output);

/* `columns` columns, packed in pairs, to `rows` outputs each. */
void es_dense_rows_band(const es_dense_rows_t *dense, uint32_t *packed, uint32_t columns, int8_t *output);

/* `vectors` columns of `count` int8, one after another, to `rows` outputs each; `band` is es_dense_band's. */
void es_dense_rows_vectors(const es_dense_rows_t *dense, const int8_t *input, uint32_t count, uint32_t vectors,
                           uint32_t band, int8_t *output, uint32_t *packed);

#endif
