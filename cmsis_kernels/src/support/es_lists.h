/* Lists of non-zero factors times words that hold two values each: what makes a zero cost nothing.
 *
 * A word is `upper * 2^24 + lower`, upper -128..127 and lower 0..255 or -127..127 (so that the word is an int32). One
 * 32 x 32 -> 64 multiplication by a factor, SMLAL, then forms two products, and a 64-bit accumulator sums both: the lower
 * sum in bits 0..23, signed, the upper one above. Convolutions with sparse weights take a weight as factor and let a word
 * hold the activations of two positions; kernels for sparse activations take an activation less its zero point and let
 * it hold two weights.
 *
 * A list is pairs of entries, one word each:
 *
 *   bits  0..10   factor, -1024..1023
 *   bit   11      1 in the last entry of the list, else 0
 *   bits 12..13   0
 *   bits 14..31   words from the first operand of the entry before, or from the base, to that of this one; signed
 *
 * The sums cannot be mixed up while the lower ones stay inside -2^23 .. 2^23-1: 256 entries of |factor| <= 128 with lower
 * values 0..255 (256 * 128 * 255 = 8355840 < 2^23 = 8388608), or of |factor| <= 255 with -128..127; 128 entries of
 * |factor| <= 255 with 0..255. Longer rows are several lists; es_lower24 and es_upper24 take their
 * accumulators apart after each.
 */
#ifndef ES_LISTS_H
#define ES_LISTS_H

#include "es_intrin.h"
#include "es_requant.h"

enum {
    ES_LISTS_ENTRIES = 256,           /* of a list whose factors are int8, at most */
    ES_LISTS_WORDS = 4,               /* operands of an entry, and accumulators */
    ES_LISTS_FACTOR_MASK = 0x7ff,     /* bits 0..10 */
    ES_LISTS_LAST = 0x800,            /* bit 11 */
    ES_LISTS_STEP_LIMIT = 0x20000 * 4 /* a step forwards is less, in bytes */
};

/* An entry: `step_bytes`, a multiple of 4, from the operands of the entry before. */
ES_INLINE uint32_t es_lists_entry(int32_t step_bytes, int32_t factor) {
    return ((uint32_t)step_bytes << 12) | ((uint32_t)factor & ES_LISTS_FACTOR_MASK);
}

/* Makes a list of the entries from `list` to `end`, of which there may be none: writes up to two more entries of factor
 * 0 and marks the last. Returns how many pairs it has, 1 or more.
 */
ES_INLINE uint32_t es_lists_close(uint32_t *list, uint32_t *end) {
    if (end == list) {
        *end++ = 0;
    }
    if ((end - list) % 2 != 0) {
        *end++ = 0;
    }
    end[-1] |= ES_LISTS_LAST;
    return (uint32_t)(end - list) / 2;
}

/* acc[i] += factor * word i, summed over the entries of a list of `pairs` pairs, 1 or more; the four words lie at
 * `base`, a multiple of 4, plus the steps up to their entry. 1.08 instructions a product in the loop on ARMv7-M and
 * later, and about 10 a call.
 * Returns where the last entry's words lie: the base of entries that go on from there.
 */
const void *es_lists_add(const uint32_t *list, uint32_t pairs, const void *base, int64_t acc[ES_LISTS_WORDS]);

/* What makes outputs of one channel from a list: the accumulators' start, and the short requantisation (es_requant.h). */
typedef struct {
    const uint32_t *list;
    uint32_t pairs;                /* 1 or more */
    int64_t start[ES_LISTS_WORDS]; /* bias << 24 each: that of the upper positions */
    int32_t multiplier;            /* as in the channel */
    int32_t rounding;              /* as in the channel */
    uint32_t shift;                /* as in the channel */
    int32_t low_start;             /* bias less 128 * the sum of the factors, for the lower positions */
    uint32_t distance;             /* bytes from the output of a word's lower position to that of its upper */
    uint32_t pitch;                /* bytes from a word's outputs to those of the next */
} es_lists_channel_t;

/* `tiles` times eight outputs, tile after tile: each of the four words at `operands` and on. 8 instructions an output and
 * 18 a tile with the DSP extension, without the products.
 */
void es_lists_outputs(const es_lists_channel_t *channel, const void *operands, int8_t *output, uint32_t tiles);

/* Of a step of 16 bytes, the words of an entry. */
#define ES_LISTS_UNIT_SHIFT 16

/* Lists what is not `zero_point` of `words` * 4 int8, 1 word or more: factors are what is above it, steps 16 bytes an
 * element. *step is the step to the first element, as an entry holds it, and becomes that to what follows. Returns the
 * list's new end. 6.3 instructions an element where half of them are listed, 4.8 where a fifth.
 */
uint32_t *es_lists_from_words(uint32_t *list, const int8_t *from, uint32_t words, int32_t zero_point, uint32_t *step);

/* A part of a list whose entries need neither be even in number nor marked. */
typedef struct {
    const uint32_t *first;
    const uint8_t *base; /* the first entry's operands lie its step behind */
    const uint32_t *end;
} es_lists_span_t;

/* As es_lists_add, over spans one after another, each with a base of its own; spans may be empty, and one at least there
 * is. 1.11 instructions a product in the loop, and 16 a span.
 */
void es_lists_add_spans(const es_lists_span_t *spans, const es_lists_span_t *end, int64_t acc[ES_LISTS_WORDS]);

/* From one accumulator to two outputs whose rows take the short path of es_requant.h. */
typedef struct {
    int32_t lower_bias2; /* of the lower sum, doubled; the upper sum's is in the accumulator from the start */
    es_scale_t lower, upper;
} es_lists_scale_t;

/* What eight outputs have in common. */
typedef struct {
    int64_t start[ES_LISTS_WORDS]; /* of the accumulators */
    es_lists_scale_t scales[ES_LISTS_WORDS];
} es_lists_outputs_t;

/* The eight outputs of some spans, one at least: lower and upper sum of each accumulator in turn, rescaled. 80 instructions
 * besides the spans on ARMv7E-M.
 */
void es_lists_span_outputs(const es_lists_span_t *spans, const es_lists_span_t *end, const es_lists_outputs_t *outputs,
                           int8_t output[2 * ES_LISTS_WORDS]);

#endif
