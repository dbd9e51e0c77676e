/* The inner loops of the dense depthwise convolution but that for filters other than 3 x 3 (es_intrin_windows.h), each for cores with the DSP extension and in plain C.
 *
 * After es_intrin.h the only header that asks which instruction set it is compiled for. Both forms give the same bytes
 * and read and write the same scratch; es_depthwise_strip.h says how that is laid out.
 *
 *   es_three_widen_four  filters of four channels to the words that es_three_make reads
 *   es_widen_four        bytes of four channels to four rows of int16
 *   es_tap_four          one tap of four channels
 *   es_three_make        3 x 3 windows of one channel
 *   es_three_loop        which loop of it is for a pitch and stride 1 or 2
 */
#ifndef ES_INTRIN_DEPTHWISE_H
#define ES_INTRIN_DEPTHWISE_H

#include "es_intrin.h"
#include "es_parts.h"
#include "es_types.h"

/* Distances in bytes between the widened rows of a 3 x 3 filter. They are offsets inside the loop's instructions (LDRD
 * reaches 1020), so that one pointer serves three rows. Plans follow this list whether the firmware has the loop or not
 * (ES_HAS_three_<pitch>), so that scratch is the same.
 */
#define ES_THREE_PITCHES(row) row(64) row(128) row(256) row(512) row(1008)

/* The windows of a strip of one channel. `middle` is the second row of the first window, a multiple of 4. A filter is
 * three times (w0, w1), (w1, w2) as int16, twice each weight: the doubled accumulator is what SMMLAR wants.
 */
typedef struct {
    const int16_t *middle;
    uint32_t out_c;
    uint32_t skip_bytes;  /* from behind the last pair of windows of a row to the first of the next row */
    const int16_t *end;   /* `middle` of the row of windows behind the last */
    uint32_t left;        /* 256 * (out_w - 2); out_w is 2 or more */
    uintptr_t loop;       /* es_three_loop */
    uint32_t pitch_bytes; /* this and the stride are for the plain form */
    uint32_t stride_w;
} es_three_t;

/* Widens a filter for es_three_make; taps are `tap_bytes` apart. */
ES_INLINE void es_three_widen(const int8_t *tap, uint32_t tap_bytes, uint32_t *to) {
    for (uint32_t row = 0; row < 3; row++) {
        const uint32_t w0 = (uint32_t)tap[0] << 1, w1 = (uint32_t)tap[tap_bytes] << 1;
        const uint32_t w2 = (uint32_t)tap[2 * tap_bytes] << 1;
        to[0] = (w0 & 0xffffU) | w1 << 16;
        to[1] = (w1 & 0xffffU) | w2 << 16;
        tap += 3 * tap_bytes;
        to += 2;
    }
}

#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__)

/* Adds the products of four neighbouring bytes. */
ES_INLINE void es_tap_four(const int8_t *a, const int8_t *w, int32_t sums[4]) {
    const uint32_t x = es_read_u32(a), y = es_read_u32(w);
    const uint32_t even_x = es_sxtb16(x), odd_x = es_sxtb16_ror8(x);
    const uint32_t even_y = es_sxtb16(y), odd_y = es_sxtb16_ror8(y);
    sums[0] = es_smlabb(even_x, even_y, sums[0]);
    sums[1] = es_smlabb(odd_x, odd_y, sums[1]);
    sums[2] = es_smlatt(even_x, even_y, sums[2]);
    sums[3] = es_smlatt(odd_x, odd_y, sums[3]);
}

/* Two taps of four channels to a word of each filter, twice each. */
ES_INLINE void es_three_widen_taps(uint32_t a, uint32_t b, uint32_t *to) {
    const uint32_t low = es_pkhbt(a, b), high = es_pkhtb(a, b);
    to[0] = es_sxtab16(es_sxtb16(low), low);
    to[6] = es_sxtab16_ror8(es_sxtb16_ror8(low), low);
    to[12] = es_sxtab16(es_sxtb16(high), high);
    to[18] = es_sxtab16_ror8(es_sxtb16_ror8(high), high);
}

