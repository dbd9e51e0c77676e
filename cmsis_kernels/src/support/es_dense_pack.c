#include "es_dense_rows.h"
#include "es_intrin_tile.h"
#include "es_size.h"

/* Columns that at least share unpacked weights: fewer are cheaper one by one. */
enum {
    BAND_LEAST = 4
};

uint32_t es_dense_band(uint32_t rows, uint32_t columns, uint32_t band) {
    const uint32_t most = columns < band ? columns : band;
    if (most < BAND_LEAST || rows < ES_TILE_ROWS_MOST) {
        return 1;
    }
    const uint32_t bands = (columns - 1) / most + 1;
    return (columns - 1) / bands + 1;
}

uint32_t es_dense_scratch_bytes(uint32_t groups, uint32_t band) {
    const uint32_t pairs = band / 2 + band % 2;
    if (band == 1) {
        return es_size_mul(groups, ES_DOT_GROUP_BYTES);
    }
    return es_size_add(es_size_mul(es_size_mul(groups, es_size_add(pairs, 1)), ES_TILE_GROUP_BYTES), ES_TILE_HEAD_BYTES);
}

/* The last columns of a row that is no multiple of 4, and zeros. */
ES_INLINE void copy_rest(int8_t rest[4], const int8_t *column, uint32_t count) {
    for (uint32_t i = 0; i < 4; i++) {
        rest[i] = i < count % 4 ? column[(count & ~3U) + i] : 0;
    }
}

uint32_t *es_dense_pack_pair(uint32_t *to, const int8_t *first, const int8_t *second, uint32_t count) {
    to = es_tile_pack_columns(to, first, second, count / 4);
    if (count % 4 != 0) {
        int8_t a[4], b[4];
        copy_rest(a, first, count);
        copy_rest(b, second, count);
        to = es_tile_pack_columns(to, a, b, 1);
    }
    return to;
}

void es_dense_pack_one(uint32_t *to, const int8_t *column, uint32_t count) {
    to = es_dot_pack(to, column, count / 4);
    if (count % 4 != 0) {
        int8_t rest[4];
        copy_rest(rest, column, count);
        es_dot_pack(to, rest, 1);
    }
}
