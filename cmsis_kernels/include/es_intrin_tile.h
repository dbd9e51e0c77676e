/* The tile of a dense matrix product: a few rows of weights times two columns, every operand loaded once a tile.
 *
 * As es_intrin.h a header that asks for the instruction set, because the best tile and the best order of its operands
 * depend on it. Packed operands never leave scratch, so that their order is nobody else's business; their sizes are the
 * same in all forms. `groups` are four columns of the matrix each. Hosts pack as cores without the DSP extension do; on x86-64
 * the sums and the requantisation are made with SSE2 (es_intrin_sse2.h).
 *
 *   ES_TILE_ROWS                        rows of a tile
 *   ES_TILE_PAIR_WORDS                  words of a group of two packed columns
 *   es_tile_pack_columns(to, a, b, groups)  packs two columns; returns the next place
 *   es_tile_pack_rows(to, channels, weights, walk)  packs ES_TILE_ROWS rows with their channels; returns the word
 *                                       that says how they end: ES_TILE_OUTPUTS, or the caller makes it ES_TILE_SUMS
 *   es_tile_add_biases(rows, channels, first, second)  gives packed rows other biases: those of the channels and,
 *                                       for the first and for the second column, an amount a row
 *   es_tile_make(rows, columns, walk, places)  outputs of two columns each by the short requantisation; at
 *                                       ES_TILE_SUMS the sums of the first two columns alone, to places->output
 *                                       as int32_t[ES_TILE_ROWS][2]
 *   ES_DOT_ROWS                         rows of es_dot_rows
 *   es_dot_rows(acc, rows, column, groups)  adds the products of rows of int8, at multiples of 4, with such a column
 *
 * Scratch: ES_TILE_GROUP_BYTES a group of two columns; es_tile_rows_bytes for a tile's rows; ES_DOT_GROUP_BYTES a group for
 * es_dot_rows.
 */
#ifndef ES_INTRIN_TILE_H
#define ES_INTRIN_TILE_H

#include "es_requant.h"
#include "es_size.h"
#if defined(__SSE2__)
#include "es_intrin_sse2.h"
#endif

enum {
    ES_TILE_GROUP_BYTES = 16,
    ES_TILE_TURN_GROUPS = 16, /* in a row without a test */
    ES_DOT_GROUP_BYTES = 8,
    ES_TILE_ROWS_MOST = 4 /* of any form */
};

/* Where the values of a column lie among the packed ones: in runs of groups. All fields are in groups but for `runs`. */
typedef struct {
    uint32_t runs;
    uint32_t run_groups;
    uint32_t run_step;  /* from run to run */
    uint32_t pair_step; /* from two columns to the next two */
} es_tile_walk_t;

/* Outputs of `pairs` times two columns. */
typedef struct {
    uint32_t pairs;
    int8_t *output;
    uint32_t second; /* from the first column's outputs to the second's; 0 drops the second's */
    uint32_t step;   /* from two columns' to the next two's */
} es_tile_places_t;

ES_INLINE uint32_t es_tile_rows_bytes(const es_tile_walk_t *walk) {
    const uint32_t turns = walk->run_groups / ES_TILE_TURN_GROUPS + 1;
    const uint32_t run_bytes = es_size_add(es_size_mul(walk->run_groups, 16), es_size_mul(turns, 8));
    return es_size_add(es_size_mul(walk->runs, run_bytes), 88);
}

#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__)

/* Two rows by two columns. A group is the words (0, 2) of the first and of the second and then both words (1, 3), as
 * SXTB16 takes them from four bytes. LDM loads a group of each operand and eight SMLAD form its 16 products: four sums,
 * eight operands and two pointers are all registers that there are. So nothing counts: packed rows are a program of turns
 * of up to ES_TILE_TURN_GROUPS groups. Before the first turn are both biases, twice each, and where in the code it begins;
 * behind each are how many bytes to move on in the columns and where the next one begins; behind the last multiplier,
 * rounding and shift of each row. The last turn goes to one of two ends, so that sums alone cost no loop of their own. Places in the
 * code are from where PC points as it is read, 4 bytes ahead.
 */
