/* The loop over lists (es_lists.h), for Thumb-2 and as plain C. Included by es_lists.c alone.
 *
 * Like es_intrin.h it asks which instruction set it is compiled for, and both forms give equal results. SMLAL is in all of
 * ARMv7-M: one cycle on Cortex-M4 and M7, 4 to 7 on Cortex-M3, where it still beats two MLA and their loads.
 */
#ifndef ES_INTRIN_LISTS_H
#define ES_INTRIN_LISTS_H

#include "es_lists.h"

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

/* A pair whose second half may be entered by itself, with its entry in r3. */
#define ES_LISTS_HALVES(second) \
    "ldrd r1, r3, [r0], #8\n"   \
    "add r2, r2, r1, asr #12\n" ES_LISTS_PRODUCTS("r1") second ":\nadd r2, r2, r3, asr #12\n" ES_LISTS_PRODUCTS("r3")

/* The loop is entered where as many pairs are left of its four as the list has beyond a multiple of four. */
__attribute__((naked)) void es_lists_add(__attribute__((unused)) const uint32_t *list,
                                         __attribute__((unused)) uint32_t pairs,
                                         __attribute__((unused)) const void *base,
                                         __attribute__((unused)) int64_t acc[ES_LISTS_WORDS]) {
    __asm__("push {r3-r11, lr}\n"
            "and r1, r1, #3\n"
            "ldm r3, {r4-r11}\n"
            "tbb [pc, r1]\n"
            "0:\n"
            ".byte (4f - 0b) / 2, (1f - 0b) / 2, (2f - 0b) / 2, (3f - 0b) / 2\n"
            "4:\n" ES_LISTS_PAIR("") "3:\n" ES_LISTS_PAIR("") "2:\n" ES_LISTS_PAIR("") "1:\n" ES_LISTS_PAIR(
                "tst r3, #0x800\n") "beq 4b\n"
                                    "ldr r0, [sp]\n"
                                    "stm r0, {r4-r11}\n"
                                    "pop {r3-r11, pc}\n");
}

/* As above, but r12 and the stack hold what the loop over spans needs: at sp the next span, their end, acc and the end of
 * the present span. An odd number of entries enters a pair in its middle.
 */
__attribute__((naked)) void es_lists_add_spans(__attribute__((unused)) const es_lists_span_t *spans,
                                               __attribute__((unused)) const es_lists_span_t *end,
                                               __attribute__((unused)) int64_t acc[ES_LISTS_WORDS]) {
    __asm__("push {r0-r11, lr}\n"
            "mov r12, r0\n"
            "ldm r2, {r4-r11}\n"
            "10:\n"
            "ldm r12!, {r0, r2, r3}\n"
            "str r12, [sp]\n"
            "str r3, [sp, #12]\n"
            "subs r1, r3, r0\n"
            "beq 9f\n"
            "ubfx r1, r1, #2, #3\n"
            "lsls r12, r1, #31\n"
            "it ne\n"
            "ldrne r3, [r0], #4\n"
            "tbb [pc, r1]\n"
            "0:\n"
            ".byte (8f - 0b) / 2, (1f - 0b) / 2, (2f - 0b) / 2, (3f - 0b) / 2\n"
            ".byte (4f - 0b) / 2, (5f - 0b) / 2, (6f - 0b) / 2, (7f - 0b) / 2\n"
            "8:\n" ES_LISTS_HALVES("7") "6:\n" ES_LISTS_HALVES("5") "4:\n" ES_LISTS_HALVES("3") "2:\n" ES_LISTS_HALVES(
                "1") "ldr r12, [sp, #12]\n"
                     "cmp r0, r12\n"
                     "bne 8b\n"
                     "9:\n"
                     "ldrd r12, r3, [sp]\n"
                     "cmp r12, r3\n"
                     "bne 10b\n"
                     "ldr r0, [sp, #8]\n"
                     "stm r0, {r4-r11}\n"
                     "pop {r0-r11, pc}\n");
}

#else

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

void es_lists_add(const uint32_t *list, uint32_t pairs, const void *base, int64_t acc[ES_LISTS_WORDS]) {
    const uint8_t *operands = base;
    for (uint32_t i = 0; i < 2 * pairs; i++) {
        const int32_t factor = (int32_t)(list[i] << 21) >> 21;
        operands += (int32_t)(list[i] & ~(uint32_t)0xfff) >> 12;
        for (uint32_t word = 0; word < ES_LISTS_WORDS; word++) {
            const int64_t product = (int64_t)factor * (int32_t)es_load_u32(operands + 4 * word);
            acc[word] = (int64_t)((uint64_t)acc[word] + (uint64_t)product);
        }
    }
}

#endif

#endif
