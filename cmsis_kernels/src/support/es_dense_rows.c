#include "es_dense_rows.h"

/* Sums wrap in two's complement, as the reference's do; where channel.exact is 0 the last one is known not to. */

/* Two words of a group of four columns: lanes (0, 2) and (1, 3). */
typedef struct {
    uint32_t a02;
    uint32_t a13;
} group_t;

ES_INLINE group_t next_group(const uint32_t **packed) {
    group_t group;
    es_load_pair(*packed, 8, group.a02, group.a13);
    return group;
}

/* The next four weights of a row, widened like a group. */
ES_INLINE group_t next_weights(const uint8_t **weights) {
    uint32_t word;
    es_load_step(*weights, 4, word);
    const group_t group = {es_sxtb16(word), es_sxtb16_ror8(word)};
    return group;
}

ES_INLINE int32_t multiply_add(group_t w, group_t a, int32_t acc) {
    return es_smlad(w.a13, a.a13, es_smlad(w.a02, a.a02, acc));
}

/* Sums of two rows and two columns, or of four rows and one. */
typedef struct {
    int32_t acc0, acc1, acc2, acc3;
} tile_t;

ES_INLINE void add_two_by_two(tile_t *tile, const uint8_t **w0, const uint8_t **w1, const uint32_t **packed) {
    const group_t a = next_group(packed);
    const group_t b = next_group(packed);
    group_t w = next_weights(w0);
    tile->acc0 = multiply_add(w, a, tile->acc0);
    tile->acc1 = multiply_add(w, b, tile->acc1);
    w = next_weights(w1);
    tile->acc2 = multiply_add(w, a, tile->acc2);
    tile->acc3 = multiply_add(w, b, tile->acc3);
}

void es_dense_rows_two(const es_dense_rows_t *dense, const uint32_t *packed, int8_t *output) {
    const es_channel_t *channel = dense->channels;
    const es_channel_t *const last = channel + dense->rows;
    const uint8_t *w0 = dense->weights;
    const uint32_t groups = dense->groups;
    const es_output_t out = dense->out;
    uint32_t pitch = dense->rows;
    for (; last - channel >= 2; channel += 2) {
        const uint8_t *w1 = w0 + groups * 4;
        const uint32_t *p = packed;
        tile_t tile = {channel[0].bias, channel[0].bias, channel[1].bias, channel[1].bias};
        uint32_t left = groups;
        if (left % 2 != 0) {
            add_two_by_two(&tile, &w0, &w1, &p);
        }
        for (left /= 2; left != 0; left--) {
            add_two_by_two(&tile, &w0, &w1, &p);
            es_sequence(tile.acc3, p);
            add_two_by_two(&tile, &w0, &w1, &p);
        }
        w0 = w1;
        es_opaque(pitch); /* one pointer to the outputs, not one for each column */
        es_requantize_two(tile.acc0, tile.acc1, &channel[0], &out, output, pitch);
        es_requantize_two(tile.acc2, tile.acc3, &channel[1], &out, output + 1, pitch);
        output += 2;
    }
    if (channel != last) {
        int32_t acc0 = channel->bias, acc1 = acc0;
        for (uint32_t left = groups; left != 0; left--) {
            const group_t w = next_weights(&w0);
            acc0 = multiply_add(w, next_group(&packed), acc0);
            acc1 = multiply_add(w, next_group(&packed), acc1);
        }
        es_requantize_two(acc0, acc1, channel, &out, output, pitch);
    }
}

void es_dense_rows_one(const es_dense_rows_t *dense, const uint32_t *packed, int8_t *output) {
    const es_channel_t *channel = dense->channels;
    const uint8_t *w0 = dense->weights;
    const uint32_t row_bytes = dense->groups * 4;
    uint32_t row = 0;
    for (; row + 4 <= dense->rows; row += 4) {
        const uint8_t *w1 = w0 + row_bytes;
        const uint8_t *w2 = w1 + row_bytes;
        const uint8_t *w3 = w2 + row_bytes;
        const uint32_t *p = packed;
        tile_t tile = {channel[0].bias, channel[1].bias, channel[2].bias, channel[3].bias};
        for (uint32_t groups = dense->groups; groups != 0; groups--) {
            const group_t a = next_group(&p);
            tile.acc0 = multiply_add(next_weights(&w0), a, tile.acc0);
            es_sequence(tile.acc0, w1);
            tile.acc1 = multiply_add(next_weights(&w1), a, tile.acc1);
            es_sequence(tile.acc1, w2);
            tile.acc2 = multiply_add(next_weights(&w2), a, tile.acc2);
            es_sequence(tile.acc2, w3);
            tile.acc3 = multiply_add(next_weights(&w3), a, tile.acc3);
        }
        w0 = w3;
        output[0] = es_requantize(tile.acc0, &channel[0], &dense->out);
        output[1] = es_requantize(tile.acc1, &channel[1], &dense->out);
        output[2] = es_requantize(tile.acc2, &channel[2], &dense->out);
        output[3] = es_requantize(tile.acc3, &channel[3], &dense->out);
        output += 4;
        channel += 4;
    }
    for (; row < dense->rows; row++) {
        const uint32_t *p = packed;
        int32_t acc = channel->bias;
        for (uint32_t groups = dense->groups; groups != 0; groups--) {
            acc = multiply_add(next_weights(&w0), next_group(&p), acc);
        }
        *output++ = es_requantize(acc, channel, &dense->out);
        channel++;
    }
}

/* One vector to packed words; the row's padding meets zeros. */
ES_INLINE void pack_vector(uint32_t *packed, const int8_t *vector, uint32_t columns, uint32_t step_bytes) {
    packed = es_dense_pack(packed, vector, columns / 4, step_bytes);
    if (columns % 4 != 0) {
        int8_t rest[4] = {0, 0, 0, 0};
        for (uint32_t i = 0; i < columns % 4; i++) {
            rest[i] = vector[(columns & ~3U) + i];
        }
        es_dense_pack(packed, rest, 1, step_bytes);
    }
}

void es_dense_rows_vectors(const es_dense_rows_t *dense, const int8_t *input, uint32_t columns, uint32_t vectors,
                           int8_t *output, uint32_t *packed) {
    for (; vectors >= 2; vectors -= 2) {
        pack_vector(packed, input, columns, ES_DENSE_TWO);
        pack_vector(packed + 2, input + columns, columns, ES_DENSE_TWO);
        es_dense_rows_two(dense, packed, output);
        input += 2 * columns;
        output += 2 * dense->rows;
    }
    if (vectors != 0) {
        pack_vector(packed, input, columns, ES_DENSE_ONE);
        es_dense_rows_one(dense, packed, output);
    }
}