/* Widens the filters of four channels. */
ES_INLINE void es_three_widen_four(const int8_t *tap, uint32_t tap_bytes, uint32_t *to) {
    for (uint32_t row = 0; row < 3; row++) {
        const uint32_t w0 = es_read_u32(tap), w1 = es_read_u32(tap + tap_bytes);
        const uint32_t w2 = es_read_u32(tap + 2 * tap_bytes);
        es_three_widen_taps(w0, w1, to);
        es_three_widen_taps(w1, w2, to + 1);
        tap += 3 * tap_bytes;
        to += 2;
    }
}

/* Two pixels to two columns. */
ES_INLINE void es_widen_pair(uint32_t a, uint32_t b, int16_t *to, uint32_t lane) {
    const uint32_t low = es_pkhbt(a, b), high = es_pkhtb(a, b);
    es_write_u32(to, es_sxtb16(low));
    es_write_u32(to + lane, es_sxtb16_ror8(low));
    es_write_u32(to + 2 * lane, es_sxtb16(high));
    es_write_u32(to + 3 * lane, es_sxtb16_ror8(high));
}

ES_INLINE void es_widen_one(uint32_t a, int16_t *to, uint32_t lane) {
    const uint32_t even = es_sxtb16(a), odd = es_sxtb16_ror8(a);
    to[0] = (int16_t)even;
    to[lane] = (int16_t)odd;
    to[2 * lane] = (int16_t)(even >> 16);
    to[3 * lane] = (int16_t)(odd >> 16);
}

/* Four bytes of each of `count` pixels, `step_bytes` apart, to four rows that are `lane` int16 apart, an even number.
 * One pixel first where `to` is no multiple of 4, so that words are. A pointer a row costs nothing: the stores move it.
 */
ES_INLINE void es_widen_four(const int8_t *from, uint32_t step_bytes, uint32_t count, int16_t *to, uint32_t lane) {
    if ((uintptr_t)to % 4 != 0 && count != 0) {
        es_widen_one(es_read_u32(from), to, lane);
        from += step_bytes;
        to++;
        count--;
    }
    int16_t *to1 = to + lane, *to2 = to1 + lane, *to3 = to2 + lane;
    for (uint32_t fours = count / 4; fours != 0; fours--) {
        const uint32_t a = es_read_u32(from), b = es_read_u32(from + step_bytes);
        from += 2 * step_bytes;
        es_opaque(from); /* no offsets of their own for the third and fourth pixel */
        const uint32_t c = es_read_u32(from), d = es_read_u32(from + step_bytes);
        from += 2 * step_bytes;
        es_opaque(from);
        const uint32_t low0 = es_pkhbt(a, b), low1 = es_pkhbt(c, d);
        const uint32_t high0 = es_pkhtb(a, b), high1 = es_pkhtb(c, d);
        es_store_pair(to, 8, es_sxtb16(low0), es_sxtb16(low1));
        es_store_pair(to1, 8, es_sxtb16_ror8(low0), es_sxtb16_ror8(low1));
        es_store_pair(to2, 8, es_sxtb16(high0), es_sxtb16(high1));
        es_store_pair(to3, 8, es_sxtb16_ror8(high0), es_sxtb16_ror8(high1));
    }
    if (count & 2) {
        es_widen_pair(es_read_u32(from), es_read_u32(from + step_bytes), to, lane);
        from += 2 * step_bytes;
        to += 2;
    }
    if (count & 1) {
        es_widen_one(es_read_u32(from), to, lane);
    }
}

