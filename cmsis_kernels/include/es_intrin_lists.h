/* The loops over lists (es_lists.h), for Thumb-2 and as plain C. Included by es_lists.c alone.
 *
 * Like es_intrin.h it asks which instruction set it is compiled for, and both forms give equal results. SMLAL is in all of
 * ARMv7-M: one cycle on Cortex-M4 and M7, 4 to 7 on Cortex-M3, where it still beats two MLA and their loads.
 */
#ifndef ES_INTRIN_LISTS_H
#define ES_INTRIN_LISTS_H

#include "es_lists.h"
#include "es_requant.h"

#if defined(__thumb2__)

/* r4..r11 are the accumulators, r0 the list, r2 the operands, r1 and r3 two entries, r12 and lr two operands: all
 * registers that there are, which is why entries carry steps and a mark and need neither base nor counter.
 */
#define ES_LISTS_PRODUCTS(entry)           \
    "sbfx " entry ", " entry ", #0, #11\n" \
    "ldrd r12, lr, [r2]\n"                 \
    "smlal r4, r5, " entry ", r12\n"       \
    "smlal r6, r7, " entry ", lr\n"        \
    "ldrd r12, lr, [r2, #8]\n"             \
    "smlal r8, r9, " entry ", r12\n"       \
    "smlal r10, r11, " entry ", lr\n"

#define ES_LISTS_PAIR(test)   \
    "ldrd r1, r3, [r0], #8\n" \
    "add r2, r2, r1, asr #12\n" ES_LISTS_PRODUCTS("r1") test "add r2, r2, r3, asr #12\n" ES_LISTS_PRODUCTS("r3")

/* Adds up the list at r0, entered where as many pairs are left of the loop's eight as it has beyond a multiple of 8. */
/* clang-format off */
#define ES_LISTS_LOOP                                                      \
    "and r1, r1, #7\n"                                                     \
    "tbb [pc, r1]\n"                                                       \
    "0:\n"                                                                 \
    ".byte (8f - 0b) / 2, (1f - 0b) / 2, (2f - 0b) / 2, (3f - 0b) / 2\n"   \
    ".byte (4f - 0b) / 2, (5f - 0b) / 2, (6f - 0b) / 2, (7f - 0b) / 2\n"   \
    "8:\n" ES_LISTS_PAIR("") "7:\n" ES_LISTS_PAIR("")                      \
    "6:\n" ES_LISTS_PAIR("") "5:\n" ES_LISTS_PAIR("")                      \
    "4:\n" ES_LISTS_PAIR("") "3:\n" ES_LISTS_PAIR("")                      \
    "2:\n" ES_LISTS_PAIR("") "1:\n" ES_LISTS_PAIR("tst r3, #0x800\n")      \
    "beq 8b\n"
/* clang-format on */

/* A pair whose second half may be entered by itself, with its entry in r3. */
#define ES_LISTS_HALVES(second) \
    "ldrd r1, r3, [r0], #8\n"   \
    "add r2, r2, r1, asr #12\n" ES_LISTS_PRODUCTS("r1") second ":\nadd r2, r2, r3, asr #12\n" ES_LISTS_PRODUCTS("r3")

__attribute__((naked)) const void *es_lists_add(__attribute__((unused)) const uint32_t *list,
                                                __attribute__((unused)) uint32_t pairs,
                                                __attribute__((unused)) const void *base,
                                                __attribute__((unused)) int64_t acc[ES_LISTS_WORDS]) {
    __asm__("push {r3-r11, lr}\n"
            "ldm r3, {r4-r11}\n" ES_LISTS_LOOP "ldr r0, [sp]\n"
            "stm r0, {r4-r11}\n"
            "mov r0, r2\n"
            "pop {r3-r11, pc}\n");
}

#if defined(__ARM_FEATURE_DSP)
#define ES_LISTS_FACTOR(ror) "sxtab %[factor], %[negative], %[word], ror #" ror "\n"
#else
#define ES_LISTS_FACTOR(ror) "sxtb %[factor], %[word], ror #" ror "\nadd %[factor], %[factor], %[negative]\n"
#endif

#define ES_LISTS_ELEMENT(mask, ror)                                                                  \
    "tst %[different], #" mask "\nbeq 1f\n" ES_LISTS_FACTOR(ror) "bfi %[step], %[factor], #0, #11\n" \
                                                                 "str %[step], [%[list]], #4\n"      \
                                                                 "mov %[step], #0\n"                 \
                                                                 "1:\n"                              \
                                                                 "add %[step], %[step], #0x10000\n"

