#include "es_delta8_rows.h"

uint32_t *es_delta8_interleave(uint32_t *to, const int8_t *const from[4], uint32_t columns) {
    const int8_t *a = from[0], *b = from[1], *c = from[2], *d = from[3];
    for (; columns >= 4; columns -= 4) {
        /* Bytes (a0 a1 b0 b1) and (a2 a3 b2 b3): SXTB16 then finds the two values of a column in one word. */
        uint32_t word = es_read_u32(a), other = es_read_u32(b);
        const uint32_t ab01 = es_pkhbt(word, other), ab23 = es_pkhtb(word, other);
        word = es_read_u32(c), other = es_read_u32(d);
        const uint32_t cd01 = es_pkhbt(word, other), cd23 = es_pkhtb(word, other);
        es_store_pair(to, 8, es_sxtb16(ab01), es_sxtb16(cd01));
        es_store_pair(to, 8, es_sxtb16_ror8(ab01), es_sxtb16_ror8(cd01));
        es_store_pair(to, 8, es_sxtb16(ab23), es_sxtb16(cd23));
        es_store_pair(to, 8, es_sxtb16_ror8(ab23), es_sxtb16_ror8(cd23));
        a += 4;
        b += 4;
        c += 4;
        d += 4;
    }
    for (; columns != 0; columns--) {
        to[0] = es_pkhbt((uint32_t)*a++, (uint32_t)*b++);
        to[1] = es_pkhbt((uint32_t)*c++, (uint32_t)*d++);
        to += 2;
    }
    return to;
}

/* The table of group counts, rounded up to a multiple of 4 bytes, comes first. */
static const uint8_t *first_group(const es_delta8_rows_t *sparse) {
    return sparse->weights + ((size_t)sparse->rows + 1) / 2 * 4;
}

void es_delta8_rows_one(const es_delta8_rows_t *sparse, const int8_t *column, int8_t *output) {
    const uint8_t *entries = first_group(sparse);
    const es_channel_t *channel = sparse->channels;
    for (uint32_t row = 0; row < sparse->rows; row++) {
        int32_t acc = channel->bias;
        uint32_t index = 0;
        for (uint32_t groups = es_read_u16(sparse->weights + 2 * row); groups != 0; groups--) {
            uint32_t steps, w;
            es_load_pair(entries, 8, steps, w);
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
        *output++ = es_requantize(acc, channel, &sparse->out);
        channel++;
    }
}

/* Adds one entry's weight, held in the lower (B) or upper (T) lane of `weight`, times four columns. */
#define ADD_ENTRY(lane, weight)                          \
    do {                                                 \
        const uint32_t a = es_load_scaled8(low, index);  \
        const uint32_t b = es_load_scaled8(high, index); \
        acc0 = es_smla##lane##b(weight, a, acc0);        \
        acc1 = es_smla##lane##t(weight, a, acc1);        \
        acc2 = es_smla##lane##b(weight, b, acc2);        \
        acc3 = es_smla##lane##t(weight, b, acc3);        \
    } while (0)

void es_delta8_rows_four(const es_delta8_rows_t *sparse, const uint32_t *interleaved, uint32_t count, int8_t *output) {
    const uint8_t *entries = first_group(sparse);
    const es_channel_t *channel = sparse->channels;
    const uint8_t *groups_of = sparse->weights;
    const uint32_t *low = interleaved, *high = interleaved + 1;
    es_opaque(high); /* two bases, so that both words are loaded by base and scaled index */
    /* Outputs of dropped columns go where the first column's, which come last, write over them. */
    uint32_t to1 = count > 1 ? sparse->rows : 0;
    uint32_t to2 = count > 2 ? 2 * sparse->rows : 0;
    uint32_t to3 = count > 3 ? 3 * sparse->rows : 0;
    for (const es_channel_t *const last = channel + sparse->rows; channel != last; channel++) {
        int32_t acc0 = channel->bias, acc1 = acc0, acc2 = acc0, acc3 = acc0;
        uint32_t index = 0;
        for (uint32_t groups = es_read_u16(groups_of); groups != 0; groups--) {
            uint32_t steps, w;
            es_load_pair(entries, 8, steps, w);
            const uint32_t w02 = es_sxtb16(w);
            const uint32_t w13 = es_sxtb16_ror8(w);
            index = es_uxtab(index, steps);
            ADD_ENTRY(b, w02);
            index = es_uxtab_ror8(index, steps);
            ADD_ENTRY(b, w13);
            index = es_uxtab_ror16(index, steps);
            ADD_ENTRY(t, w02);
            index = es_uxtab_ror24(index, steps);
            ADD_ENTRY(t, w13);
        }
        const es_scale_t scale = es_scale_of(channel);
        es_opaque(to1); /* one pointer and offsets, not four pointers */
        es_opaque(to2);
        es_opaque(to3);
        if (ES_UNLIKELY(!es_scale_is_short(&scale, &sparse->out))) {
            output[to3] = es_requantize_any(acc3, channel, &sparse->out);
            output[to2] = es_requantize_any(acc2, channel, &sparse->out);
            output[to1] = es_requantize_any(acc1, channel, &sparse->out);
            output[0] = es_requantize_any(acc0, channel, &sparse->out);
        } else {
            output[to3] = (int8_t)es_requantize_short(acc3, &scale);
            output[to2] = (int8_t)es_requantize_short(acc2, &scale);
            output[to1] = (int8_t)es_requantize_short(acc1, &scale);
            output[0] = (int8_t)es_requantize_short(acc0, &scale);
        }
        output++;
        groups_of += 2;
    }
}

void es_delta8_rows_vectors(const es_delta8_rows_t *sparse, const int8_t *input, uint32_t columns, uint32_t vectors,
                            int8_t *output, uint32_t *interleaved) {
    while (vectors >= 2) {
        const uint32_t count = vectors >= 4 ? 4 : vectors;
        const int8_t *from[4];
        for (uint32_t i = 0; i < 4; i++) {
            from[i] = input + (i < count ? i * columns : 0); /* the first once more where none is left: dropped */
        }
        es_delta8_interleave(interleaved, from, columns);
        es_delta8_rows_four(sparse, interleaved, count, output);
        input += count * columns;
        output += count * sparse->rows;
        vectors -= count;
    }
    if (vectors != 0) {
        es_delta8_rows_one(sparse, input, output);
    }
}
