/* Lists of the non-zero inputs of a convolution, and their products with words of two weights each (es_lists.h).
 *
 * The rows of the image that some output rows need are listed, pixel by pixel: a step is one input, 16 bytes of words. For
 * each pixel it is kept how many entries come before it and at which input the steps stand then, so that the pixels
 * under a row of the filter are one span of the list, whatever the column that the window starts at. Listed rows stay for
 * the next band as far as it needs them.
 */
#ifndef ES_SKIP_H
#define ES_SKIP_H

#include "es_classes.h"
#include "es_lists.h"
#include "es_requant.h"

enum {
    ES_SKIP_ROWS = 8,       /* outputs made at a time, those of a block */
    ES_SKIP_WORD_BYTES = 16 /* words of a column: two weights in each of four */
};

/* A pixel of a listed row, or a place beside the row. */
typedef struct {
    uint32_t first;       /* es_skip_address of its first entry, or of the next one if it has none */
    int32_t behind_bytes; /* from the pixel's words to where the steps stand before that entry */
} es_skip_place_t;

/* The lower half of an entry's address is all that its distance from the lists' start needs. */
ES_INLINE uint32_t es_skip_address(const uint32_t *entry) { return (uint32_t)(uintptr_t)entry; }

ES_INLINE const uint32_t *es_skip_entry(const uint32_t *lists, uint32_t address) {
    return (const uint32_t *)((uintptr_t)lists + (address - es_skip_address(lists)));
}

/* Where a convolution's lists are, and of what. */
typedef struct {
    es_conv_params_t window; /* of a list of pixels as an image of rows of `band` pixels, where windows are pixels */
    uint32_t positions;      /* of the output */
    uint32_t band_rows;      /* output rows at a time */
    uint32_t slots;          /* rows that are listed at a time; input row y is in slot y % slots */
    uint32_t limit;          /* entries whose products the lanes hold */
    uint32_t *lists;         /* slots * in_w * in_c */
    uint32_t places;         /* of a row's starts: from pixel -pad_left to where the last window ends, or the row */
    uint32_t *entries;       /* of each slot, under all windows of a row */
    es_skip_place_t *row_places; /* slots * places */
} es_skip_lists_t;

/* What the eight outputs of a block have in common. */
typedef struct {
    const uint8_t *words; /* columns * 16 bytes */
    int32_t bias[ES_SKIP_ROWS];
    const es_channel_t *channels;
    uint32_t rows; /* that there are, 1..8 */
    bool is_short; /* all may take the short requantisation */
    es_output_t out;
    es_classes_t classes;    /* of the positions */
    const int16_t *amounts;  /* of a class, for `channels`, that are on top of the biases; NULL: none */
    uint32_t first;          /* of the rows */
    es_lists_outputs_t fast; /* the same, for es_lists_span_outputs */
} es_skip_block_t;

/* Bytes of scratch of the lists; sticks at an impossible size. */
uint32_t es_skip_buffer_size(const es_conv_params_t *params);

/* Lays the lists out in es_skip_buffer_size bytes. */
void es_skip_open(es_skip_lists_t *lists, const es_conv_params_t *params, uint32_t limit, void *scratch);

/* Lists the input rows that output rows out_y .. out_y + band_rows - 1 need, from those that out_y - band_rows .. needed. */
void es_skip_list_rows(const es_skip_lists_t *lists, const int8_t *image, uint32_t out_y);

/* How many entries the windows of those output rows have, each as often as it is in one. */
uint32_t es_skip_count(const es_skip_lists_t *lists, uint32_t out_y);

/* Eight outputs at each position of those rows to `output`, which is of out_y's first position and the block's first row. */
void es_skip_multiply(const es_skip_lists_t *lists, es_skip_block_t *block, uint32_t out_y, int8_t *output);

/* Gives a block, which has its `out` and its `classes`, the channels of `first` and the seven rows after it as far as there
 * are.
 */
void es_skip_block_open(es_skip_block_t *block, const es_channel_t *channels, uint32_t first, uint32_t rows);

/* Makes known that block->bias has changed. */
void es_skip_block_bias(es_skip_block_t *block);

#endif
