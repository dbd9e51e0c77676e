/* The tile of a dense matrix product: a few rows of weights times two columns, every operand loaded once a tile.
 *
 * As es_intrin.h a header that asks for the instruction set, because the best tile and the best order of its operands
 * depend on it. Packed operands never leave scratch, so that their order is nobody else's business; their sizes are the
 * same in all forms. `groups` are four columns of the matrix each.
 *
 *   ES_TILE_ROWS                        rows of a tile
 *   ES_TILE_PAIR_WORDS                  words of a group of two packed columns
 *   es_tile_pack_columns(to, a, b, groups)            packs two columns; returns the next place
 *   es_tile_pack_rows(to, channels, weights, groups)  packs rows with their channels; ES_TILE_ROWS of each
 *   es_tile_sum(acc, rows, columns, groups)           sums of two columns; returns the next two
 *   es_tile_make(rows, columns, groups, pairs, output, pitch)  outputs of `pairs` times two columns, `pitch` apart, by
 *                                       the short requantisation
 *   es_dot_pack(to, from, groups)       packs a column for es_dot; returns the next place
 *   es_dot(row, column, groups, sum)    a row of int8 times such a column
 *
 * Scratch: ES_TILE_GROUP_BYTES a group, of two columns or of a tile's rows, whose channels take ES_TILE_HEAD_BYTES;
 * ES_DOT_GROUP_BYTES a group for es_dot.
 */
#ifndef ES_INTRIN_TILE_H
#define ES_INTRIN_TILE_H

#include "es_requant.h"

enum {
    ES_TILE_GROUP_BYTES = 16,
    ES_TILE_HEAD_BYTES = 64,
    ES_DOT_GROUP_BYTES = 8,
    ES_TILE_ROWS_MOST = 4 /* of any form */
};

#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__)

/* Two rows by two columns. A group is the words (0, 2) of the first and of the second and then both words (1, 3), as
 * SXTB16 takes them from four bytes. LDM loads a group of each operand and eight SMLAD form its 16 products: four sums,
 * eight operands and two pointers are all registers that there are, so the pointers' ends lie on the stack.
 * Packed rows are both biases, the groups, then multiplier, rounding and shift of each row.
 */
enum {
    ES_TILE_ROWS = 2,
    ES_TILE_PAIR_WORDS = 4,
    ES_TILE_GROUP_CODE_BYTES = 40
};

ES_INLINE uint32_t *es_tile_pack_columns(uint32_t *to, const int8_t *a, const int8_t *b, uint32_t groups) {
    for (; groups != 0; groups--) {
        __asm__ volatile("ldr r5, [%1], #4\n\t"
                         "ldr r7, [%2], #4\n\t"
                         "sxtb16 r4, r5\n\t"
                         "sxtb16 r6, r5, ror #8\n\t"
                         "sxtb16 r5, r7\n\t"
                         "sxtb16 r7, r7, ror #8\n\t"
                         "stm %0!, {r4, r5, r6, r7}"
                         : "+r"(to), "+r"(a), "+r"(b)
                         :
                         : "r4", "r5", "r6", "r7", "memory");
    }
    return to;
}

ES_INLINE void es_tile_pack_rows(uint32_t *to, const es_channel_t *channels, const uint8_t *weights, uint32_t groups) {
    const int8_t *const rows = (const int8_t *)weights;
    to[0] = (uint32_t)channels[0].bias;
    to[1] = (uint32_t)channels[1].bias;
    to = es_tile_pack_columns(to + 2, rows, rows + 4 * groups, groups);
    for (uint32_t row = 0; row < 2; row++) {
        to[0] = (uint32_t)channels[row].multiplier;
        to[1] = (uint32_t)channels[row].rounding;
        to[2] = (uint32_t)channels[row].shift;
        to += 3;
    }
}

