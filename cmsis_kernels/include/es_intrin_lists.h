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

#else

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

#endif