enum {
    ES_TILE_ROWS = 2,
    ES_TILE_PAIR_WORDS = 4,
    ES_TILE_GROUP_CODE_BYTES = 40,
    ES_TILE_BACK_CODE_BYTES = 10, /* from the end of the last group to the second jump's PC */
    ES_TILE_SUMS = 2,             /* from there to what stores the sums */
    ES_TILE_OUTPUTS = 18,         /* and to what makes outputs */
    ES_DOT_ROWS = 1
};

ES_INLINE uint32_t *es_tile_pack_columns(uint32_t *to, const int8_t *a, const int8_t *b, uint32_t groups) {
    if (groups % 2 != 0) {
        const uint32_t first = es_read_u32(a);
        const uint32_t second = es_read_u32(b);
        to[0] = es_sxtb16(first);
        to[1] = es_sxtb16(second);
        to[2] = es_sxtb16_ror8(first);
        to[3] = es_sxtb16_ror8(second);
        a += 4;
        b += 4;
        to += 4;
    }
    for (groups /= 2; groups != 0; groups--) {
        __asm__ volatile("ldr r6, [%1], #4\n\t"
                         "ldr r10, [%1], #4\n\t"
                         "ldr r7, [%2], #4\n\t"
                         "ldr r11, [%2], #4\n\t"
                         "sxtb16 r4, r6\n\t"
                         "sxtb16 r5, r7\n\t"
                         "sxtb16 r6, r6, ror #8\n\t"
                         "sxtb16 r7, r7, ror #8\n\t"
                         "sxtb16 r8, r10\n\t"
                         "sxtb16 r9, r11\n\t"
                         "sxtb16 r10, r10, ror #8\n\t"
                         "sxtb16 r11, r11, ror #8\n\t"
                         "stm %0!, {r4, r5, r6, r7, r8, r9, r10, r11}"
                         : "+&r"(to), "+&r"(a), "+&r"(b)
                         :
                         : "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "memory");
    }
    return to;
}

ES_INLINE uint32_t *es_tile_pack_rows(uint32_t *to, const es_channel_t *channels, const uint8_t *weights,
                                      const es_tile_walk_t *walk) {
    const int8_t *const rows = (const int8_t *)weights;
    const uint32_t row_bytes = walk->runs * walk->run_groups * 4;
    const uint32_t begin = ES_TILE_TURN_GROUPS * ES_TILE_GROUP_CODE_BYTES;
    uint32_t at = 0, before = begin;
    to[0] = to[1] = (uint32_t)channels[0].bias;
    to[2] = to[3] = (uint32_t)channels[1].bias;
    to += 4;
    for (uint32_t run = 0; run < walk->runs; run++) {
        uint32_t move = run == 0 ? 0 : walk->run_step - walk->run_groups;
        for (uint32_t left = walk->run_groups; left != 0;) {
            const uint32_t groups = left < ES_TILE_TURN_GROUPS ? left : ES_TILE_TURN_GROUPS;
            if (at != 0) {
                *to++ = move * ES_TILE_GROUP_BYTES;
                before = -(uint32_t)ES_TILE_BACK_CODE_BYTES;
            }
            *to++ = before - groups * ES_TILE_GROUP_CODE_BYTES;
            to = es_tile_pack_columns(to, rows + at, rows + row_bytes + at, groups);
            at += groups * 4;
            left -= groups;
            move = 0;
        }
    }
    *to++ = (walk->pair_step - (walk->runs - 1) * walk->run_step - walk->run_groups) * ES_TILE_GROUP_BYTES;
    *to = ES_TILE_OUTPUTS;
    for (uint32_t row = 0; row < 2; row++) {
        to[3 * row + 1] = (uint32_t)channels[row].multiplier;
        to[3 * row + 2] = (uint32_t)channels[row].rounding;
        to[3 * row + 3] = (uint32_t)channels[row].shift;
    }
    return to;
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

#define ES_TILE_FOUR_GROUPS ES_TILE_GROUP ES_TILE_GROUP ES_TILE_GROUP ES_TILE_GROUP

/* Runs the program of a tile's rows. */
#define ES_TILE_SUM                                                                           \
    "ldr %[w], %[rows]\n\t"                                                                   \
    "ldrd %[acc0], %[acc1], [%[w]], #8\n\t"                                                   \
    "ldrd %[acc2], %[acc3], [%[w]], #8\n\t"                                                   \
    "ldr r5, [%[w]], #4\n\t"                                                                  \
    ".balign 4\n\t"                                                                           \
    "add pc, r5\n\t"                                                                          \
    "nop\n\t" ES_TILE_FOUR_GROUPS ES_TILE_FOUR_GROUPS ES_TILE_FOUR_GROUPS ES_TILE_FOUR_GROUPS \
    "ldrd r4, r5, [%[w]], #8\n\t"                                                             \
    "add %[a], r4\n\t"                                                                        \
    "add pc, r5\n\t"                                                                          \
    "nop\n\t"                                                                                 \
    "nop\n\t"

/* A sum of the row of multiplier m, rounding and shift to its output. The shift left keeps the sign, see es_requant.h. */
#define ES_TILE_PUT(acc, m, rounding, shift, place)    \
    "lsl %[" acc "], %[" acc "], #1\n\t"               \
    "smmlar %[w], %[" acc "], " m ", " rounding "\n\t" \
    "add %[w], %[w], %[" acc "], asr #31\n\t"          \
    "asr %[w], %[w], " shift "\n\t"                    \
    "ssat %[w], #8, %[w]\n\t"                          \
    "strb %[w], [" place "]\n\t"

/* 16 bytes. */
#define ES_TILE_STORE_SUMS                 \
    "ldr r11, %[output]\n\t"               \
    "strd %[acc0], %[acc1], [r11]\n\t"     \
    "strd %[acc2], %[acc3], [r11, #8]\n\t" \
    "b.w 3f\n\t"

ES_INLINE void es_tile_make(const uint32_t *rows, const uint32_t *columns, const es_tile_walk_t *walk,
                            const es_tile_places_t *places) {
    const uint32_t *const end = columns + (size_t)places->pairs * walk->pair_step * ES_TILE_PAIR_WORDS;
    const uint32_t second = places->second, step = places->step;
    int8_t *output = places->output;
    const uint32_t *w;
    int32_t acc0, acc1, acc2, acc3;
    if (places->pairs == 0) {
        return;
    }
    __asm__ volatile("2:\n\t" ES_TILE_SUM ES_TILE_STORE_SUMS "ldm %[w], {r4, r5, r6, r7, r8, r9}\n\t"
                     "ldr r11, %[output]\n\t"
                     "ldr r10, %[second]\n\t"
                     "add r10, r11\n\t" ES_TILE_PUT("acc1", "r4", "r5", "r6", "r10")
                         ES_TILE_PUT("acc3", "r7", "r8", "r9",
                                     "r10, #1") "ldr r10, %[step]\n\t" ES_TILE_PUT("acc0", "r4", "r5", "r6", "r11")
                             ES_TILE_PUT("acc2", "r7", "r8", "r9", "r11, #1") "ldr r4, %[end]\n\t"
                                                                              "add r11, r10\n\t"
                                                                              "cmp %[a], r4\n\t"
                                                                              "str r11, %[output]\n\t"
                                                                              "bne 2b\n"
                                                                              "3:"
                     : [w] "=&r"(w), [a] "+&r"(columns), [acc0] "=&r"(acc0), [acc1] "=&r"(acc1), [acc2] "=&r"(acc2),
                       [acc3] "=&r"(acc3), [output] "+m"(output)
                     : [rows] "m"(rows), [end] "m"(end), [second] "m"(second), [step] "m"(step)
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

#define ES_DOT_WORD(w, even, odd)               \
    "sxtb16 %[odd], " w ", ror #8\n\t"          \
    "smlad %[acc], %[odd], " odd ", %[acc]\n\t" \
    "sxtb16 " w ", " w "\n\t"                   \
    "smlad %[acc], " w ", " even ", %[acc]\n\t"

/* 16 columns. */
#define ES_DOT_FOUR                                                                                         \
    "ldm.w %[w]!, {r4, r5, r6, r7}\n\t"                                                                     \
    "ldm.w %[a]!, {r8, r9, r10, r11}\n\t" ES_DOT_WORD("r4", "r8", "r9")                                     \
        ES_DOT_WORD("r5", "r10", "r11") "ldm.w %[a]!, {r8, r9, r10, r11}\n\t" ES_DOT_WORD("r6", "r8", "r9") \
            ES_DOT_WORD("r7", "r10", "r11")

/* 32 columns a turn, from the second half where the number of halves is odd. */
ES_INLINE void es_dot_rows(int32_t acc[1], const uint8_t *const rows[1], const uint32_t *column, uint32_t groups) {
    const uint8_t *row = rows[0];
    int32_t sum = acc[0];
    for (uint32_t left = groups % 4; left != 0; left--) {
        uint32_t word, even, odd;
        es_load_step(row, 4, word);
        es_load_pair(column, 8, even, odd);
        sum = es_smlad(es_sxtb16_ror8(word), odd, es_smlad(es_sxtb16(word), even, sum));
    }
    uint32_t turns = (groups / 4 + 1) / 2, odd;
    if (turns != 0) {
        __asm__ volatile("cbnz %[half], 2f\n"
                         "1:\n\t" ES_DOT_FOUR "2:\n\t" ES_DOT_FOUR "subs %[turns], #1\n\t"
                         "bne 1b"
                         : [w] "+&r"(row), [a] "+&r"(column), [acc] "+&r"(sum), [turns] "+&r"(turns), [odd] "=&r"(odd)
                         : [half] "l"(groups / 4 % 2)
                         : "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "cc", "memory");
    }
    acc[0] = sum;
}

#else

/* Four rows by two columns. A group is four bytes of each, as they are: LDRSB widens for nothing, and a multiplication
 * takes one product anyway. Packed rows are four biases, twice each, multipliers, roundings and shifts, which end they
 * have, then the groups.
 */
enum {
    ES_TILE_ROWS = 4,
    ES_TILE_PAIR_WORDS = 2,
    ES_TILE_SUMS = 0,
    ES_TILE_OUTPUTS = 1,
    ES_DOT_ROWS = 4
};

ES_INLINE uint32_t *es_tile_pack_columns(uint32_t *to, const int8_t *a, const int8_t *b, uint32_t groups) {
    for (; groups != 0; groups--) {
        to[0] = es_read_u32(a);
        to[1] = es_read_u32(b);
        a += 4;
        b += 4;
        to += ES_TILE_PAIR_WORDS;
    }
    return to;
}

ES_INLINE uint32_t *es_tile_pack_rows(uint32_t *to, const es_channel_t *channels, const uint8_t *weights,
                                      const es_tile_walk_t *walk) {
    const uint32_t groups = walk->runs * walk->run_groups;
    const size_t row_bytes = (size_t)groups * 4;
    for (uint32_t row = 0; row < ES_TILE_ROWS; row++) {
        to[2 * row] = to[2 * row + 1] = (uint32_t)channels[row].bias;
        to[8 + row] = (uint32_t)channels[row].multiplier;
        to[12 + row] = (uint32_t)channels[row].rounding;
        to[16 + row] = (uint32_t)channels[row].shift;
    }
    uint32_t *const end = to + 20;
    *end = ES_TILE_OUTPUTS;
    to += 21;
    for (uint32_t left = groups; left != 0; left--) {
        to[0] = es_load_u32(weights);
        to[1] = es_load_u32(weights + row_bytes);
        to[2] = es_load_u32(weights + 2 * row_bytes);
        to[3] = es_load_u32(weights + 3 * row_bytes);
        weights += 4;
        to += 4;
    }
    return end;
}

/* The sum wraps. */
ES_INLINE int32_t es_mla(int8_t w, int8_t a, int32_t sum) { return (int32_t)((uint32_t)sum + (uint32_t)(w * a)); }

#if defined(__thumb2__)

/* One column of the matrix: loads one after another, as each but the first of them takes one cycle less. */
#define ES_TILE_COLUMN(first, second, row0, row1, row2, row3) \
    "ldrsb %[a0], [%[a], #" first "]\n\t"                     \
    "ldrsb %[a1], [%[a], #" second "\n\t"                     \
    "ldrsb %[w0], [%[w], #" row0 "]\n\t"                      \
    "ldrsb %[w1], [%[w], #" row1 "]\n\t"                      \
    "mla %[acc00], %[w0], %[a0], %[acc00]\n\t"                \
    "mla %[acc01], %[w0], %[a1], %[acc01]\n\t"                \
    "mla %[acc10], %[w1], %[a0], %[acc10]\n\t"                \
    "mla %[acc11], %[w1], %[a1], %[acc11]\n\t"                \
    "ldrsb %[w0], [%[w], #" row2 "]\n\t"                      \
    "ldrsb %[w1], [%[w], #" row3 "\n\t"                       \
    "mla %[acc20], %[w0], %[a0], %[acc20]\n\t"                \
    "mla %[acc21], %[w0], %[a1], %[acc21]\n\t"                \
    "mla %[acc30], %[w1], %[a0], %[acc30]\n\t"                \
    "mla %[acc31], %[w1], %[a1], %[acc31]\n\t"

#define ES_TILE_BYTES                                \
    ES_TILE_COLUMN("1", "5]", "1", "5", "9", "13]")  \
    ES_TILE_COLUMN("2", "6]", "2", "6", "10", "14]") \
    ES_TILE_COLUMN("3", "7]", "3", "7", "11", "15]") \
    ES_TILE_COLUMN("4", "8]!", "4", "8", "12", "16]!")

/* Pointers are one byte behind, so that the last load of a group moves each by as much as it has read. */
ES_INLINE void es_tile_add(int32_t acc[4][2], const uint32_t *rows, const uint32_t *columns,
                           const es_tile_walk_t *walk) {
    const uint32_t step_bytes = walk->run_step * 8;
    const uint32_t move_bytes = step_bytes - walk->run_groups * 8;
    const uintptr_t last = (uintptr_t)rows + walk->runs * walk->run_groups * 16 - 1;
    uintptr_t w = (uintptr_t)rows - 1, a = (uintptr_t)columns - 1;
    uintptr_t end = a + walk->run_groups * 8;
    int32_t w0, w1, a0, a1;
    __asm__ volatile("1:\n\t" ES_TILE_BYTES "ldr %[w0], %[end]\n\t"
                     "cmp %[a], %[w0]\n\t"
                     "bne 1b\n\t"
                     "ldr %[w1], %[last]\n\t"
                     "cmp %[w], %[w1]\n\t"
                     "beq 2f\n\t"
                     "ldr %[w1], %[move_bytes]\n\t"
                     "ldr %[a0], %[step_bytes]\n\t"
                     "add %[a], %[w1]\n\t"
                     "add %[w0], %[a0]\n\t"
                     "str %[w0], %[end]\n\t"
                     "b 1b\n"
                     "2:"
                     : [w] "+&r"(w), [a] "+&r"(a), [w0] "=&r"(w0), [w1] "=&r"(w1), [a0] "=&r"(a0), [a1] "=&r"(a1),
                       [acc00] "+&r"(acc[0][0]), [acc01] "+&r"(acc[0][1]), [acc10] "+&r"(acc[1][0]),
                       [acc11] "+&r"(acc[1][1]), [acc20] "+&r"(acc[2][0]), [acc21] "+&r"(acc[2][1]),
                       [acc30] "+&r"(acc[3][0]), [acc31] "+&r"(acc[3][1]), [end] "+m"(end)
                     : [last] "m"(last), [move_bytes] "m"(move_bytes), [step_bytes] "m"(step_bytes)
                     : "cc", "memory");
}

#elif defined(__SSE2__)

/* Four products of a row and a column become two sums, which are one in the end. */
ES_INLINE void es_tile_add(int32_t acc[4][2], const uint32_t *rows, const uint32_t *columns,
                           const es_tile_walk_t *walk) {
    const __m128i zero = _mm_setzero_si128();
    __m128i upper0 = zero, upper1 = zero, lower0 = zero, lower1 = zero; /* two rows each, with columns 0 and 1 */
    for (uint32_t run = 0; run < walk->runs; run++) {
        const uint32_t *a = columns + (size_t)run * walk->run_step * ES_TILE_PAIR_WORDS;
        for (uint32_t left = walk->run_groups; left != 0; left--) {
            const __m128i w = es_read_sixteen(rows), both = es_widen_low(es_read_eight(a));
            const __m128i column0 = _mm_unpacklo_epi64(both, both), column1 = _mm_unpackhi_epi64(both, both);
            upper0 = es_add_products(upper0, es_widen_low(w), column0);
            upper1 = es_add_products(upper1, es_widen_low(w), column1);
            lower0 = es_add_products(lower0, es_widen_high(w), column0);
            lower1 = es_add_products(lower1, es_widen_high(w), column1);
            rows += 4;
            a += ES_TILE_PAIR_WORDS;
        }
    }
    es_add_halves(&acc[0], upper0, upper1);
    es_add_halves(&acc[2], lower0, lower1);
}

#else

ES_INLINE void es_tile_add(int32_t acc[4][2], const uint32_t *rows, const uint32_t *columns,
                           const es_tile_walk_t *walk) {
    const int8_t *w = (const int8_t *)rows;
    for (uint32_t run = 0; run < walk->runs; run++) {
        const int8_t *a = (const int8_t *)(columns + (size_t)run * walk->run_step * ES_TILE_PAIR_WORDS);
        for (uint32_t left = walk->run_groups; left != 0; left--) {
            for (uint32_t i = 0; i < 16; i++) {
                acc[i / 4][0] = es_mla(w[i], a[i % 4], acc[i / 4][0]);
                acc[i / 4][1] = es_mla(w[i], a[4 + i % 4], acc[i / 4][1]);
            }
            w += 16;
            a += 8;
        }
    }
}

#endif

static inline void es_tile_sum(int32_t acc[4][2], const uint32_t *rows, const uint32_t *columns,
                               const es_tile_walk_t *walk) {
    memcpy(acc, rows, 4 * sizeof(acc[0]));
    es_tile_add(acc, rows + 21, columns, walk);
}

#if defined(__SSE2__)

/* Rows 2 * pair and the one behind it: row 0 column 0, row 0 column 1, row 1 column 0, row 1 column 1. */
ES_INLINE __m128i es_tile_scale(const uint32_t *rows, const int32_t acc[4][2], uint32_t pair) {
    const __m128i multipliers = es_read_eight(rows + 8 + 2 * pair), roundings = es_read_eight(rows + 12 + 2 * pair);
    const __m128i scaled =
        es_scale_doubled(_mm_slli_epi32(es_read_sixteen(acc[2 * pair]), 1),
                         _mm_unpacklo_epi32(multipliers, multipliers), _mm_unpacklo_epi32(roundings, roundings));
    const __m128i row0 = es_shift_right(scaled, rows[16 + 2 * pair]);
    const __m128i row1 = es_shift_right(scaled, rows[17 + 2 * pair]);
    return _mm_unpacklo_epi64(row0, _mm_unpackhi_epi64(row1, row1));
}

ES_INLINE void es_tile_put(const uint32_t *rows, const int32_t acc[4][2], int8_t *output, uint32_t second) {
    const __m128i bytes = es_saturate(es_tile_scale(rows, acc, 0), es_tile_scale(rows, acc, 1));
    const __m128i column0 = _mm_and_si128(bytes, _mm_set1_epi16(0xff)), column1 = _mm_srli_epi16(bytes, 8);
    es_write_u32(output + second, (uint32_t)_mm_cvtsi128_si32(_mm_packus_epi16(column1, column1)));
    es_write_u32(output, (uint32_t)_mm_cvtsi128_si32(_mm_packus_epi16(column0, column0)));
}

#else

ES_INLINE void es_tile_put_row(const uint32_t *row, const int32_t acc[2], int8_t *output, uint32_t second) {
    const es_scale_t scale = {(int32_t)row[8], (int32_t)row[12], row[16]};
    output[second] = (int8_t)es_requantize_short(acc[1], &scale);
    output[0] = (int8_t)es_requantize_short(acc[0], &scale);
}

ES_INLINE void es_tile_put(const uint32_t *rows, const int32_t acc[4][2], int8_t *output, uint32_t second) {
    es_tile_put_row(rows, acc[0], output, second);
    es_tile_put_row(rows + 1, acc[1], output + 1, second);
    es_tile_put_row(rows + 2, acc[2], output + 2, second);
    es_tile_put_row(rows + 3, acc[3], output + 3, second);
}

#endif

ES_INLINE void es_tile_make(const uint32_t *rows, const uint32_t *columns, const es_tile_walk_t *walk,
                            const es_tile_places_t *places) {
    const uint32_t second = places->second, step = places->step;
    int8_t *output = places->output;
    for (uint32_t left = places->pairs; left != 0; left--) {
        int32_t acc[ES_TILE_ROWS][2];
        es_tile_sum(acc, rows, columns, walk);
        if (rows[20] == ES_TILE_SUMS) {
            memcpy(output, acc, sizeof acc);
            return;
        }
        columns += (size_t)walk->pair_step * ES_TILE_PAIR_WORDS;
        es_tile_put(rows, acc, output, second);
        output += step;
    }
}

ES_INLINE uint32_t *es_dot_pack(uint32_t *to, const int8_t *from, uint32_t groups) {
    for (uint32_t i = 0; i < groups; i++) {
        to[i] = es_read_u32(from + 4 * i);
    }
    return to + groups;
}

#if defined(__thumb2__)

#define ES_DOT_COLUMN(place)               \
    "ldrsb %[v], [%[a], #" place "\n\t"    \
    "ldrsb %[w], [%[w0], #" place "\n\t"   \
    "mla %[acc0], %[w], %[v], %[acc0]\n\t" \
    "ldrsb %[w], [%[w1], #" place "\n\t"   \
    "mla %[acc1], %[w], %[v], %[acc1]\n\t" \
    "ldrsb %[w], [%[w2], #" place "\n\t"   \
    "mla %[acc2], %[w], %[v], %[acc2]\n\t" \
    "ldrsb %[w], [%[w3], #" place "\n\t"   \
    "mla %[acc3], %[w], %[v], %[acc3]\n\t"

#define ES_DOT_BYTES ES_DOT_COLUMN("1]") ES_DOT_COLUMN("2]") ES_DOT_COLUMN("3]") ES_DOT_COLUMN("4]!")

/* Pointers are one byte behind, as in es_tile_add. */
ES_INLINE void es_dot_rows(int32_t acc[4], const uint8_t *const rows[4], const uint32_t *column, uint32_t groups) {
    uintptr_t w0 = (uintptr_t)rows[0] - 1, w1 = (uintptr_t)rows[1] - 1;
    uintptr_t w2 = (uintptr_t)rows[2] - 1, w3 = (uintptr_t)rows[3] - 1;
    uintptr_t a = (uintptr_t)column - 1;
    int32_t v, w;
    __asm__ volatile(
        "1:\n\t" ES_DOT_BYTES "subs %[groups], #1\n\t"
        "bne 1b"
        : [w0] "+&r"(w0), [w1] "+&r"(w1), [w2] "+&r"(w2), [w3] "+&r"(w3), [a] "+&r"(a), [v] "=&r"(v), [w] "=&r"(w),
          [acc0] "+&r"(acc[0]), [acc1] "+&r"(acc[1]), [acc2] "+&r"(acc[2]), [acc3] "+&r"(acc[3]), [groups] "+&r"(groups)
        :
        : "cc", "memory");
}

#elif defined(__SSE2__)

ES_INLINE void es_dot_rows(int32_t acc[4], const uint8_t *const rows[4], const uint32_t *column, uint32_t groups) {
    __m128i sums[4] = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()};
    uint32_t i = 0;
    for (; i + 4 <= groups; i += 4) {
        const __m128i a = es_read_sixteen(column + i);
        for (uint32_t row = 0; row < 4; row++) {
            const __m128i w = es_read_sixteen(rows[row] + 4 * i);
            sums[row] = es_add_products(sums[row], es_widen_low(w), es_widen_low(a));
            sums[row] = es_add_products(sums[row], es_widen_high(w), es_widen_high(a));
        }
    }
    for (; i < groups; i++) {
        const __m128i a = es_widen_low(es_read_four(column + i));
        for (uint32_t row = 0; row < 4; row++) {
            sums[row] = es_add_products(sums[row], es_widen_low(es_read_four(rows[row] + 4 * i)), a);
        }
    }
    for (uint32_t row = 0; row < 4; row++) {
        acc[row] = es_add_all(acc[row], sums[row]);
    }
}

#else

ES_INLINE void es_dot_rows(int32_t acc[4], const uint8_t *const rows[4], const uint32_t *column, uint32_t groups) {
    const int8_t *const a = (const int8_t *)column;
    for (uint32_t row = 0; row < 4; row++) {
        const int8_t *const w = (const int8_t *)rows[row];
        for (uint32_t i = 0; i < 4 * groups; i++) {
            acc[row] = es_mla(w[i], a[i], acc[row]);
        }
    }
}

#endif

#endif

ES_INLINE void es_tile_add_biases(uint32_t *rows, const es_channel_t *channels, const int16_t *first,
                                  const int16_t *second) {
    for (uint32_t row = 0; row < ES_TILE_ROWS; row++) {
        const int32_t on_first = first[row], on_second = second[row];
        *rows++ = (uint32_t)channels[row].bias + (uint32_t)on_first;
        *rows++ = (uint32_t)channels[row].bias + (uint32_t)on_second;
    }
}

#endif