#define ES_TILE_GROUP                     \
    "ldm.w %[w]!, {r4, r5, r6, r7}\n\t"   \
    "ldm.w %[a]!, {r8, r9, r10, r11}\n\t" \
    "smlad %[acc0], r4, r8, %[acc0]\n\t"  \
    "smlad %[acc1], r4, r9, %[acc1]\n\t"  \
    "smlad %[acc2], r5, r8, %[acc2]\n\t"  \
    "smlad %[acc3], r5, r9, %[acc3]\n\t"  \
    "smlad %[acc0], r6, r10, %[acc0]\n\t" \
    "smlad %[acc1], r6, r11, %[acc1]\n\t" \
    "smlad %[acc2], r7, r10, %[acc2]\n\t" \
    "smlad %[acc3], r7, r11, %[acc3]\n\t"

/* Sums from the biases on. Four groups a turn; the first turn jumps over those that are not there (PC is read 4 bytes
 * ahead).
 */
#define ES_TILE_SUM                               \
    "ldr %[w], %[rows]\n\t"                       \
    "ldr r4, %[skipped]\n\t"                      \
    "ldrd %[acc0], %[acc2], [%[w]], #8\n\t"       \
    "mov %[acc1], %[acc0]\n\t"                    \
    "mov %[acc3], %[acc2]\n\t"                    \
    ".balign 4\n\t"                               \
    "add pc, r4\n\t"                              \
    "nop\n"                                       \
    "1:\n\t"                                      \
    ES_TILE_GROUP ES_TILE_GROUP ES_TILE_GROUP ES_TILE_GROUP \
    "ldr r4, %[end]\n\t"                          \
    "cmp %[w], r4\n\t"                            \
    "bne 1b\n\t"

/* A sum of the row of multiplier m, rounding and shift to its output. The shift left keeps the sign, see es_requant.h. */
#define ES_TILE_PUT(acc, m, rounding, shift, place)          \
    "lsl %[" acc "], %[" acc "], #1\n\t"                     \
    "smmlar %[w], %[" acc "], " m ", " rounding "\n\t"       \
    "add %[w], %[w], %[" acc "], asr #31\n\t"                \
    "asr %[w], %[w], " shift "\n\t"                          \
    "ssat %[w], #8, %[w]\n\t"                                \
    "strb %[w], [r11, #" place "]\n\t"

