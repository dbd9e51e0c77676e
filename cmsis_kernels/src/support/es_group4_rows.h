/* Rows of encoding group4 times columns: the loops of its convolution and of its matrix product.
 *
 * The encoding is described in src/encoding/es_encoding_group4.c.
 */
#ifndef ES_GROUP4_ROWS_H
#define ES_GROUP4_ROWS_H

#include "es_classes.h"
#include "es_intrin_group4.h"
#include "es_requant.h"

/* Weights that all columns are multiplied by. */
typedef struct {
    const uint8_t *weights;       /* checked, at a multiple of 4 */
    const es_channel_t *channels; /* one a row */
    uint32_t rows;
    uint32_t columns; /* a multiple of 4 */
    es_output_t out;
    es_classes_t classes; /* of the columns; es_group4_rows_one knows none */
} es_group4_rows_t;

/* Bytes that `tiles` tiles of four positions take, and those of a row's entries. They stick at 2^32 - 1. */
uint32_t es_group4_tiles_bytes(uint32_t columns, uint32_t tiles);
uint32_t es_group4_entries_bytes(uint32_t columns);

/* One column of int8, at any address, to `rows` outputs. */
void es_group4_rows_one(const es_group4_rows_t *sparse, const int8_t *column, int8_t *output);

/* `positions` (1 or more) packed columns, four a tile, to as many times `rows` outputs; those of the columns left over
 * in the last tile are dropped. entries: es_group4_entries_bytes.
 */
void es_group4_rows_tiles(const es_group4_rows_t *sparse, const uint32_t *tiles, uint32_t positions,
                          es_group4_entry_t *entries, int8_t *output);

/* Packs `vectors` columns of int8, one after another, into tiles; the last tile has its first column again where none
 * is left.
 */
void es_group4_pack_vectors(const int8_t *input, uint32_t columns, uint32_t vectors, uint32_t *tiles);

#endif