uint32_t *es_lists_from_words(uint32_t *list, const int8_t *from, uint32_t words, int32_t zero_point, uint32_t *step) {
    const uint32_t key = ((uint32_t)zero_point & 0xffU) * 0x01010101U;
    uint32_t to_next = *step, word, different, factor;
    __asm__ volatile("2:\n"
                     "ldr %[word], [%[from]], #4\n"
                     "eors %[different], %[key], %[word]\n"
                     "beq 3f\n" ES_LISTS_ELEMENT("0xff", "0") ES_LISTS_ELEMENT("0xff00", "8")
                         ES_LISTS_ELEMENT("0xff0000", "16")
                             ES_LISTS_ELEMENT("0xff000000", "24") "4:\n"
                                                                  "subs %[words], #1\n"
                                                                  "bne 2b\n"
                                                                  "b 5f\n"
                                                                  "3:\n"
                                                                  "add %[step], %[step], #0x40000\n"
                                                                  "b 4b\n"
                                                                  "5:\n"
                     : [list] "+&r"(list), [from] "+&r"(from), [words] "+&r"(words), [step] "+&r"(to_next),
                       [word] "=&r"(word), [different] "=&r"(different), [factor] "=&r"(factor)
                     : [key] "r"(key), [negative] "r"(-zero_point)
                     : "cc", "memory");
    *step = to_next;
    return list;
}

/* The loop over spans: r12 is the first one. The stack holds the next one at sp, their end at sp + 4 and the end of the
 * present one at `span_end`; the accumulators are in r4..r11 as above. An odd number of entries enters a pair in its middle.
 */
#define ES_LISTS_SPANS(span_end)                                                                                \
    "10:\n"                                                                                                     \
    "ldm r12!, {r0, r2, r3}\n"                                                                                  \
    "str r12, [sp]\n"                                                                                           \
    "str r3, [sp, #" span_end "]\n"                                                                             \
    "subs r1, r3, r0\n"                                                                                         \
    "beq 9f\n"                                                                                                  \
    "ubfx r1, r1, #2, #3\n"                                                                                     \
    "lsls r12, r1, #31\n"                                                                                       \
    "it ne\n"                                                                                                   \
    "ldrne r3, [r0], #4\n"                                                                                      \
    "tbb [pc, r1]\n"                                                                                            \
    "0:\n"                                                                                                      \
    ".byte (8f - 0b) / 2, (1f - 0b) / 2, (2f - 0b) / 2, (3f - 0b) / 2\n"                                        \
    ".byte (4f - 0b) / 2, (5f - 0b) / 2, (6f - 0b) / 2, (7f - 0b) / 2\n"                                        \
    "8:\n" ES_LISTS_HALVES("7") "6:\n" ES_LISTS_HALVES("5") "4:\n" ES_LISTS_HALVES("3") "2:\n" ES_LISTS_HALVES( \
        "1") "ldr r12, [sp, #" span_end "]\n"                                                                   \
             "cmp r0, r12\n"                                                                                    \
             "bne 8b\n"                                                                                         \
             "9:\n"                                                                                             \
             "ldrd r12, r3, [sp]\n"                                                                             \
             "cmp r12, r3\n"                                                                                    \
             "bne 10b\n"

__attribute__((naked)) void es_lists_add_spans(__attribute__((unused)) const es_lists_span_t *spans,
                                               __attribute__((unused)) const es_lists_span_t *end,
                                               __attribute__((unused)) int64_t acc[ES_LISTS_WORDS]) {
    __asm__("push {r0-r11, lr}\n"
            "mov r12, r0\n"
            "ldm r2, {r4-r11}\n" ES_LISTS_SPANS("12") "ldr r0, [sp, #8]\n"
                                                      "stm r0, {r4-r11}\n"
                                                      "pop {r0-r11, pc}\n");
}

#else

uint32_t *es_lists_from_words(uint32_t *list, const int8_t *from, uint32_t words, int32_t zero_point, uint32_t *step) {
    uint32_t to_next = *step;
    for (uint32_t i = 0; i < 4 * words; i++) {
        if (from[i] != zero_point) {
            *list++ = to_next | ((uint32_t)(from[i] - zero_point) & ES_LISTS_FACTOR_MASK);
            to_next = 0;
        }
        to_next += 1U << ES_LISTS_UNIT_SHIFT;
    }
    *step = to_next;
    return list;
}

