/* Groups of four weights times four positions: the inner loop of encoding group4, for each instruction set.
 *
 * Besides es_intrin.h and es_port.h the only header that asks which one it is compiled for. Both forms read and write
 * the same sizes of memory: entries of 12 bytes, and ES_GROUP4_TILE_BYTES of a tile for each group of four columns.
 *
 *   es_group4_row(last, spare)             where to describe the row whose entries end at `last`: behind them or in spare
 *   es_group4_entry(to, w, index)          four weights and the index of their group, as the loop wants them
 *   es_group4_pack(to, from, groups)       the next `groups` times four values at four addresses, to a tile; the next place
 *   es_group4_sum(row, tile, acc)          adds all entries of a row to the accumulators of a tile's four positions
 *   es_group4_sum_first(row, tile)         the sum of a tile's first position alone
 *   es_group4_make(row, tile)              all outputs of a row that has the short requantisation, tile by tile
 */
#ifndef ES_INTRIN_GROUP4_H
#define ES_INTRIN_GROUP4_H

#include <stddef.h>

#include "es_intrin.h"
#include "es_requant.h"

#define ES_GROUP4_TILE_BYTES 32U

typedef struct {
    uint32_t weights[2];
    uint32_t offset; /* bytes from the start of a tile */
} es_group4_entry_t;

/* A row unpacked. */
typedef struct {
    int32_t bias[4]; /* of the positions of a tile */
    int32_t multiplier;
    int32_t rounding;
    uint32_t shift;
    int8_t *output; /* of the next position; es_group4_make moves it on */
    size_t pitch;   /* bytes between the outputs of two positions */
    const es_group4_entry_t *first;
    size_t is_odd; /* whether there is an odd number of entries; there is one or more */
    size_t tile_bytes;
    const uint8_t *last_tile; /* behind those that es_group4_make is to take, at least one */
    const es_group4_entry_t *last;
} es_group4_row_t;

/* Room behind the entries for what the loop needs there. */
#define ES_GROUP4_ROW_BYTES 56U

#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__)

/* A group of a tile is eight words of two int16: columns (0, 2) and (1, 3) of each position, one after another. */

/* Behind its entries, so that one register leads to the row and ends the loop. */
ES_INLINE es_group4_row_t *es_group4_row(es_group4_entry_t *last, es_group4_row_t *spare) {
    (void)spare;
    return (void *)last;
}

ES_INLINE void es_group4_entry(es_group4_entry_t *to, uint32_t weights, uint32_t index) {
    to->weights[0] = es_sxtb16(weights);
    to->weights[1] = es_sxtb16_ror8(weights);
    to->offset = index * ES_GROUP4_TILE_BYTES;
}

ES_INLINE uint32_t *es_group4_pack(uint32_t *to, const int8_t *const from[4], uint32_t groups) {
    const int8_t *a = from[0], *b = from[1], *c = from[2], *d = from[3];
    for (; groups != 0; groups--) {
        const uint32_t word0 = es_read_u32(a), word1 = es_read_u32(b), word2 = es_read_u32(c), word3 = es_read_u32(d);
        es_store_pair(to, 8, es_sxtb16(word0), es_sxtb16_ror8(word0));
        es_store_pair(to, 8, es_sxtb16(word1), es_sxtb16_ror8(word1));
        es_store_pair(to, 8, es_sxtb16(word2), es_sxtb16_ror8(word2));
        es_store_pair(to, 8, es_sxtb16(word3), es_sxtb16_ror8(word3));
        a += 4;
        b += 4;
        c += 4;
        d += 4;
    }
    return to;
}

/* 12 instructions for 16 products, and two for each pair of groups; all 14 registers are taken. */
#define ES_GROUP4_STEP                        \
    "ldmia %[entry]!, {r2, r3, r4}        \n" \
    "add r4, %[tile], r4                  \n" \
    "ldmia r4!, {r5, r6, r8, r9}          \n" \
    "smlad %[acc0], r2, r5, %[acc0]       \n" \
    "smlad %[acc1], r2, r8, %[acc1]       \n" \
    "smlad %[acc0], r3, r6, %[acc0]       \n" \
    "smlad %[acc1], r3, r9, %[acc1]       \n" \
    "ldmia r4, {r5, r6, r8, r9}           \n" \
    "smlad %[acc2], r2, r5, %[acc2]       \n" \
    "smlad %[acc3], r2, r8, %[acc3]       \n" \
    "smlad %[acc2], r3, r6, %[acc2]       \n" \
    "smlad %[acc3], r3, r9, %[acc3]       \n"