ES_INLINE const uint32_t *es_tile_sum(int32_t acc[2][2], const uint32_t *rows, const uint32_t *columns,
                                      uint32_t groups) {
    const uint32_t *const end = rows + 2 + 4 * (size_t)groups;
    const uint32_t skipped = (-groups & 3U) * ES_TILE_GROUP_CODE_BYTES;
    const uint32_t *w;
    __asm__ volatile(ES_TILE_SUM
                     : [w] "=&r"(w), [a] "+r"(columns), [acc0] "=&r"(acc[0][0]), [acc1] "=&r"(acc[0][1]),
                       [acc2] "=&r"(acc[1][0]), [acc3] "=&r"(acc[1][1])
                     : [rows] "m"(rows), [end] "m"(end), [skipped] "m"(skipped)
                     : "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "cc", "memory");
    return columns;
}

ES_INLINE void es_tile_make(const uint32_t *rows, const uint32_t *columns, uint32_t groups, uint32_t pairs,
                            int8_t *output, uint32_t pitch) {
    const uint32_t *const end = rows + 2 + 4 * (size_t)groups;
    const uint32_t *const last = columns + (size_t)pairs * groups * ES_TILE_PAIR_WORDS;
    const uint32_t skipped = (-groups & 3U) * ES_TILE_GROUP_CODE_BYTES;
    const uint32_t *w;
    int32_t acc0, acc1, acc2, acc3;
    if (pairs == 0) {
        return;
    }
    __asm__ volatile("2:\n\t" ES_TILE_SUM
                     "ldm %[w], {r4, r5, r6, r7, r8, r9}\n\t"
                     "ldr r11, %[output]\n\t"
                     "ldr r10, %[pitch]\n\t"
                     ES_TILE_PUT("acc0", "r4", "r5", "r6", "0")
                     ES_TILE_PUT("acc2", "r7", "r8", "r9", "1")
                     "add r11, r10\n\t"
                     ES_TILE_PUT("acc1", "r4", "r5", "r6", "0")
                     ES_TILE_PUT("acc3", "r7", "r8", "r9", "1")
                     "ldr r4, %[last]\n\t"
                     "add r11, r10\n\t"
                     "cmp %[a], r4\n\t"
                     "str r11, %[output]\n\t"
                     "bne 2b"
                     : [w] "=&r"(w), [a] "+r"(columns), [acc0] "=&r"(acc0), [acc1] "=&r"(acc1), [acc2] "=&r"(acc2),
                       [acc3] "=&r"(acc3), [output] "+m"(output)
                     : [rows] "m"(rows), [end] "m"(end), [skipped] "m"(skipped), [last] "m"(last), [pitch] "m"(pitch)
                     : "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "cc", "memory");
}

ES_INLINE uint32_t *es_dot_pack(uint32_t *to, const int8_t *from, uint32_t groups) {
    for (; groups != 0; groups--) {
        const uint32_t word = es_read_u32(from);
        from += 4;
        es_store_pair(to, 8, es_sxtb16(word), es_sxtb16_ror8(word));
    }
    return to;
}

#define ES_DOT_WORD(w, even, odd)            \
    "sxtb16 r12, " w ", ror #8\n\t"          \
    "smlad %[sum], r12, " odd ", %[sum]\n\t" \
    "sxtb16 " w ", " w "\n\t"                \
    "smlad %[sum], " w ", " even ", %[sum]\n\t"

ES_INLINE int32_t es_dot(const uint8_t *row, const uint32_t *column, uint32_t groups, int32_t sum) {
    for (uint32_t left = groups & 3U; left != 0; left--) {
        uint32_t word, even, odd;
        es_load_step(row, 4, word);
        es_load_pair(column, 8, even, odd);
        sum = es_smlad(es_sxtb16_ror8(word), odd, es_smlad(es_sxtb16(word), even, sum));
    }
    for (groups /= 4; groups != 0; groups--) {
        __asm__ volatile("ldm %[w]!, {r4, r5, r6, r7}\n\t"
                         "ldm %[a]!, {r8, r9, r10, r11}\n\t"
                         ES_DOT_WORD("r4", "r8", "r9")
                         ES_DOT_WORD("r5", "r10", "r11")
                         "ldm %[a]!, {r8, r9, r10, r11}\n\t"
                         ES_DOT_WORD("r6", "r8", "r9")
                         ES_DOT_WORD("r7", "r10", "r11")
                         : [w] "+r"(row), [a] "+r"(column), [sum] "+r"(sum)
                         :
                         : "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "memory");
    }
    return sum;
}

#else

/* Four rows by two columns, of bytes: LDRSB widens for nothing, and a multiplication takes one product anyway. */
enum {
    ES_TILE_ROWS = 4,
    ES_TILE_PAIR_WORDS = 2
};

ES_INLINE uint32_t *es_tile_pack_columns(uint32_t *to, const int8_t *a, const int8_t *b, uint32_t groups) {
    int8_t *bytes = (int8_t *)to;
    for (uint32_t i = 0; i < 4 * groups; i++) {
        *bytes++ = a[i];
        *bytes++ = b[i];
    }
    return to + (size_t)groups * ES_TILE_PAIR_WORDS;
}

/* Biases, multipliers, roundings and shifts, then the weights. */
ES_INLINE void es_tile_pack_rows(uint32_t *to, const es_channel_t *channels, const uint8_t *weights, uint32_t groups) {
    const size_t row_bytes = (size_t)groups * 4;
    for (uint32_t row = 0; row < ES_TILE_ROWS; row++) {
        to[row] = (uint32_t)channels[row].bias;
        to[4 + row] = (uint32_t)channels[row].multiplier;
        to[8 + row] = (uint32_t)channels[row].rounding;
        to[12 + row] = (uint32_t)channels[row].shift;
    }
    uint8_t *bytes = (uint8_t *)(to + 16);
    for (size_t i = 0; i < row_bytes; i++) {
        bytes[0] = weights[i];
        bytes[1] = weights[i + row_bytes];
        bytes[2] = weights[i + 2 * row_bytes];
        bytes[3] = weights[i + 3 * row_bytes];
        bytes += 4;
    }
}

/* The sum wraps. */
ES_INLINE int32_t es_mla(int8_t w, int8_t a, int32_t sum) { return (int32_t)((uint32_t)sum + (uint32_t)(w * a)); }

ES_INLINE const uint32_t *es_tile_sum(int32_t acc[4][2], const uint32_t *rows, const uint32_t *columns,
                                      uint32_t groups) {
    const int8_t *w = (const int8_t *)(rows + 16);
    const int8_t *a = (const int8_t *)columns;
    const int8_t *const end = a + (size_t)groups * 8;
    int32_t acc00 = (int32_t)rows[0], acc01 = acc00, acc10 = (int32_t)rows[1], acc11 = acc10;
    int32_t acc20 = (int32_t)rows[2], acc21 = acc20, acc30 = (int32_t)rows[3], acc31 = acc30;
    while (a != end) {
        for (uint32_t i = 0; i < 4; i++) {
            acc00 = es_mla(w[0], a[0], acc00);
            acc01 = es_mla(w[0], a[1], acc01);
            acc10 = es_mla(w[1], a[0], acc10);
            acc11 = es_mla(w[1], a[1], acc11);
            acc20 = es_mla(w[2], a[0], acc20);
            acc21 = es_mla(w[2], a[1], acc21);
            acc30 = es_mla(w[3], a[0], acc30);
            acc31 = es_mla(w[3], a[1], acc31);
            w += 4;
            a += 2;
        }
    }
    acc[0][0] = acc00, acc[0][1] = acc01, acc[1][0] = acc10, acc[1][1] = acc11;
    acc[2][0] = acc20, acc[2][1] = acc21, acc[3][0] = acc30, acc[3][1] = acc31;
    return columns + (size_t)groups * ES_TILE_PAIR_WORDS;
}

ES_INLINE void es_tile_make(const uint32_t *rows, const uint32_t *columns, uint32_t groups, uint32_t pairs,
                            int8_t *output, uint32_t pitch) {
    for (; pairs != 0; pairs--) {
        int32_t acc[ES_TILE_ROWS][2];
        columns = es_tile_sum(acc, rows, columns, groups);
        for (uint32_t row = 0; row < ES_TILE_ROWS; row++) {
            const es_scale_t scale = {(int32_t)rows[4 + row], (int32_t)rows[8 + row], rows[12 + row]};
            output[row] = (int8_t)es_requantize_short(acc[row][0], &scale);
            output[row + pitch] = (int8_t)es_requantize_short(acc[row][1], &scale);
        }
        output += 2 * pitch;
    }
}

ES_INLINE uint32_t *es_dot_pack(uint32_t *to, const int8_t *from, uint32_t groups) {
    for (uint32_t i = 0; i < groups; i++) {
        to[i] = es_read_u32(from + 4 * i);
    }
    return to + groups;
}

ES_INLINE int32_t es_dot(const uint8_t *row, const uint32_t *column, uint32_t groups, int32_t sum) {
    const int8_t *w = (const int8_t *)row;
    const int8_t *a = (const int8_t *)column;
    for (; groups != 0; groups--) {
        sum = es_mla(w[0], a[0], sum);
        sum = es_mla(w[1], a[1], sum);
        sum = es_mla(w[2], a[2], sum);
        sum = es_mla(w[3], a[3], sum);
        w += 4;
        a += 4;
    }
    return sum;
}

#endif

#endif