void es_lists_add_spans(const es_lists_span_t *spans, const es_lists_span_t *end, int64_t acc[ES_LISTS_WORDS]) {
    for (; spans != end; spans++) {
        const uint8_t *operands = spans->base;
        for (const uint32_t *entry = spans->first; entry != spans->end; entry++) {
            const int32_t factor = (int32_t)(*entry << 21) >> 21;
            operands += (int32_t)(*entry & ~(uint32_t)0xfff) >> 12;
            for (uint32_t word = 0; word < ES_LISTS_WORDS; word++) {
                const int64_t product = (int64_t)factor * (int32_t)es_load_u32(operands + 4 * word);
                acc[word] = (int64_t)((uint64_t)acc[word] + (uint64_t)product);
            }
        }
    }
}

const void *es_lists_add(const uint32_t *list, uint32_t pairs, const void *base, int64_t acc[ES_LISTS_WORDS]) {
    const uint8_t *operands = base;
    for (uint32_t i = 0; i < 2 * pairs; i++) {
        const int32_t factor = (int32_t)(list[i] << 21) >> 21;
        operands += (int32_t)(list[i] & ~(uint32_t)0xfff) >> 12;
        for (uint32_t word = 0; word < ES_LISTS_WORDS; word++) {
            const int64_t product = (int64_t)factor * (int32_t)es_load_u32(operands + 4 * word);
            acc[word] = (int64_t)((uint64_t)acc[word] + (uint64_t)product);
        }
    }
    return operands;
}

#endif

#if defined(__thumb2__) && defined(__ARM_FEATURE_DSP)

/* An accumulator to twice its two sums: the carry of the first shift is the sign of the lower one. */
#define ES_LISTS_SUMS(low, high)            \
    "lsrs r12, " low ", #24\n"              \
    "adc " high ", r12, " high ", lsl #8\n" \
    "add " high ", " high ", " high "\n"    \
    "lsl " low ", " low ", #8\n"            \
    "add " low ", r3, " low ", asr #7\n"

/* A doubled sum to an output in r12. */
#define ES_LISTS_REQUANTIZE(sum)       \
    "smmlar r12, " sum ", r0, r1\n"    \
    "add r12, r12, " sum ", asr #31\n" \
    "asr r12, r12, r2\n"               \
    "ssat r12, #8, r12\n"

#define ES_LISTS_TWO(low, high, distance_and_pitch)                                        \
    ES_LISTS_SUMS(low, high)                                                               \
    ES_LISTS_REQUANTIZE(low)                                                               \
    "strb r12, [lr]\n" ES_LISTS_REQUANTIZE(high) distance_and_pitch "strb r12, [lr, r4]\n" \
                                                                    "add lr, r5\n"

/* On the stack: channel, operands, output, tiles. */
/* clang-format off */
__attribute__((naked)) void es_lists_outputs(__attribute__((unused)) const es_lists_channel_t *channel,
                                             __attribute__((unused)) const void *operands,
                                             __attribute__((unused)) int8_t *output,
                                             __attribute__((unused)) uint32_t tiles) {
    __asm__("push {r0-r11, lr}\n"
            "9:\n"
            "ldrd r12, r2, [sp]\n"
            "ldm r12, {r0, r1, r4-r11}\n"
            ES_LISTS_LOOP
            "ldrd r12, r2, [sp]\n"
            "add r2, r2, #16\n"
            "ldr lr, [sp, #8]\n"
            "str r2, [sp, #4]\n"
            "ldrd r0, r1, [r12, #40]\n"
            "ldrd r2, r3, [r12, #48]\n"
            "lsl r3, r3, #1\n"
            ES_LISTS_TWO("r4", "r5", "ldr r4, [sp]\nldrd r4, r5, [r4, #56]\n")
            ES_LISTS_TWO("r6", "r7", "")
            ES_LISTS_TWO("r8", "r9", "")
            ES_LISTS_TWO("r10", "r11", "")
            "ldr r0, [sp, #12]\n"
            "str lr, [sp, #8]\n"
            "subs r0, r0, #1\n"
            "str r0, [sp, #12]\n"
            "bne 9b\n"
            "add sp, sp, #16\n"
            "pop {r4-r11, pc}\n");
}
/* clang-format on */