/* Registers:
 *
 *   r0  the middle row of the next window      r4, r5  (w0, w1), (w1, w2) of the upper row of taps
 *   r1  a sum, doubled; the bias at first      r6, r7  of the middle row
 *   r2  out_c                                  r8, r9  of the lower row
 *   r3  output                                 r10     the other sum
 *   lr  256 * outputs left in the row, less 2, plus the shift: ASR by a register takes its lower byte
 *   r11, r12  inputs, then multiplier and rounding
 *
 * Stack: 0 doubled bias, 4 skip_bytes, 8 end, 12 lr at the start of a row, 16 multiplier, 20 rounding, 24 doubled bias,
 * 28 where the loop begins, which follows from pitch and stride. Both loops of a pitch go on to the same end of a row.
 *
 * The sign of a sum goes into `rounding`, which the other sum then loads again, together with the next bias.
 */
/* clang-format off */
#define ES_THREE_BEGIN                    \
    "push {r4-r11, lr}\n"                 \
    "ldm r2, {r8, r9, r10, lr}\n"         \
    "ldm r0, {r0, r2, r4, r5, r6, r12}\n" \
    "lsl r11, r8, #1\n"                   \
    "add lr, lr, r6\n"                    \
    "push {r9, r10, r11, r12}\n"          \
    "push {r4, r5, lr}\n"                 \
    "push {r11}\n"                        \
    "ldm r1, {r4-r9}\n"                   \
    "mov r1, r11\n"                       \
    "bx r12\n"

/* One row of taps, from the words (a0, a1), (a2, a3) in r11, r12: w0 a0 + w1 a1 + w2 a2 to r1. */
#define ES_THREE_ONE(w01, w12)            \
    "smlad r1, " w01 ", r11, r1\n"        \
    "smlatb r1, " w12 ", r12, r1\n"

/* At stride 1 w0 a1 + (w1 a2 + w2 a3) to r10. */
#define ES_THREE_TWO_1(load, w01, w12, sum) \
    load "\n"                               \
    "smlabt r10, " w01 ", r11, " sum "\n"   \
    "smlad r10, " w12 ", r12, r10\n"        \
    ES_THREE_ONE(w01, w12)

#define ES_THREE_PAIR_1(pitch)                                            \
    ES_THREE_TWO_1("ldrd r11, r12, [r0, #-" pitch "]", "r4", "r5", "r1")  \
    ES_THREE_TWO_1("ldrd r11, r12, [r0, #" pitch "]", "r8", "r9", "r10")  \
    ES_THREE_TWO_1("ldrd r11, r12, [r0], #4", "r6", "r7", "r10")

/* At stride 2 (w0 a2 + w1 a3) + w2 a4 to r10, with (a4, a5) from another load. */
#define ES_THREE_TWO_2(load, load_more, w01, w12, sum) \
    load "\n"                                          \
    "smlad r10, " w01 ", r12, " sum "\n"               \
    ES_THREE_ONE(w01, w12)                             \
    load_more "\n"                                     \
    "smlatb r10, " w12 ", r11, r10\n"

/* LDR does not reach as far down as LDRD. */
#define ES_THREE_PAIR_2(pitch)                                                                                 \
    ES_THREE_TWO_2("ldrd r11, r12, [r0, #-" pitch "]", "ldrd r11, r12, [r0, #8-" pitch "]", "r4", "r5", "r1")  \
    ES_THREE_TWO_2("ldrd r11, r12, [r0, #" pitch "]", "ldr r11, [r0, #8+" pitch "]", "r8", "r9", "r10")        \
    ES_THREE_TWO_2("ldrd r11, r12, [r0], #8", "ldr r11, [r0]", "r6", "r7", "r10")

#define ES_THREE_SCALE(sum)               \
    "add r12, r12, " sum ", asr #31\n"    \
    "smmlar " sum ", " sum ", r11, r12\n" \
    "asr " sum ", " sum ", lr\n"          \
    "ssat " sum ", #8, " sum "\n"

#define ES_THREE_PAIR(pair, name, pitch)  \
    ".balign 4\n"                         \
    name ":\n"                            \
    pair(pitch)                           \
    "ldrd r11, r12, [sp, #16]\n"          \
    ES_THREE_SCALE("r1")                  \
    "strb r1, [r3]\n"                     \
    "ldrd r12, r1, [sp, #20]\n"           \
    ES_THREE_SCALE("r10")                 \
    "strb r10, [r3, r2]\n"                \
    "add r3, r3, r2, lsl #1\n"            \
    "subs lr, lr, #512\n"                 \
    "bpl " name "\n"

