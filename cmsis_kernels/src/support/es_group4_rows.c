#include "es_group4_rows.h"

#include "es_size.h"

enum {
    BLOCK_BYTES = 20
};

uint32_t es_group4_tiles_bytes(uint32_t columns, uint32_t tiles) {
    return es_size_mul(es_size_mul(columns / 4, ES_GROUP4_TILE_BYTES), tiles);
}

uint32_t es_group4_entries_bytes(uint32_t columns) {
    return es_size_add(es_size_mul(columns / 4, sizeof(es_group4_entry_t)), ES_GROUP4_ROW_BYTES);
}

/* The table of block counts, rounded up to a multiple of 4 bytes, comes first. */
static const uint8_t *first_block(const es_group4_rows_t *sparse) {
    return sparse->weights + ((size_t)sparse->rows + 1) / 2 * 4;
}

/* Adds one group: four weights and, at the group's place, four inputs. */
#define ADD_GROUP(rotation, weights)                                     \
    do {                                                                 \
        index = es_uxtab##rotation(index, steps);                        \
        const uint32_t a = es_read_u32(column + 4 * (size_t)index);      \
        acc = es_smlad(es_sxtb16(weights), es_sxtb16(a), acc);           \
        acc = es_smlad(es_sxtb16_ror8(weights), es_sxtb16_ror8(a), acc); \
    } while (0)

void es_group4_rows_one(const es_group4_rows_t *sparse, const int8_t *column, int8_t *output) {
    const uint8_t *block = first_block(sparse);
    const es_channel_t *channel = sparse->channels;
    for (uint32_t row = 0; row < sparse->rows; row++) {
        int32_t acc = channel->bias;
        uint32_t index = 0;
        for (uint32_t blocks = es_read_u16(sparse->weights + 2 * row); blocks != 0; blocks--) {
            uint32_t steps, w0, w1, w2, w3;
            es_load_step(block, 4, steps);
            es_load_pair(block, 8, w0, w1);
            ADD_GROUP(, w0);
            ADD_GROUP(_ror8, w1);
            es_load_pair(block, 8, w2, w3);
            ADD_GROUP(_ror16, w2);
            ADD_GROUP(_ror24, w3);
        }
        *output++ = es_requantize(acc, channel, &sparse->out);
        channel++;
    }
}

/* Unpacks one group, unless it is a filler. */
#define UNPACK(rotation, place)                                      \
    do {                                                             \
        const uint32_t weights = es_load_u32(block + 4 + 4 * place); \
        index = es_uxtab##rotation(index, steps);                    \
        if (weights != 0) {                                          \
            es_group4_entry(to, weights, index);                     \
            to++;                                                    \
        }                                                            \
    } while (0)

/* Unpacks a row's groups without the fillers, at most columns / 4, or one of zeros where there is none. Returns the place
 * behind them.
 */
static es_group4_entry_t *unpack(const uint8_t *block, uint32_t blocks, es_group4_entry_t *to) {
    const es_group4_entry_t *const first = to;
    uint32_t index = 0;
    for (; blocks != 0; blocks--) {
        const uint32_t steps = es_load_u32(block);
        UNPACK(, 0);
        UNPACK(_ror8, 1);
        UNPACK(_ror16, 2);
        UNPACK(_ror24, 3);
        block += BLOCK_BYTES;
    }
    if (to == first) {
        es_group4_entry(to, 0, 0);
        to++;
    }
    return to;
}

/* One row's outputs for the positions of one tile, at most four. */
static void make_some(const es_group4_rows_t *sparse, const es_channel_t *channel, const es_group4_row_t *row,
                      const uint8_t *tile, uint32_t positions, int8_t *output) {
    int32_t acc[4];
    if (positions == 1) { /* maps of odd width and height leave one */
        *output = es_requantize(es_group4_sum_first(row, tile), channel, &sparse->out);
        return;
    }
    es_group4_sum(row, tile, acc);
    for (uint32_t i = 0; i < positions; i++) {
        *output = es_requantize(acc[i], channel, &sparse->out);
        output += sparse->rows;
    }
}

