#include "es_sparse.h"

enum {
    GROUP = 4
};

/* table: groups of each row; places: the groups. */

static void open(es_sparse_cursor_t *cursor, const es_sparse_rows_t *rows) {
    cursor->table = rows->weights;
    cursor->places = rows->weights + ((size_t)rows->rows + 1) / 2 * 4;
    cursor->values = cursor->places;
}

/* Fillers become part of the next step: a row has no more entries than columns. */
#define PUT(shift)                                                                \
    step += (steps) >> (shift) & 0xffU;                                           \
    if ((weights >> (shift) & 0xffU) != 0) {                                      \
        es_sparse_put(&writer, step, (int32_t)(weights << (24 - (shift))) >> 24); \
        step = 0;                                                                 \
    }

static es_sparse_list_t list_row(es_sparse_cursor_t *cursor, uint32_t columns, const es_sparse_operands_t *operands,
                                 uint32_t *list) {
    (void)columns;
    es_sparse_writer_t writer = es_sparse_begin(operands, list);
    const uint8_t *places = cursor->places;
    uint32_t step = 1;
    for (uint32_t groups = es_read_u16(cursor->table); groups != 0; groups--) {
        uint32_t steps, weights;
        es_load_pair(places, 2 * GROUP, steps, weights);
        PUT(0)
        PUT(8)
        PUT(16)
        PUT(24)
    }
    cursor->table += 2;
    cursor->places = places;
    return es_sparse_end(&writer, list);
}

ES_INLINE int32_t dot_row(es_sparse_cursor_t *cursor, uint32_t columns, const int8_t *column, int32_t acc) {
    (void)columns;
    const uint8_t *places = cursor->places;
    uint32_t index = 0;
    for (uint32_t groups = es_read_u16(cursor->table); groups != 0; groups--) {
        uint32_t steps, w;
        es_load_pair(places, 2 * GROUP, steps, w);
        const uint32_t w02 = es_sxtb16(w);
        const uint32_t w13 = es_sxtb16_ror8(w);
        index = es_uxtab(index, steps);
        acc = es_smlabb(w02, (uint32_t)column[index], acc);
        index = es_uxtab_ror8(index, steps);
        acc = es_smlabb(w13, (uint32_t)column[index], acc);
        index = es_uxtab_ror16(index, steps);
        acc = es_smlatb(w02, (uint32_t)column[index], acc);
        index = es_uxtab_ror24(index, steps);
        acc = es_smlatb(w13, (uint32_t)column[index], acc);
    }
    cursor->table += 2;
    cursor->places = places;
    return acc;
}

static void one(const es_sparse_rows_t *rows, const int8_t *column, int8_t *output) {
    es_sparse_one(rows, column, output, open, dot_row);
}

const es_sparse_t es_sparse_delta8 = {open, list_row, one};
