/* Dense rows times columns: the inner loops of the dense convolution and of the dense matrix product.
 *
 * Columns are made in bands: packed two by two, they meet one tile of rows after another, whose weights are unpacked once
 * a band. A last tile that lacks rows takes some of the one before once more, whose outputs are written twice.
 */
#ifndef ES_DENSE_ROWS_H
#define ES_DENSE_ROWS_H

#include "es_classes.h"
#include "es_intrin_tile.h"

/* Weights that all columns are multiplied by. */
typedef struct {
    const uint8_t *weights;       /* rows of 4 * groups int8, at a multiple of 4 */
    const es_channel_t *channels; /* one a row */
    uint32_t rows;
    uint32_t groups;
    es_output_t out;
    es_classes_t classes; /* of the columns */
} es_dense_rows_t;

/* A band of packed columns: lines of columns, each line in pairs of a column and the one `second` further on. */
typedef struct {
    es_tile_walk_t walk;
    uint32_t lines;
    uint32_t columns;     /* of a line */
    uint32_t second;      /* 1, or half of the columns, rounded up */
    uint32_t line_groups; /* packed, from line to line */
    uint32_t pitch;       /* columns whose outputs lie from line to line */
} es_dense_band_t;

/* Columns of a band, `most` at most, so that all bands are about alike. */
uint32_t es_dense_share(uint32_t columns, uint32_t most);

/* Whether a band of so many columns pays: otherwise, and where rows do not fill a tile, they are made one by one. */
bool es_dense_pays(uint32_t rows, uint32_t columns);

/* The band of `columns` columns of `groups` groups, packed one after another in pairs of neighbours. */
es_dense_band_t es_dense_band_of(uint32_t groups, uint32_t columns);

/* Scratch for such a band and a tile of rows behind it. */
uint32_t es_dense_scratch_bytes(uint32_t groups, uint32_t columns);

/* es_tile_pack_columns, once for all but the rows. */
uint32_t *es_dense_pack_columns(uint32_t *to, const int8_t *first, const int8_t *second, uint32_t groups);

/* Packs two columns of `count` int8; the rows' padding meets zeros. Returns the place of the next. */
uint32_t *es_dense_pack_pair(uint32_t *to, const int8_t *first, const int8_t *second, uint32_t count);

/* Packs `columns` of them, one after another, each with the one half of them further on; returns the next place. */
uint32_t *es_dense_pack_vectors(uint32_t *to, const int8_t *vectors, uint32_t count, uint32_t columns);

/* Packs one, for es_dense_rows_one. */
void es_dense_pack_one(uint32_t *to, const int8_t *column, uint32_t count);

/* One column, packed alone, to `rows` outputs. */
void es_dense_rows_one(const es_dense_rows_t *dense, const uint32_t *packed, int8_t *output);

/* A band to `rows` outputs a column; scratch `rows` for a tile. */
void es_dense_rows_band(const es_dense_rows_t *dense, const es_dense_band_t *band, const uint32_t *packed,
                        uint32_t *rows, int8_t *output);

/* `vectors` columns of `count` int8, one after another, to `rows` outputs each; `most` of them a band. */
void es_dense_rows_vectors(const es_dense_rows_t *dense, const int8_t *input, uint32_t count, uint32_t vectors,
                           uint32_t most, int8_t *output, uint32_t *scratch);
uint32_t es_dense_vectors_bytes(uint32_t rows, uint32_t count, uint32_t vectors, uint32_t most);

#endif