/* One row's outputs for positions whose biases repeat tile by tile. */
static void make_tiles(const es_group4_rows_t *sparse, const es_channel_t *channel, es_group4_row_t *row,
                       const uint8_t *tile, uint32_t positions) {
    const es_scale_t scale = es_scale_of(channel);
    if (!ES_UNLIKELY(!es_scale_is_short(&scale, &sparse->out)) && positions >= 4) {
        row->last_tile = tile + positions / 4 * row->tile_bytes;
        es_group4_make(row, tile);
        tile = row->last_tile;
        positions %= 4;
    }
    int8_t *output = row->output;
    while (positions != 0) {
        const uint32_t count = positions < 4 ? positions : 4;
        make_some(sparse, channel, row, tile, count, output);
        output += count * sparse->rows;
        tile += row->tile_bytes;
        positions -= count;
    }
}

/* The same for positions whose classes add to the biases: as many tiles at a time as have the first one's classes. */
ES_RARE void make_classes(const es_group4_rows_t *sparse, const es_channel_t *channel, es_group4_row_t *row,
                          const uint8_t *tile, uint32_t positions) {
    const uint32_t place = (uint32_t)(channel - sparse->channels);
    int8_t *output = row->output;
    while (positions != 0) {
        const uint8_t *const classes = es_classes_at(&sparse->classes, output);
        uint32_t count = positions < 4 ? positions : 4;
        for (uint32_t i = 0; i < count; i++) {
            const int32_t amount = *es_classes_amounts(&sparse->classes, classes[i], place);
            row->bias[i] = (int32_t)((uint32_t)channel->bias + (uint32_t)amount);
        }
        while (count + 4 <= positions && es_read_u32(classes + count) == es_read_u32(classes)) {
            count += 4;
        }
        row->output = output;
        make_tiles(sparse, channel, row, tile, count);
        tile += (count + 3) / 4 * row->tile_bytes;
        output += count * row->pitch;
        positions -= count;
    }
}

void es_group4_rows_tiles(const es_group4_rows_t *sparse, const uint32_t *tiles, uint32_t positions,
                          es_group4_entry_t *entries, int8_t *output) {
    const uint8_t *block = first_block(sparse);
    const es_channel_t *channel = sparse->channels;
    for (uint32_t place = 0; place < sparse->rows; place++) {
        const uint32_t blocks = es_read_u16(sparse->weights + 2 * place);
        es_group4_entry_t *const last = unpack(block, blocks, entries);
        es_group4_row_t spare;
        es_group4_row_t *const row = es_group4_row(last, &spare);
        row->bias[0] = row->bias[1] = row->bias[2] = row->bias[3] = channel->bias;
        row->multiplier = channel->multiplier;
        row->rounding = channel->rounding;
        row->shift = (uint32_t)channel->shift & 31U;
        row->output = output;
        row->pitch = sparse->rows;
        row->first = entries;
        row->last = last;
        row->is_odd = (uint32_t)(last - entries) % 2;
        row->tile_bytes = sparse->columns / 4 * ES_GROUP4_TILE_BYTES;
        if (es_classes_any(&sparse->classes) && es_classes_matter(&sparse->classes, place, 1)) {
            make_classes(sparse, channel, row, (const uint8_t *)tiles, positions);
        } else {
            make_tiles(sparse, channel, row, (const uint8_t *)tiles, positions);
        }
        block += blocks * BLOCK_BYTES;
        channel++;
        output++;
    }
}

void es_group4_pack_vectors(const int8_t *input, uint32_t columns, uint32_t vectors, uint32_t *tiles) {
    for (uint32_t done = 0; done < vectors; done += 4) {
        const int8_t *from[4];
        for (uint32_t i = 0; i < 4; i++) {
            from[i] = input + (done + i < vectors ? i * columns : 0);
        }
        es_group4_pack(tiles, from, columns / 4);
        tiles += columns / 4 * (ES_GROUP4_TILE_BYTES / 4);
        input += 4 * columns;
    }
}
