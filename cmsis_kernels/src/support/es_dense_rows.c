#include "es_dense_rows.h"

#include "es_intrin_tile.h"

/* Sums wrap in two's complement, as the reference's do; where channel.exact is 0 the last one is known not to. */

/* A function of its own, for the registers. */
ES_APART void make_tiles(const uint32_t *rows, const uint32_t *packed, const es_tile_walk_t *walk,
                         const es_tile_places_t *places) {
    es_tile_make(rows, packed, walk, places);
}

/* Outputs of rows that do not all take the short requantisation: of two columns at a time, from their sums. */
ES_RARE void make_any(const uint32_t *rows, const uint32_t *packed, const es_tile_walk_t *walk,
                      const es_tile_places_t *places, const es_channel_t *channels, const es_output_t *out) {
    int8_t *output = places->output;
    for (uint32_t left = places->pairs; left != 0; left--) {
        int32_t acc[ES_TILE_ROWS][2];
        make_tiles(rows, packed, walk, &(es_tile_places_t){1, (int8_t *)acc, 0, 0});
        packed += (size_t)walk->pair_step * ES_TILE_PAIR_WORDS;
        for (uint32_t row = 0; row < ES_TILE_ROWS; row++) {
            output[row + places->second] = es_requantize_any(acc[row][1], &channels[row], out);
            output[row] = es_requantize_any(acc[row][0], &channels[row], out);
        }
        output += places->step;
    }
}

ES_INLINE void make_pairs(const uint32_t *rows, const uint32_t *packed, const es_tile_walk_t *walk,
                          es_tile_places_t places, const es_channel_t *exact, const es_output_t *out) {
    if (exact == NULL) {
        make_tiles(rows, packed, walk, &places);
    } else {
        make_any(rows, packed, walk, &places, exact, out);
    }
}

/* The same for columns whose classes add to the biases: as many pairs at a time as have the first one's two classes. */
ES_RARE void make_classes(uint32_t *rows, const uint32_t *packed, const es_tile_walk_t *walk, es_tile_places_t places,
                          const es_channel_t *exact, const es_dense_rows_t *dense, uint32_t row) {
    const uint32_t next = places.step < 2 * dense->rows ? 1 : 2; /* columns from a pair to the next */
    const uint8_t *first = es_classes_at(&dense->classes, places.output);
    const uint8_t *second = first + places.second / dense->rows;
    for (uint32_t left = places.pairs; left != 0; left -= places.pairs) {
        places.pairs = 1;
        while (places.pairs < left && first[places.pairs * next] == *first && second[places.pairs * next] == *second) {
            places.pairs++;
        }
        es_tile_add_biases(rows, dense->channels + row, es_classes_amounts(&dense->classes, *first, row),
                           es_classes_amounts(&dense->classes, *second, row));
        make_pairs(rows, packed, walk, places, exact, &dense->out);
        packed += places.pairs * walk->pair_step * ES_TILE_PAIR_WORDS;
        places.output += places.pairs * places.step;
        first += places.pairs * next;
        second += places.pairs * next;
    }
}

ES_INLINE bool all_short(const es_channel_t *channels, const es_output_t *out) {
    bool is_short = true;
    for (uint32_t row = 0; row < ES_TILE_ROWS; row++) {
        const es_scale_t scale = es_scale_of(&channels[row]);
        is_short = is_short && es_scale_is_short(&scale, out);
    }
    return is_short;
}

