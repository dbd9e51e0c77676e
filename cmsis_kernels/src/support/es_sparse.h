/* Encoded sparse rows, as the kernels read them: row after row, each either as a list (es_lists.h) or at once.
 *
 * One es_sparse_<encoding>.c an encoding; the bytes are described in src/encoding/es_encoding_<encoding>.c.
 */
#ifndef ES_SPARSE_H
#define ES_SPARSE_H

#include "es_lists.h"
#include "es_requant.h"

/* Where the next row is read; what the three stand for is the encoding's own matter. */
typedef struct {
    const uint8_t *table;
    const uint8_t *places;
    const uint8_t *values;
} es_sparse_cursor_t;

/* Where the operands of a column lie. Columns come in groups of neighbours that are `step` apart; from the last of a
 * group to the first of the next it is `step` and a jump more.
 */
typedef struct {
    uint32_t columns;      /* of a group */
    uint32_t step;         /* bytes, as in bits 12..31 of an entry */
    const uint32_t *jumps; /* from each group to the next, in the same form */
} es_sparse_operands_t;

/* A row as entries from `list` on. */
typedef struct {
    uint32_t *end;
    int32_t sum; /* of the weights */
} es_sparse_list_t;

/* Weights, and what makes outputs of their sums. */
typedef struct {
    const uint8_t *weights; /* checked, at a multiple of 4 */
    const es_channel_t *channels;
    uint32_t rows;
    uint32_t columns;
    es_output_t out;
} es_sparse_rows_t;

typedef struct {
    /* Puts the cursor before row 0. */
    void (*open)(es_sparse_cursor_t *cursor, const es_sparse_rows_t *rows);
    /* Writes a row's entries, up to `columns` of them, and goes on to the next row. */
    es_sparse_list_t (*list)(es_sparse_cursor_t *cursor, uint32_t columns, const es_sparse_operands_t *operands,
                             uint32_t *list);
    /* A column of int8 to an output of each row. */
    void (*one)(const es_sparse_rows_t *rows, const int8_t *column, int8_t *output);
} es_sparse_t;

extern const es_sparse_t es_sparse_bitmap;
extern const es_sparse_t es_sparse_run4;
extern const es_sparse_t es_sparse_delta8;

/* Wraps, as the reference's sums do. */
ES_INLINE int32_t es_sparse_add(int32_t acc, int32_t weight, int32_t value) {
    return (int32_t)((uint32_t)acc + (uint32_t)(weight * value));
}

typedef void es_sparse_open_t(es_sparse_cursor_t *cursor, const es_sparse_rows_t *rows);
/* acc + a row times a column of int8; goes on to the next row. */
typedef int32_t es_sparse_dot_t(es_sparse_cursor_t *cursor, uint32_t columns, const int8_t *column, int32_t acc);

/* An encoding's `one`, from its own `open` and a function for a row. */
ES_INLINE void es_sparse_one(const es_sparse_rows_t *rows, const int8_t *column, int8_t *output, es_sparse_open_t *open,
                             es_sparse_dot_t *dot) {
    const es_channel_t *channel = rows->channels;
    es_sparse_cursor_t cursor;
    open(&cursor, rows);
    for (uint32_t left = rows->rows; left != 0; left--) {
        const int32_t acc = dot(&cursor, rows->columns, column, channel->bias);
        *output++ = es_requantize(acc, channel, &rows->out);
        channel++;
    }
}

/* Entries in the making. */
typedef struct {
    uint32_t *next;
    int32_t sum;
    int32_t left;  /* columns behind the present one in its group */
    uint32_t step; /* of a column */
    uint32_t columns;
    const uint32_t *jumps; /* from the present group on */
} es_sparse_writer_t;

/* Before the first column: the first weight is one step on from there to column 0. */
ES_INLINE es_sparse_writer_t es_sparse_begin(const es_sparse_operands_t *operands, uint32_t *list) {
    const uint32_t columns = operands->columns;
    const es_sparse_writer_t writer = {list, 0, (int32_t)columns, operands->step, columns, operands->jumps};
    return writer;
}

/* The weight `columns` columns on, 1 or more. */
ES_INLINE void es_sparse_put(es_sparse_writer_t *writer, uint32_t columns, int32_t weight) {
    uint32_t entry = columns * writer->step;
    writer->left -= (int32_t)columns;
    while (ES_UNLIKELY(writer->left < 0)) {
        entry += *writer->jumps++;
        writer->left += (int32_t)writer->columns;
    }
    *writer->next++ = es_insert11(entry, weight);
    writer->sum += weight; /* at most 2^24 columns, so it fits */
}

/* The finished row; its first step was counted from before column 0. */
ES_INLINE es_sparse_list_t es_sparse_end(const es_sparse_writer_t *writer, uint32_t *list) {
    if (writer->next != list) {
        *list -= writer->step;
    }
    const es_sparse_list_t row = {writer->next, writer->sum};
    return row;
}

#endif
