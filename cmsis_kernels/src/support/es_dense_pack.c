#include "es_dense_rows.h"
#include "es_intrin_tile.h"
#include "es_size.h"

uint32_t es_dense_share(uint32_t columns, uint32_t most) {
    if (columns <= most || most == 0) {
        return columns;
    }
    const uint32_t bands = (columns - 1) / most + 1;
    return (columns - 1) / bands + 1;
}

bool es_dense_pays(uint32_t rows, uint32_t columns) { return rows >= ES_TILE_ROWS_MOST && columns >= 4; }

es_dense_band_t es_dense_band_of(uint32_t groups, uint32_t columns) {
    const es_dense_band_t band = {{1, groups, groups, groups}, 1, columns, 1, 0, 0};
    return band;
}

uint32_t es_dense_scratch_bytes(uint32_t groups, uint32_t columns) {
    const es_dense_band_t band = es_dense_band_of(groups, columns);
    const uint32_t pair_bytes = es_size_mul(groups, ES_TILE_GROUP_BYTES);
    return es_size_add(es_size_mul(columns / 2 + columns % 2, pair_bytes), es_tile_rows_bytes(&band.walk));
}

uint32_t es_dense_vectors_bytes(uint32_t rows, uint32_t count, uint32_t vectors, uint32_t most) {
    const uint32_t columns = es_dense_share(vectors, most);
    const uint32_t groups = es_size_round4(count) / 4;
    return es_dense_pays(rows, columns) ? es_dense_scratch_bytes(groups, columns)
                                        : es_size_mul(groups, ES_DOT_GROUP_BYTES);
}

/* The last columns of a row that is no multiple of 4, and zeros. */
ES_INLINE void copy_rest(int8_t rest[4], const int8_t *column, uint32_t count) {
    for (uint32_t i = 0; i < 4; i++) {
        rest[i] = i < count % 4 ? column[(count & ~3U) + i] : 0;
    }
}

__attribute__((noinline)) uint32_t *es_dense_pack_columns(uint32_t *to, const int8_t *first, const int8_t *second,
                                                          uint32_t groups) {
    return es_tile_pack_columns(to, first, second, groups);
}

uint32_t *es_dense_pack_pair(uint32_t *to, const int8_t *first, const int8_t *second, uint32_t count) {
    to = es_dense_pack_columns(to, first, second, count / 4);
    if (count % 4 != 0) {
        int8_t a[4], b[4];
        copy_rest(a, first, count);
        copy_rest(b, second, count);
        to = es_dense_pack_columns(to, a, b, 1);
    }
    return to;
}

uint32_t *es_dense_pack_vectors(uint32_t *to, const int8_t *vectors, uint32_t count, uint32_t columns) {
    const uint32_t pairs = columns / 2;
    const int8_t *const second = vectors + (size_t)(columns - pairs) * count;
    if (count % 4 == 0) {
        to = es_dense_pack_columns(to, vectors, second, pairs * count / 4);
    }
    for (uint32_t i = 0; i < pairs && count % 4 != 0; i++) {
        to = es_dense_pack_pair(to, vectors + (size_t)i * count, second + (size_t)i * count, count);
    }
    if (columns % 2 != 0) {
        const int8_t *const alone = vectors + (size_t)pairs * count;
        to = es_dense_pack_pair(to, alone, alone, count);
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
