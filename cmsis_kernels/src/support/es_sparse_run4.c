#include "es_sparse.h"

enum {
    SKIP = 15 /* a run of so many zeros and no weight behind it */
};

/* table: nibbles of each row; places: the nibbles; values: the weights. */

static void open(es_sparse_cursor_t *cursor, const es_sparse_rows_t *rows) {
    cursor->table = rows->weights;
    cursor->places = rows->weights + (size_t)rows->rows * 2;
    cursor->values = cursor->places;
    for (uint32_t row = 0; row < rows->rows; row++) {
        cursor->values += ((uint32_t)es_read_u16(rows->weights + 2 * row) + 1) / 2;
    }
}

static es_sparse_list_t list_row(es_sparse_cursor_t *cursor, uint32_t columns, const es_sparse_operands_t *operands,
                                 uint32_t *list) {
    (void)columns;
    es_sparse_writer_t writer = es_sparse_begin(operands, list);
    const int8_t *values = (const int8_t *)cursor->values;
    const uint8_t *places = cursor->places;
    uint32_t step = 1;
    uint32_t nibbles = es_read_u16(cursor->table);
    for (; nibbles >= 2; nibbles -= 2) {
        const uint32_t both = *places++;
        step += both & 15;
        if ((both & 15) != SKIP) {
            es_sparse_put(&writer, step, *values++);
            step = 1;
        }
        step += both >> 4;
        if (both >> 4 != SKIP) {
            es_sparse_put(&writer, step, *values++);
            step = 1;
        }
    }
    if (nibbles != 0) {
        const uint32_t run = *places++ & 15;
        if (run != SKIP) {
            es_sparse_put(&writer, step + run, *values++);
        }
    }
    cursor->table += 2;
    cursor->places = places;
    cursor->values = (const uint8_t *)values;
    return es_sparse_end(&writer, list);
}

ES_INLINE int32_t dot_row(es_sparse_cursor_t *cursor, uint32_t columns, const int8_t *column, int32_t acc) {
    (void)columns;
    const int8_t *values = (const int8_t *)cursor->values;
    const uint8_t *places = cursor->places;
    uint32_t nibbles = es_read_u16(cursor->table);
    for (; nibbles >= 2; nibbles -= 2) {
        const uint32_t both = *places++;
        column += both & 15;
        if ((both & 15) != SKIP) {
            acc = es_sparse_add(acc, *values++, *column++);
        }
        column += both >> 4;
        if (both >> 4 != SKIP) {
            acc = es_sparse_add(acc, *values++, *column++);
        }
    }
    if (nibbles != 0) {
        const uint32_t run = *places++ & 15;
        if (run != SKIP) {
            acc = es_sparse_add(acc, *values++, column[run]);
        }
    }
    cursor->table += 2;
    cursor->places = places;
    cursor->values = (const uint8_t *)values;
    return acc;
}

static void one(const es_sparse_rows_t *rows, const int8_t *column, int8_t *output) {
    es_sparse_one(rows, column, output, open, dot_row);
}

const es_sparse_t es_sparse_run4 = {open, list_row, one};
