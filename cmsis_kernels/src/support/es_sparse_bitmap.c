#include "es_sparse.h"

/* places: the bits; values: the weights. */

static void open(es_sparse_cursor_t *cursor, const es_sparse_rows_t *rows) {
    cursor->table = rows->weights;
    cursor->places = rows->weights;
    cursor->values = rows->weights + (size_t)rows->rows * ((rows->columns + 31) / 32) * 4;
}

static es_sparse_list_t list_row(es_sparse_cursor_t *cursor, uint32_t columns, const es_sparse_operands_t *operands,
                                 uint32_t *list) {
    es_sparse_writer_t writer = es_sparse_begin(operands, list);
    const int8_t *values = (const int8_t *)cursor->values;
    const uint8_t *places = cursor->places;
    uint32_t carried = 0; /* columns between the last weight and the word */
    for (uint32_t words = (columns + 31) / 32; words != 0; words--) {
        uint32_t bits = es_load_u32(places);
        places += 4;
        if (bits == 0) {
            carried += 32;
            continue;
        }
        const uint32_t behind = es_ctz(bits);
        uint32_t step = es_clz(bits) + 1;
        bits = es_shift_out(bits, step);
        es_sparse_put(&writer, carried + step, *values++);
        while (bits != 0) {
            step = es_clz(bits) + 1;
            bits = es_shift_out(bits, step);
            es_sparse_put(&writer, step, *values++);
        }
        carried = behind;
    }
    cursor->places = places;
    cursor->values = (const uint8_t *)values;
    return es_sparse_end(&writer, list);
}

ES_INLINE int32_t dot_row(es_sparse_cursor_t *cursor, uint32_t columns, const int8_t *column, int32_t acc) {
    const int8_t *values = (const int8_t *)cursor->values;
    const uint8_t *places = cursor->places;
    for (uint32_t words = (columns + 31) / 32; words != 0; words--) {
        uint32_t bits = es_load_u32(places);
        places += 4;
        const int8_t *from = column;
        while (bits != 0) {
            const uint32_t zeros = es_clz(bits);
            bits = bits << zeros << 1;
            from += zeros;
            acc = es_sparse_add(acc, *values++, *from++);
        }
        column += 32;
    }
    cursor->places = places;
    cursor->values = (const uint8_t *)values;
    return acc;
}

static void one(const es_sparse_rows_t *rows, const int8_t *column, int8_t *output) {
    es_sparse_one(rows, column, output, open, dot_row);
}

const es_sparse_t es_sparse_bitmap = {open, list_row, one};