void es_dense_rows_band(const es_dense_rows_t *dense, const es_dense_band_t *band, const uint32_t *packed,
                        uint32_t *rows, int8_t *output) {
    const es_tile_walk_t walk = band->walk;
    const uint32_t pitch = band->second * dense->rows;
    const uint32_t step = band->second == 1 ? 2 * dense->rows : dense->rows;
    const uint32_t pairs = band->columns / 2;
    const size_t line_words = (size_t)band->line_groups * ES_TILE_PAIR_WORDS;
    const size_t line_outputs = (size_t)band->pitch * dense->rows;
    const size_t last_words = (size_t)pairs * walk.pair_step * ES_TILE_PAIR_WORDS;
    for (uint32_t next = 0; next < dense->rows; next += ES_TILE_ROWS) {
        const uint32_t first = next + ES_TILE_ROWS <= dense->rows ? next : dense->rows - ES_TILE_ROWS;
        const es_channel_t *const channels = dense->channels + first;
        const uint32_t *line = packed;
        int8_t *to = output + first;
        uint32_t *const end =
            es_tile_pack_rows(rows, channels, dense->weights + (size_t)first * dense->groups * 4, &walk);
        const bool matter = es_classes_any(&dense->classes) && es_classes_matter(&dense->classes, first, ES_TILE_ROWS);
        const es_channel_t *const exact = all_short(channels, &dense->out) ? NULL : channels;
        if (exact != NULL) {
            *end = ES_TILE_SUMS;
        }
        for (uint32_t left = band->lines; left != 0; left--) {
            const es_tile_places_t all = {pairs, to, pitch, step};
            const es_tile_places_t alone = {band->columns % 2, to + (size_t)pairs * step, 0, 0};
            if (ES_UNLIKELY(matter)) {
                make_classes(rows, line, &walk, all, exact, dense, first);
                make_classes(rows, line + last_words, &walk, alone, exact, dense, first);
            } else {
                if (pairs != 0) {
                    make_pairs(rows, line, &walk, all, exact, &dense->out);
                }
                if (alone.pairs != 0) {
                    make_pairs(rows, line + last_words, &walk, alone, exact, &dense->out);
                }
            }
            line += line_words;
            to += line_outputs;
        }
    }
}

void es_dense_rows_one(const es_dense_rows_t *dense, const uint32_t *packed, int8_t *output) {
    const uint8_t *weights = dense->weights;
    const int16_t *amounts = NULL;
    const size_t row_bytes = (size_t)dense->groups * 4;
    uint32_t count;
    if (es_classes_any(&dense->classes)) {
        amounts = es_classes_amounts(&dense->classes, *es_classes_at(&dense->classes, output), 0);
    }
    for (uint32_t first = 0; first < dense->rows; first += count) {
        const es_channel_t *const channels = dense->channels + first;
        const uint8_t *rows[ES_DOT_ROWS];
        int32_t acc[ES_DOT_ROWS];
        count = dense->rows - first < ES_DOT_ROWS ? dense->rows - first : ES_DOT_ROWS;
        for (uint32_t row = 0; row < ES_DOT_ROWS; row++) {
            const uint32_t real = row < count ? row : 0; /* the first once more where none is left: dropped */
            rows[row] = weights + real * row_bytes;
            acc[row] = channels[real].bias;
            if (amounts != NULL) {
                acc[row] = (int32_t)((uint32_t)acc[row] + (uint32_t)amounts[first + real]);
            }
        }
        es_dot_rows(acc, rows, packed, dense->groups);
        for (uint32_t row = 0; row < count; row++) {
            *output++ = es_requantize(acc[row], &channels[row], &dense->out);
        }
        weights += count * row_bytes;
    }
}

void es_dense_rows_vectors(const es_dense_rows_t *dense, const int8_t *input, uint32_t count, uint32_t vectors,
                           uint32_t most, int8_t *output, uint32_t *scratch) {
    const uint32_t share = es_dense_share(vectors, most);
    if (!es_dense_pays(dense->rows, share)) {
        for (; vectors != 0; vectors--) {
            es_dense_pack_one(scratch, input, count);
            es_dense_rows_one(dense, scratch, output);
            input += count;
            output += dense->rows;
        }
    }
    while (vectors != 0) {
        const uint32_t columns = vectors < share ? vectors : share;
        es_dense_band_t band = es_dense_band_of(dense->groups, columns);
        band.second = columns / 2 + columns % 2; /* so that first columns lie side by side, as do second ones */
        uint32_t *const rows = es_dense_pack_vectors(scratch, input, count, columns);
        es_dense_rows_band(dense, &band, scratch, rows, output);
        input += (size_t)columns * count;
        output += (size_t)columns * dense->rows;
        vectors -= columns;
    }
}