/* A last window alone, and the next row. */
#define ES_THREE_END(pitch)               \
    "2:\n"                                \
    "tst lr, #256\n"                      \
    "beq 3f\n"                            \
    "ldrd r11, r12, [r0, #-" pitch "]\n"  \
    ES_THREE_ONE("r4", "r5")              \
    "ldrd r11, r12, [r0, #" pitch "]\n"   \
    ES_THREE_ONE("r8", "r9")              \
    "ldrd r11, r12, [r0]\n"               \
    ES_THREE_ONE("r6", "r7")              \
    "ldrd r11, r12, [sp, #16]\n"          \
    ES_THREE_SCALE("r1")                  \
    "strb r1, [r3]\n"                     \
    "add r3, r3, r2\n"                    \
    "3:\n"                                \
    "ldm sp, {r1, r11, r12, lr}\n"        \
    "add r0, r0, r11\n"                   \
    "cmp r0, r12\n"                       \
    "beq 4f\n"                            \
    "ldr pc, [sp, #28]\n"

/* `yes` where the firmware has the loops of a pitch, else `no`. */
#define ES_THREE_IF_1(yes, no) yes
#define ES_THREE_IF_0(yes, no) no
#define ES_THREE_IF_OF(has) ES_THREE_IF_##has
#define ES_THREE_IF(has) ES_THREE_IF_OF(has)