_Static_assert(offsetof(es_lists_channel_t, start) == 8 && offsetof(es_lists_channel_t, multiplier) == 40 &&
                   offsetof(es_lists_channel_t, shift) == 48 && offsetof(es_lists_channel_t, distance) == 56,
               "es_lists_outputs reads these");

#else

void es_lists_outputs(const es_lists_channel_t *channel, const void *operands, int8_t *output, uint32_t tiles) {
    const es_scale_t scale = {channel->multiplier, channel->rounding, channel->shift};
    for (; tiles != 0; tiles--) {
        int64_t acc[ES_LISTS_WORDS];
        memcpy(acc, channel->start, sizeof acc);
        es_lists_add(channel->list, channel->pairs, operands, acc);
        for (uint32_t word = 0; word < ES_LISTS_WORDS; word++) {
            const int32_t low = (int32_t)((uint32_t)channel->low_start + (uint32_t)es_lower24(acc[word]));
            output[0] = (int8_t)es_requantize_short(low, &scale);
            output[channel->distance] = (int8_t)es_requantize_short(es_upper24(acc[word]), &scale);
            output += channel->pitch;
        }
        operands = (const uint8_t *)operands + 4 * ES_LISTS_WORDS;
    }
}

#endif

#if defined(__thumb2__) && defined(__ARM_FEATURE_DSP)

/* Two outputs from the accumulator low, high. Twice the lower sum is (low << 8) >> 7; the upper one is high:low >> 24, plus
 * one where the lower one is negative, which is the bit that the shift puts into the carry.
 */
#define ES_LISTS_TWO_OUTPUTS(low, high)    \
    "lsrs r0, " low ", #24\n"              \
    "adc " high ", r0, " high ", lsl #8\n" \
    "lsl " low ", " low ", #8\n"           \
    "ldm r12!, {r0-r3}\n"                  \
    "add " low ", r0, " low ", asr #7\n"   \
    "smmlar r0, " low ", r1, r2\n"         \
    "add r0, r0, " low ", asr #31\n"       \
    "asr r0, r0, r3\n"                     \
    "ssat r0, #8, r0\n"                    \
    "strb r0, [lr], #1\n"                  \
    "lsl " high ", " high ", #1\n"         \
    "ldm r12!, {r1-r3}\n"                  \
    "smmlar r0, " high ", r1, r2\n"        \
    "add r0, r0, " high ", asr #31\n"      \
    "asr r0, r0, r3\n"                     \
    "ssat r0, #8, r0\n"                    \
    "strb r0, [lr], #1\n"

__attribute__((naked)) void es_lists_span_outputs(__attribute__((unused)) const es_lists_span_t *spans,
                                                  __attribute__((unused)) const es_lists_span_t *end,
                                                  __attribute__((unused)) const es_lists_outputs_t *outputs,
                                                  __attribute__((unused)) int8_t output[2 * ES_LISTS_WORDS]) {
    __asm__("push {r0-r12, lr}\n"
            "mov r12, r0\n"
            "ldm r2!, {r4-r11}\n"
            "str r2, [sp, #8]\n" ES_LISTS_SPANS("48") "ldrd r12, lr, [sp, #8]\n" ES_LISTS_TWO_OUTPUTS("r4", "r5")
                ES_LISTS_TWO_OUTPUTS("r6", "r7") ES_LISTS_TWO_OUTPUTS("r8", "r9")
                    ES_LISTS_TWO_OUTPUTS("r10", "r11") "pop {r0-r12, pc}\n");
}

#else

void es_lists_span_outputs(const es_lists_span_t *spans, const es_lists_span_t *end, const es_lists_outputs_t *outputs,
                           int8_t output[2 * ES_LISTS_WORDS]) {
    int64_t acc[ES_LISTS_WORDS];
    memcpy(acc, outputs->start, sizeof(acc));
    es_lists_add_spans(spans, end, acc);
    for (uint32_t i = 0; i < ES_LISTS_WORDS; i++) {
        const es_lists_scale_t *scale = &outputs->scales[i];
        const uint32_t lower2 = (uint32_t)scale->lower_bias2 + ((uint32_t)es_lower24(acc[i]) << 1);
        output[2 * i] = (int8_t)es_requantize_doubled((int32_t)lower2, &scale->lower);
        output[2 * i + 1] = (int8_t)es_requantize_short(es_upper24(acc[i]), &scale->upper);
    }
}

#endif

#endif
