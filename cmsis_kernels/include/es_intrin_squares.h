/* Words of two rows by two columns times lists of inputs: the loops of encoding squares, for each instruction set.
 *
 * Besides es_intrin.h and es_port.h the only header that asks which one it is compiled for. Byte 2j + i of a word is row i
 * of the word's column j; the bytes of rows 0 hold the weight plus 128. A list has an even number of entries of two words:
 * the inputs of a word's two columns, less their zero point, as lanes; and how many pairs of columns lie from the entry
 * before, or the first pair, to this one.
 *
 *   es_squares_list(to, from, words, zero_point, sum, step)  lists words * 4 inputs, without pairs of which both are 0, and
 *                                                            adds them up; `step` is to the next pair
 *   es_squares_list_of(first, end, inputs)                   describes a list
 *   es_squares_add_block(list, weights, sums)                adds the products of a list and a full block
 *   es_squares_add_rows(list, weights, words, pairs, sums)   adds those with a constant number of pairs of rows, of whose
 *                                                            block each pair of columns has `words` words
 *
 * sums: of rows 0 of the pairs, then of rows 1. In rows 0 the bytes count as they are, 128 too much.
 */
#ifndef ES_INTRIN_SQUARES_H
#define ES_INTRIN_SQUARES_H

#include <stdbool.h>
#include <stddef.h>

#include "es_intrin.h"

enum {
    ES_SQUARES_PAIRS = 4, /* of rows of a full block */
    ES_SQUARES_ROWS = 2 * ES_SQUARES_PAIRS,
    ES_SQUARES_PIECE_WORDS = 256 /* of a list that es_squares_add_piece takes; a multiple of 4 */
};

typedef struct {
    const uint32_t *first;
    const uint32_t *end;
    bool many_halves; /* that are 0: it pays to look for them where a half is a matter of its own */
} es_squares_list_t;

/* The list from `first` to `end` of so many inputs other than 0. A test costs 2 instructions an entry, a half is 16. */
ES_INLINE es_squares_list_t es_squares_list_of(const uint32_t *first, const uint32_t *end, uint32_t inputs) {
    const uint32_t entries = (uint32_t)(end - first) / 2;
    const uint32_t halves = inputs < 2 * entries ? 2 * entries - inputs : 0;
    return (es_squares_list_t){first, end, halves > entries / 8};
}

ES_INLINE uint32_t *es_squares_entry(uint32_t *to, uint32_t pair, int32_t *sum, uint32_t *step) {
    if (pair == 0) {
        *step += 1;
        return to;
    }
    es_store_pair(to, 8, pair, *step);
    *sum = es_smlad(pair, 0x10001, *sum);
    *step = 1;
    return to;
}

ES_INLINE uint32_t *es_squares_list(uint32_t *to, const int8_t *from, uint32_t words, int32_t zero_point, int32_t *sum,
                                    uint32_t *step) {
    const uint32_t less = ((uint32_t)-zero_point & 0xffffU) * 0x10001U;
    for (; words != 0; words--) {
        const uint32_t word = es_read_u32(from);
        to = es_squares_entry(to, es_sxtab16(less, word), sum, step);
        to = es_squares_entry(to, es_sxtab16_ror8(less, word), sum, step);
        from += 4;
    }
    return to;
}

#if defined(__thumb2__)

/* The list is at r0 and ends at lr, words are at r2; r4..r7 and r8..r11 are the sums. An odd number of two entries enters the
 * loop in its middle.
 */
#define ES_SQUARES_LOOP(entry)                                               \
    "mov lr, r1\n"                                                           \
    "subs r1, r1, r0\n"                                                      \
    "lsls r1, r1, #27\n"                                                     \
    "bne 2f\n"                                                               \
    "1:\n" entry("1") entry("2") "2:\n" entry("3") entry("4") "cmp r0, lr\n" \
                                                              "bne 1b\n"

#if defined(__ARM_FEATURE_DSP)

