/* How a convolution with sparse weights cuts its work into bands of output positions, and what scratch that takes. */
#ifndef ES_SPARSE_LAYOUT_H
#define ES_SPARSE_LAYOUT_H

#include "es_lists.h"
#include "es_types.h"

/* How a band's input becomes positions. */
enum {
    ES_SPARSE_ROWS,    /* whole output rows: planes of padded input rows, shared by the taps */
    ES_SPARSE_PIXELS,  /* windows are pixels: any run of positions */
    ES_SPARSE_COLUMNS, /* narrow maps: each window copied to a column, any run of positions */
    ES_SPARSE_SINGLE   /* too few positions for a tile, or too many columns for a list: one after another */
};

/* Positions of a tile, and the least that one takes, some of them then twice. */
enum {
    ES_SPARSE_TILE = 2 * ES_LISTS_WORDS,
    ES_SPARSE_LEAST = ES_LISTS_WORDS
};

typedef struct {
    uint32_t mode;
    uint32_t columns;     /* of a row of weights */
    uint32_t channels;    /* planes of a position */
    uint32_t rows;        /* output rows of a band */
    uint32_t positions;   /* output positions of each */
    uint32_t words;       /* that hold them */
    uint32_t distance;    /* positions from the lower to the upper of a word */
    uint32_t plane_words; /* `words`, and those that taps to the right reach */
    uint32_t phases;      /* input columns that lie a stride apart are neighbours: planes of each channel */
    uint32_t slots;       /* packed input rows */
    uint32_t slot_step;   /* slots from an output row to the next */
    uint32_t slot_bytes;
    uint32_t packed_bytes;
    uint32_t list_bytes;
    uint32_t jumps_bytes;
    uint32_t pad_bytes;
    uint32_t column_bytes;
} es_sparse_layout_t;

/* Words for `positions` of a row, ES_SPARSE_LEAST or more; where a tile is not filled, it does some of them twice. */
void es_sparse_set_words(es_sparse_layout_t *layout, uint32_t positions);

es_sparse_layout_t es_sparse_layout(const es_conv_params_t *params);

#endif