/* All entries; an odd number starts with the second step. */
#define ES_GROUP4_ALL                                                                                                 \
    "ldrd %[entry], r2, [%[row], #36]     \n"                                                                         \
    "cbnz r2, 3f                          \n"                                                                         \
    "2:                                   \n" ES_GROUP4_STEP "3:                                   \n" ES_GROUP4_STEP \
    "cmp %[entry], %[row]                 \n"                                                                         \
    "bne 2b                               \n"

/* es_requantize_short of two accumulators, to r8 and r9. */
#define ES_GROUP4_SCALE(acc0, acc1)           \
    "lsl r8, %[" acc0 "], #1              \n" \
    "lsl r9, %[" acc1 "], #1              \n" \
    "smmlar r8, r8, r2, r3                \n" \
    "smmlar r9, r9, r2, r3                \n" \
    "add r8, r8, %[" acc0 "], asr #31     \n" \
    "add r9, r9, %[" acc1 "], asr #31     \n" \
    "asr r8, r8, r4                       \n" \
    "asr r9, r9, r4                       \n" \
    "ssat r8, #8, r8                      \n" \
    "ssat r9, #8, r9                      \n"

ES_INLINE void es_group4_sum(const es_group4_row_t *row, const uint8_t *tile, int32_t acc[4]) {
    const es_group4_entry_t *entry;
    int32_t acc0 = row->bias[0], acc1 = row->bias[1], acc2 = row->bias[2], acc3 = row->bias[3];
    __asm__ volatile(
        ES_GROUP4_ALL
        : [entry] "=&r"(entry), [acc0] "+&r"(acc0), [acc1] "+&r"(acc1), [acc2] "+&r"(acc2), [acc3] "+&r"(acc3)
        : [tile] "r"(tile), [row] "r"(row)
        : "r2", "r3", "r4", "r5", "r6", "r8", "r9", "cc", "memory");
    acc[0] = acc0;
    acc[1] = acc1;
    acc[2] = acc2;
    acc[3] = acc3;
}

ES_INLINE int32_t es_group4_sum_first(const es_group4_row_t *row, const uint8_t *tile) {
    int32_t acc = row->bias[0];
    for (const es_group4_entry_t *entry = row->first; (const void *)entry != row; entry++) {
        const uint8_t *a = tile + entry->offset;
        uint32_t even, odd;
        es_load_pair(a, 8, even, odd);
        acc = es_smlad(entry->weights[0], even, acc);
        acc = es_smlad(entry->weights[1], odd, acc);
    }
    return acc;
}

_Static_assert(offsetof(es_group4_row_t, multiplier) == 16 && offsetof(es_group4_row_t, shift) == 24 &&
                   offsetof(es_group4_row_t, output) == 28 && offsetof(es_group4_row_t, pitch) == 32 &&
                   offsetof(es_group4_row_t, first) == 36 && offsetof(es_group4_row_t, is_odd) == 40 &&
                   offsetof(es_group4_row_t, tile_bytes) == 44 && offsetof(es_group4_row_t, last_tile) == 48 &&
                   sizeof(es_group4_row_t) == ES_GROUP4_ROW_BYTES,
               "as written out below");