/* A word's halves are 256 * (row 1) + (row 0 and 128), so one SMLAD of the word as it is sums 256 times the products of
 * row 1 and those of row 0, for both columns; UXTB16 and a second SMLAD sum those of row 0 alone. That is three
 * instructions for four products where widening takes four. The difference of both sums holds row 1's in 24 bits, while
 * that is inside -2^23..2^23-1: 128 entries, 256 * 255 * 128 = 8355840 < 2^23, are a piece.
 */
#define ES_SQUARES_WORD(w, both, low)       \
    "smlad " both ", " w ", r1, " both "\n" \
    "uxtb16 " w ", " w "\n"                 \
    "smlad " low ", " w ", r1, " low "\n"

#define ES_SQUARES_ENTRY(n)                                                                              \
    "ldrd r1, r3, [r0], #8\n"                                                                            \
    "add r2, r2, r3, lsl #4\n"                                                                           \
    "ldrd r3, r12, [r2]\n" ES_SQUARES_WORD("r3", "r4", "r8")                                             \
        ES_SQUARES_WORD("r12", "r5", "r9") "ldrd r3, r12, [r2, #8]\n" ES_SQUARES_WORD("r3", "r6", "r10") \
            ES_SQUARES_WORD("r12", "r7", "r11")

/* Both sums of a pair of rows start with row 0's, so that their difference is row 1's. */
#define ES_SQUARES_OPEN  \
    "ldm r3, {r8-r11}\n" \
    "mov r4, r8\n"       \
    "mov r5, r9\n"       \
    "mov r6, r10\n"      \
    "mov r7, r11\n"

#define ES_SQUARES_CLOSE          \
    "stm r3!, {r8-r11}\n"         \
    "ldm r3, {r0, r1, r12, lr}\n" \
    "sub r4, r4, r8\n"            \
    "sub r5, r5, r9\n"            \
    "sub r6, r6, r10\n"           \
    "sub r7, r7, r11\n"           \
    "add r0, r0, r4, asr #8\n"    \
    "add r1, r1, r5, asr #8\n"    \
    "add r12, r12, r6, asr #8\n"  \
    "add lr, lr, r7, asr #8\n"    \
    "stm r3, {r0, r1, r12, lr}\n"

#else

/* Byte by byte. */
#define ES_SQUARES_BYTES(x, low, high, row0, row1) \
    "ldrb r12, [r2, #" low "]\n"                   \
    "mla " row0 ", r12, " x ", " row0 "\n"         \
    "ldrsb r12, [r2, #" high "]\n"                 \
    "mla " row1 ", r12, " x ", " row1 "\n"

#define ES_SQUARES_COLUMN0                       \
    ES_SQUARES_BYTES("r1", "0", "1", "r4", "r8") \
    ES_SQUARES_BYTES("r1", "4", "5", "r5", "r9") \
    ES_SQUARES_BYTES("r1", "8", "9", "r6", "r10") ES_SQUARES_BYTES("r1", "12", "13", "r7", "r11")
#define ES_SQUARES_COLUMN1                       \
    ES_SQUARES_BYTES("r3", "2", "3", "r4", "r8") \
    ES_SQUARES_BYTES("r3", "6", "7", "r5", "r9") \
    ES_SQUARES_BYTES("r3", "10", "11", "r6", "r10") ES_SQUARES_BYTES("r3", "14", "15", "r7", "r11")

#define ES_SQUARES_NEXT        \
    "ldrd r1, r3, [r0], #8\n"  \
    "add r2, r2, r3, lsl #4\n" \
    "asr r3, r1, #16\n"        \
    "sxth r1, r1\n"

#define ES_SQUARES_ENTRY(n) ES_SQUARES_NEXT ES_SQUARES_COLUMN0 ES_SQUARES_COLUMN1

/* An input that is 0 beside one that is not is left out. */
#define ES_SQUARES_HALVES(n) \
    ES_SQUARES_NEXT "cbz r1, 3" n "f\n" ES_SQUARES_COLUMN0 "3" n ":\ncbz r3, 4" n "f\n" ES_SQUARES_COLUMN1 "4" n ":\n"

#define ES_SQUARES_OPEN "ldm r3, {r4-r11}\n"
#define ES_SQUARES_CLOSE "stm r3, {r4-r11}\n"

#endif

