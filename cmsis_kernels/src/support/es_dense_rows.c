#include "es_dense_rows.h"

#include "es_intrin_tile.h"

/* Sums wrap in two's complement, as the reference's do; where channel.exact is 0 the last one is known not to. */

/* Where all rows of a tile take the short requantisation; a function of its own, for the registers. */
ES_APART void make_short(const uint32_t *rows, const uint32_t *packed, uint32_t groups, uint32_t pairs, int8_t *output,
                         uint32_t pitch) {
    es_tile_make(rows, packed, groups, pairs, output, pitch);
}

ES_RARE void make_any(const es_dense_rows_t *dense, const uint32_t *rows, const es_channel_t *channels,
                      const uint32_t *packed, uint32_t pairs, int8_t *output, uint32_t pitch) {
    for (; pairs != 0; pairs--) {
        int32_t acc[ES_TILE_ROWS][2];
        packed = es_tile_sum(acc, rows, packed, dense->groups);
        for (uint32_t row = 0; row < ES_TILE_ROWS; row++) {
            output[row] = es_requantize_any(acc[row][0], &channels[row], &dense->out);
            output[row + pitch] = es_requantize_any(acc[row][1], &channels[row], &dense->out);
        }
        output += 2 * pitch;
    }
}

static bool all_short(const es_channel_t *channels, const es_output_t *out) {
    bool is_short = true;
    for (uint32_t row = 0; row < ES_TILE_ROWS; row++) {
        const es_scale_t scale = es_scale_of(&channels[row]);
        is_short = is_short && es_scale_is_short(&scale, out);
    }
    return is_short;
}

void es_dense_rows_band(const es_dense_rows_t *dense, uint32_t *packed, uint32_t columns, int8_t *output) {
    const uint32_t groups = dense->groups;
    const uint32_t pitch = dense->rows;
    const uint32_t pairs = columns / 2;
    const uint32_t *const last = packed + (size_t)pairs * groups * ES_TILE_PAIR_WORDS;
    uint32_t *const rows = packed + (size_t)(pairs + columns % 2) * groups * ES_TILE_PAIR_WORDS;
    int8_t *const last_output = output + (size_t)(columns - 1) * pitch;
    for (uint32_t next = 0; next < dense->rows; next += ES_TILE_ROWS) {
        const uint32_t first = next + ES_TILE_ROWS <= dense->rows ? next : dense->rows - ES_TILE_ROWS;
        const es_channel_t *const channels = dense->channels + first;
        es_tile_pack_rows(rows, channels, dense->weights + (size_t)first * groups * 4, groups);
        if (all_short(channels, &dense->out)) {
            make_short(rows, packed, groups, pairs, output + first, pitch);
            make_short(rows, last, groups, columns % 2, last_output + first, 0);
        } else {
            make_any(dense, rows, channels, packed, pairs, output + first, pitch);
            make_any(dense, rows, channels, last, columns % 2, last_output + first, 0);
        }
    }
}

void es_dense_rows_one(const es_dense_rows_t *dense, const uint32_t *packed, int8_t *output) {
    const uint8_t *weights = dense->weights;
    const size_t row_bytes = (size_t)dense->groups * 4;
    uint32_t count;
    for (uint32_t first = 0; first < dense->rows; first += count) {
        const es_channel_t *const channels = dense->channels + first;
        const uint8_t *rows[ES_DOT_ROWS];
        int32_t acc[ES_DOT_ROWS];
        count = dense->rows - first < ES_DOT_ROWS ? dense->rows - first : ES_DOT_ROWS;
        for (uint32_t row = 0; row < ES_DOT_ROWS; row++) {
            const uint32_t real = row < count ? row : 0; /* the first once more where none is left: dropped */
            rows[row] = weights + real * row_bytes;
            acc[row] = channels[real].bias;
        }
        es_dot_rows(acc, rows, packed, dense->groups);
        for (uint32_t row = 0; row < count; row++) {
            *output++ = es_requantize(acc[row], &channels[row], &dense->out);
        }
        weights += count * row_bytes;
    }
}

void es_dense_rows_vectors(const es_dense_rows_t *dense, const int8_t *input, uint32_t count, uint32_t vectors,
                           uint32_t band, int8_t *output, uint32_t *packed) {
    if (band == 1) {
        for (; vectors != 0; vectors--) {
            es_dense_pack_one(packed, input, count);
            es_dense_rows_one(dense, packed, output);
            input += count;
            output += dense->rows;
        }
    }
    while (vectors != 0) {
        const uint32_t columns = vectors < band ? vectors : band;
        uint32_t *to = packed;
        for (uint32_t left = columns; left != 0;) {
            const uint32_t taken = left == 1 ? 1 : 2;
            to = es_dense_pack_pair(to, input, input + (taken - 1) * count, count);
            input += taken * count;
            left -= taken;
        }
        es_dense_rows_band(dense, packed, columns, output);
        output += columns * dense->rows;
        vectors -= columns;
    }
}