ES_INLINE void es_group4_make(es_group4_row_t *row, const uint8_t *tile) {
    const es_group4_entry_t *entry;
    int32_t acc0, acc1, acc2, acc3;
    __asm__ volatile("1:                                   \n"
                     "ldrd %[acc0], %[acc1], [%[row]]      \n"
                     "ldrd %[acc2], %[acc3], [%[row], #8]  \n" ES_GROUP4_ALL "ldrd r2, r3, [%[row], #16]           \n"
                     "ldrd r4, r5, [%[row], #24]           \n"
                     "ldr r6, [%[row], #32]                \n" ES_GROUP4_SCALE(
                         "acc0", "acc1") "strb r8, [r5]                        \n"
                                         "strb r9, [r5, r6]                    \n"
                                         "add r5, r5, r6, lsl #1               \n" ES_GROUP4_SCALE(
                                             "acc2", "acc3") "strb r8, [r5]                        \n"
                                                             "strb r9, [r5, r6]                    \n"
                                                             "add r5, r5, r6, lsl #1               \n"
                                                             "str r5, [%[row], #28]                \n"
                                                             "ldrd r8, r9, [%[row], #44]           \n"
                                                             "add %[tile], %[tile], r8             \n"
                                                             "cmp %[tile], r9                      \n"
                                                             "bne 1b                               \n"
                     : [entry] "=&r"(entry), [acc0] "=&r"(acc0), [acc1] "=&r"(acc1), [acc2] "=&r"(acc2),
                       [acc3] "=&r"(acc3), [tile] "+&r"(tile)
                     : [row] "r"(row)
                     : "r2", "r3", "r4", "r5", "r6", "r8", "r9", "cc", "memory");
}

#else

/* A group of a tile is four words: four columns of each position; half of its bytes are left unused. */

ES_INLINE es_group4_row_t *es_group4_row(es_group4_entry_t *last, es_group4_row_t *spare) {
    (void)last;
    return spare;
}

ES_INLINE void es_group4_entry(es_group4_entry_t *to, uint32_t weights, uint32_t index) {
    to->weights[0] = weights;
    to->weights[1] = 0;
    to->offset = index * (ES_GROUP4_TILE_BYTES / 2);
}

ES_INLINE uint32_t *es_group4_pack(uint32_t *to, const int8_t *const from[4], uint32_t groups) {
    for (uint32_t at = 0; at < 4 * groups; at += 4) {
        to[0] = es_read_u32(from[0] + at);
        to[1] = es_read_u32(from[1] + at);
        to[2] = es_read_u32(from[2] + at);
        to[3] = es_read_u32(from[3] + at);
        to += 4;
    }
    return to;
}

/* One position's four products; each is at most 2^14 in size. */
ES_INLINE int32_t es_group4_products(const int8_t *a, const int8_t w[4], int32_t acc) {
    return (int32_t)((uint32_t)acc + (uint32_t)(a[0] * w[0] + a[1] * w[1] + a[2] * w[2] + a[3] * w[3]));
}

ES_INLINE void es_group4_sum(const es_group4_row_t *row, const uint8_t *tile, int32_t acc[4]) {
    memcpy(acc, row->bias, sizeof row->bias);
    for (const es_group4_entry_t *entry = row->first; entry != row->last; entry++) {
        const int8_t *const a = (const int8_t *)tile + entry->offset;
        int8_t w[4];
        memcpy(w, entry->weights, sizeof w);
        acc[0] = es_group4_products(a, w, acc[0]);
        acc[1] = es_group4_products(a + 4, w, acc[1]);
        acc[2] = es_group4_products(a + 8, w, acc[2]);
        acc[3] = es_group4_products(a + 12, w, acc[3]);
    }
}

ES_INLINE int32_t es_group4_sum_first(const es_group4_row_t *row, const uint8_t *tile) {
    int32_t acc = row->bias[0];
    for (const es_group4_entry_t *entry = row->first; entry != row->last; entry++) {
        int8_t w[4];
        memcpy(w, entry->weights, sizeof w);
        acc = es_group4_products((const int8_t *)tile + entry->offset, w, acc);
    }
    return acc;
}

ES_INLINE void es_group4_make(es_group4_row_t *row, const uint8_t *tile) {
    const es_scale_t scale = {row->multiplier, row->rounding, row->shift};
    for (; tile != row->last_tile; tile += row->tile_bytes) {
        int32_t acc[4];
        es_group4_sum(row, tile, acc);
        for (uint32_t i = 0; i < 4; i++) {
            *row->output = (int8_t)es_requantize_short(acc[i], &scale);
            row->output += row->pitch;
        }
    }
}

#endif

#endif