#define ES_SQUARES_ADD(entry)                                                                              \
    __asm__("push {r3-r11, lr}\n" ES_SQUARES_OPEN ES_SQUARES_LOOP(entry) "ldr r3, [sp]\n" ES_SQUARES_CLOSE \
                                                                         "mov r0, r2\n"                    \
                                                                         "pop {r3-r11, pc}\n")

/* A piece of a list, two entries at least. Returns the place of the last entry's words. */
__attribute__((naked)) static const uint8_t *
es_squares_add_piece(__attribute__((unused)) const uint32_t *list, __attribute__((unused)) const uint32_t *end,
                     __attribute__((unused)) const uint8_t *weights,
                     __attribute__((unused)) int32_t sums[ES_SQUARES_ROWS]) {
    ES_SQUARES_ADD(ES_SQUARES_ENTRY);
}

#if !defined(__ARM_FEATURE_DSP)

/* The same of a list with many halves that are 0. */
__attribute__((naked)) static const uint8_t *
es_squares_add_halves(__attribute__((unused)) const uint32_t *list, __attribute__((unused)) const uint32_t *end,
                      __attribute__((unused)) const uint8_t *weights,
                      __attribute__((unused)) int32_t sums[ES_SQUARES_ROWS]) {
    ES_SQUARES_ADD(ES_SQUARES_HALVES);
}

#endif

#endif

#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__)

ES_INLINE int32_t es_squares_row0(uint32_t word, uint32_t inputs, int32_t sum) {
    return es_smlad(es_uxtb16(word), inputs, sum);
}

ES_INLINE int32_t es_squares_row1(uint32_t word, uint32_t inputs, int32_t sum) {
    return es_smlad(es_sxtb16_ror8(word), inputs, sum);
}

#else

ES_INLINE int32_t es_squares_row0(uint32_t word, uint32_t inputs, int32_t sum) {
    sum = es_mac((int32_t)(word & 0xffU), es_low16(inputs), sum);
    return es_mac((int32_t)(word >> 16 & 0xffU), es_high16(inputs), sum);
}

ES_INLINE int32_t es_squares_row1(uint32_t word, uint32_t inputs, int32_t sum) {
    sum = es_mac((int8_t)(word >> 8 & 0xffU), es_low16(inputs), sum);
    return es_mac((int8_t)(word >> 24), es_high16(inputs), sum);
}

#endif

ES_INLINE void es_squares_add_rows(const es_squares_list_t *list, const uint8_t *weights, uint32_t words,
                                   uint32_t pairs, int32_t sums[ES_SQUARES_ROWS]) {
    int32_t sum[ES_SQUARES_ROWS];
    memcpy(sum, sums, sizeof sum);
    for (const uint32_t *next = list->first; next != list->end;) {
        uint32_t inputs, step;
        es_load_pair(next, 8, inputs, step);
        weights += step * 4 * words;
        for (uint32_t i = 0; i < pairs; i++) {
            const uint32_t word = es_load_u32(weights + 4 * i);
            sum[i] = es_squares_row0(word, inputs, sum[i]);
            sum[ES_SQUARES_PAIRS + i] = es_squares_row1(word, inputs, sum[ES_SQUARES_PAIRS + i]);
        }
    }
    memcpy(sums, sum, sizeof sum);
}

ES_INLINE void es_squares_add_block(const es_squares_list_t *list, const uint8_t *weights,
                                    int32_t sums[ES_SQUARES_ROWS]) {
#if defined(__thumb2__)
    const uint32_t *next;
    for (const uint32_t *first = list->first; first != list->end; first = next) {
        next = list->end - first > ES_SQUARES_PIECE_WORDS ? first + ES_SQUARES_PIECE_WORDS : list->end;
#if defined(__ARM_FEATURE_DSP)
        weights = es_squares_add_piece(first, next, weights, sums);
#else
        weights = list->many_halves ? es_squares_add_halves(first, next, weights, sums)
                                    : es_squares_add_piece(first, next, weights, sums);
#endif
    }
#else
    es_squares_add_rows(list, weights, ES_SQUARES_PAIRS, ES_SQUARES_PAIRS, sums);
#endif
}

#endif