#define ES_THREE_LOOPS(pitch)                                                   \
    ES_THREE_IF(ES_HAS_three_##pitch)(                                          \
    ES_THREE_PAIR(ES_THREE_PAIR_2, ".Les_three_2_" #pitch, #pitch) "b 2f\n"     \
    ES_THREE_PAIR(ES_THREE_PAIR_1, ".Les_three_1_" #pitch, #pitch)              \
    ES_THREE_END(#pitch), "")

/* As addresses of Thumb code. */
#define ES_THREE_PLACES(pitch)         \
    ES_THREE_IF(ES_HAS_three_##pitch)( \
    ".word .Les_three_1_" #pitch " + 1, .Les_three_2_" #pitch " + 1\n", ".word 0, 0\n")
/* clang-format on */

/* Makes all windows; the channel's requantisation is short (es_requant.h). Outputs are out_c apart. */
__attribute__((naked, unused)) static void es_three_make(const es_three_t *three __attribute__((unused)),
                                                         const uint32_t *filter __attribute__((unused)),
                                                         const es_channel_t *channel __attribute__((unused)),
                                                         int8_t *output __attribute__((unused))) {
    __asm__(ES_THREE_BEGIN ES_THREE_PITCHES(ES_THREE_LOOPS) "4:\n"
                                                            "add sp, sp, #32\n"
                                                            "pop {r4-r11, pc}\n");
}

/* Where the loop is, 0 where the firmware has none; each pitch is twice the one before, but for the last. */
static inline uintptr_t es_three_loop(uint32_t pitch_bytes, uint32_t stride_w) {
    const uint32_t number = 2 * (26 - es_clz(pitch_bytes - 1)) + stride_w - 1;
    uintptr_t loop;
    __asm__("adr %0, 0f\n"
            "ldr %0, [%0, %1, lsl #2]\n"
            "b 1f\n"
            ".balign 4\n"
            "0:\n" ES_THREE_PITCHES(ES_THREE_PLACES) "1:"
            : "=&r"(loop)
            : "r"(number));
    return loop;
}

#else

ES_INLINE void es_tap_four(const int8_t *a, const int8_t *w, int32_t sums[4]) {
    for (uint32_t i = 0; i < 4; i++) {
        sums[i] = (int32_t)((uint32_t)sums[i] + (uint32_t)(a[i] * w[i]));
    }
}

ES_INLINE void es_three_widen_four(const int8_t *tap, uint32_t tap_bytes, uint32_t *to) {
    for (uint32_t i = 0; i < 4; i++) {
        es_three_widen(tap + i, tap_bytes, to + 6 * i);
    }
}

ES_INLINE void es_widen_four(const int8_t *from, uint32_t step_bytes, uint32_t count, int16_t *to, uint32_t lane) {
    for (; count != 0; count--) {
        to[0] = from[0];
        to[lane] = from[1];
        to[2 * lane] = from[2];
        to[3 * lane] = from[3];
        from += step_bytes;
        to++;
    }
}

/* Adds one row of taps to two windows. Weights are loaded for them anew: there are not registers enough for nine. */
ES_INLINE void es_three_add(const int16_t *a, const int16_t *w, uint32_t stride, uint32_t *sum0, uint32_t *sum1) {
    const int32_t w0 = w[0], w1 = w[1], w2 = w[3];
    *sum0 += (uint32_t)(w0 * a[0]) + (uint32_t)(w1 * a[1]) + (uint32_t)(w2 * a[2]);
    *sum1 += (uint32_t)(w0 * a[stride]) + (uint32_t)(w1 * a[stride + 1]) + (uint32_t)(w2 * a[stride + 2]);
}

ES_INLINE int8_t es_three_scale(uint32_t sum, int32_t multiplier, int32_t rounding, uint32_t shift) {
    const uint32_t x = (uint32_t)es_smmlar((int32_t)sum, multiplier, rounding);
    return (int8_t)es_ssat8((int32_t)(x + (uint32_t)((int32_t)sum >> 31)) >> shift);
}

/* Two windows at a time. */
ES_INLINE void es_three_any(const es_three_t *three, const int16_t *w, uint32_t stride, const es_channel_t *channel,
                            int8_t *output) {
    const uint32_t pitch = three->pitch_bytes / 2;
    const uint32_t skip = three->skip_bytes / 2;
    const uint32_t out_w = three->left / 256 + 2;
    const uint32_t out_c = three->out_c;
    const uint32_t bias = (uint32_t)channel->bias << 1;
    const int32_t multiplier = channel->multiplier, rounding = channel->rounding;
    const uint32_t shift = (uint32_t)channel->shift & 31U;
    const int16_t *const end = three->end;
    for (const int16_t *a = three->middle; a != end; a += skip) {
        for (uint32_t left = out_w; left >= 2; left -= 2) {
            uint32_t sum0 = bias, sum1 = bias;
            es_three_add(a - pitch, w, stride, &sum0, &sum1);
            es_three_add(a, w + 4, stride, &sum0, &sum1);
            es_three_add(a + pitch, w + 8, stride, &sum0, &sum1);
            output[0] = es_three_scale(sum0, multiplier, rounding, shift);
            output[out_c] = es_three_scale(sum1, multiplier, rounding, shift);
            output += 2 * out_c;
            a += 2 * stride;
        }
        if (out_w % 2 != 0) {
            uint32_t sum = bias, none = 0;
            es_three_add(a - pitch, w, 0, &sum, &none);
            es_three_add(a, w + 4, 0, &sum, &none);
            es_three_add(a + pitch, w + 8, 0, &sum, &none);
            *output = es_three_scale(sum, multiplier, rounding, shift);
            output += out_c;
        }
    }
}

static inline void es_three_make(const es_three_t *three, const uint32_t *filter, const es_channel_t *channel,
                                 int8_t *output) {
    const int16_t *const w = (const int16_t *)(const void *)filter;
    if (three->stride_w == 1) {
        es_three_any(three, w, 1, channel, output);
    } else {
        es_three_any(three, w, 2, channel, output);
    }
}

static inline uintptr_t es_three_loop(uint32_t pitch_bytes, uint32_t stride_w) {
    (void)pitch_bytes, (void)stride_w;
    return 1; /* es_three_any is for all */
}

#endif

#endif
