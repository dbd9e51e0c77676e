/* The inner loop of the dense depthwise convolution for filters other than 3 x 3: four windows side by side, for cores
 * with the DSP extension and in plain C. Both forms give the same bytes and read the same scratch, which
 * es_depthwise_strip.h describes.
 */
#ifndef ES_INTRIN_WINDOWS_H
#define ES_INTRIN_WINDOWS_H

#include "es_intrin.h"
#include "es_parts.h"
#include "es_requant.h"
#include "es_types.h"

/* The windows of a strip of one channel, at stride 1 or 2. The fields are in the order that the assembler loads them. */
typedef struct {
    const int16_t *first; /* the first window, a multiple of 4 */
    uint32_t height;
    uint32_t pairs;          /* of a filter's row, 2 or more */
    uint32_t row_skip_bytes; /* from behind the pairs of a row to those of the next */
    uint32_t out_c;
    uint32_t next_bytes;     /* from behind a window's last pair to the fourth window after it */
    uint32_t left;           /* 512 * (out_w - 4), plus 256 at stride 2; out_w is 4 or more */
    uint32_t next_row_bytes; /* from behind the last window of a row to the first of the next */
    uint32_t rows;           /* of windows, 1 or more */
    uint32_t stride_bytes;
} es_windows_t;

#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__)

/* Registers:
 *
 *   r0  inputs                    r3-r6  four sums              r11  512 * windows left after these four, plus 256
 *   r1  filter                    r7-r10 weights and inputs          at stride 2, plus the shift: ASR by a register
 *   r2  pairs left in the row     r12    rows left                   takes its lower byte
 *   lr  output
 *
 * Stack: 0 filter, 4 bias, 8 height, 12 pairs, 16 row_skip_bytes, 20 multiplier, 24 rounding, 28 out_c, 32 next_bytes,
 * 36 r11 at the start of a row, 40 next_row_bytes, 44 rows left, 48 stride_bytes.
 *
 * Pairs of taps go two by two, the odd one first. At stride 1 inputs a0 a1, a1 a2, ... are words at any multiple of 2,
 * and the last two are the next pair's first. At stride 2 a window's second pair is the first one of the window beside
 * it. The last four windows of a row may be some that were made before: equal bytes are written again.
 */
/* clang-format off */
#define ES_WINDOWS_BEGIN                          \
    "push {r4-r11, lr}\n"                         \
    "mov lr, r3\n"                                \
    "ldrd r4, r5, [r0, #32]\n"                    \
    "push {r4, r5}\n"                             \
    "ldm r2, {r2, r9, r10, r11}\n"                \
    "ldm r0, {r0, r3, r4, r5, r6, r7, r8, r12}\n" \
    "add r11, r11, r8\n"                          \
    "push {r6, r7, r11, r12}\n"                   \
    "push {r9, r10}\n"                            \
    "push {r1, r2, r3, r4, r5}\n"

#define ES_WINDOWS_FOUR       \
    "1:\n"                    \
    "ldrd r1, r3, [sp]\n"     \
    "mov r4, r3\n"            \
    "mov r5, r3\n"            \
    "mov r6, r3\n"            \
    "ldrd r12, r2, [sp, #8]\n"\
    "b 3f\n"                  \
    "2:\n"                    \
    "ldrd r2, r7, [sp, #12]\n"\
    "add r0, r0, r7\n"        \
    "3:\n"                    \
    "tst r11, #256\n"         \
    "beq 6f\n"

#define ES_WINDOWS_ROW_2         \
    "lsrs r2, r2, #1\n"          \
    "bcc 5f\n"                   \
    "ldr r7, [r1], #4\n"         \
    "ldrd r8, r9, [r0, #8]\n"    \
    "smlad r5, r7, r8, r5\n"     \
    "smlad r6, r7, r9, r6\n"     \
    "ldrd r8, r9, [r0], #4\n"    \
    "smlad r3, r7, r8, r3\n"     \
    "smlad r4, r7, r9, r4\n"     \
    ".balign 4\n"                \
    "5:\n"                       \
    "ldrd r7, r10, [r1], #8\n"   \
    "ldr r8, [r0, #16]\n"        \
    "smlad r6, r10, r8, r6\n"    \
    "ldrd r8, r9, [r0, #8]\n"    \
    "smlad r4, r10, r8, r4\n"    \
    "smlad r5, r7, r8, r5\n"     \
    "smlad r5, r10, r9, r5\n"    \
    "smlad r6, r7, r9, r6\n"     \
    "ldrd r8, r9, [r0], #8\n"    \
    "smlad r3, r7, r8, r3\n"     \
    "smlad r3, r10, r9, r3\n"    \
    "smlad r4, r7, r9, r4\n"     \
    "subs r2, r2, #1\n"          \
    "bne 5b\n"                   \
    "subs r12, r12, #1\n"        \
    "bne 2b\n"                   \
    "b 8f\n"

#define ES_WINDOWS_ROW_1         \
    "6:\n"                       \
    "ldr r8, [r0]\n"             \
    "ldr r9, [r0, #2]\n"         \
    "lsrs r2, r2, #1\n"          \
    "bcc 7f\n"                   \
    "ldr r7, [r1], #4\n"         \
    "smlad r3, r7, r8, r3\n"     \
    "smlad r4, r7, r9, r4\n"     \
    "ldr r8, [r0, #4]!\n"        \
    "ldr r9, [r0, #2]\n"         \
    "smlad r5, r7, r8, r5\n"     \
    "smlad r6, r7, r9, r6\n"     \
    ".balign 4\n"                \
    "7:\n"                       \
    "ldrd r7, r10, [r1], #8\n"   \
    "smlad r3, r7, r8, r3\n"     \
    "smlad r4, r7, r9, r4\n"     \
    "ldr r8, [r0, #4]\n"         \
    "ldr r9, [r0, #6]\n"         \
    "smlad r5, r7, r8, r5\n"     \
    "smlad r6, r7, r9, r6\n"     \
    "smlad r3, r10, r8, r3\n"    \
    "smlad r4, r10, r9, r4\n"    \
    "ldr r8, [r0, #8]!\n"        \
    "ldr r9, [r0, #2]\n"         \
    "smlad r5, r10, r8, r5\n"    \
    "smlad r6, r10, r9, r6\n"    \
    "subs r2, r2, #1\n"          \
    "bne 7b\n"                   \
    "subs r12, r12, #1\n"        \
    "bne 2b\n"

#define ES_WINDOWS_SCALE(sum)              \
    "lsls " sum ", " sum ", #1\n"          \
    "add r9, r8, " sum ", asr #31\n"       \
    "smmlar " sum ", " sum ", r7, r9\n"    \
    "asrs " sum ", " sum ", r11\n"         \
    "ssat " sum ", #8, " sum "\n"

/* Four outputs, and the next four windows: the last four of the row where fewer are left. */
#define ES_WINDOWS_END                                                                                     \
    "8:\n"                                                                                                 \
    "ldrd r7, r8, [sp, #20]\n"                                                                             \
    "ldrd r10, r1, [sp, #28]\n"                                                                            \
    ES_WINDOWS_SCALE("r3") ES_WINDOWS_SCALE("r4") ES_WINDOWS_SCALE("r5") ES_WINDOWS_SCALE("r6")            \
    "strb r3, [lr]\n"                                                                                      \
    "strb r4, [lr, r10]\n"                                                                                 \
    "add r12, lr, r10, lsl #1\n"                                                                           \
    "strb r5, [r12]\n"                                                                                     \
    "strb r6, [r12, r10]\n"                                                                                \
    "add lr, lr, r10, lsl #2\n"                                                                            \
    "add r0, r0, r1\n"                                                                                     \
    "subs r11, r11, #2048\n"                                                                               \
    "bpl 1b\n"                                                                                             \
    "asr r9, r11, #9\n"                                                                                    \
    "cmn r9, #4\n"                                                                                         \
    "beq 9f\n"                                                                                             \
    "ldr r1, [sp, #48]\n"                                                                                  \
    "mla lr, r9, r10, lr\n"                                                                                \
    "mla r0, r9, r1, r0\n"                                                                                 \
    "sub r11, r11, r9, lsl #9\n"                                                                           \
    "b 1b\n"                                                                                               \
    "9:\n"                                                                                                 \
    "ldrd r11, r12, [sp, #36]\n"                                                                           \
    "add r0, r0, r12\n"                                                                                    \
    "ldr r12, [sp, #44]\n"                                                                                 \
    "subs r12, r12, #1\n"                                                                                  \
    "str r12, [sp, #44]\n"                                                                                 \
    "bne 1b\n"                                                                                             \
    "add sp, sp, #52\n"                                                                                    \
    "pop {r4-r11, pc}\n"
/* clang-format on */

/* Makes all windows; the channel's requantisation is short (es_requant.h), outputs are out_c apart and saturated to
 * int8 only.
 */
__attribute__((naked, unused)) static void es_windows_make(const es_windows_t *windows __attribute__((unused)),
                                                           const uint32_t *filter __attribute__((unused)),
                                                           const es_channel_t *channel __attribute__((unused)),
                                                           int8_t *output __attribute__((unused))) {
    __asm__(ES_WINDOWS_BEGIN ES_WINDOWS_FOUR ES_WINDOWS_ROW_2 ES_WINDOWS_ROW_1 ES_WINDOWS_END);
}

#else

/* Adds the products of four windows, `stride` columns apart. */
ES_INLINE void es_windows_sum(const es_windows_t *windows, const int16_t *a, uint32_t stride, const int16_t *w,
                              uint32_t sums[4]) {
    const uint32_t taps = 2 * windows->pairs;
    uint32_t sum0 = sums[0], sum1 = sums[1], sum2 = sums[2], sum3 = sums[3];
    for (uint32_t rows = windows->height; rows != 0; rows--) {
        for (const int16_t *const end = w + taps; w != end; w += 2) {
            const int32_t w0 = w[0], w1 = w[1];
            sum0 = es_add_product(w1, a[1], es_add_product(w0, a[0], sum0));
            sum1 = es_add_product(w1, a[stride + 1], es_add_product(w0, a[stride], sum1));
            sum2 = es_add_product(w1, a[2 * stride + 1], es_add_product(w0, a[2 * stride], sum2));
            sum3 = es_add_product(w1, a[3 * stride + 1], es_add_product(w0, a[3 * stride], sum3));
            a += 2;
        }
        a += windows->row_skip_bytes / 2;
    }
    sums[0] = sum0, sums[1] = sum1, sums[2] = sum2, sums[3] = sum3;
}

ES_APART void es_windows_sum_1(const es_windows_t *windows, const int16_t *a, const int16_t *w, uint32_t sums[4]) {
    es_windows_sum(windows, a, 1, w, sums);
}

ES_APART void es_windows_sum_2(const es_windows_t *windows, const int16_t *a, const int16_t *w, uint32_t sums[4]) {
    es_windows_sum(windows, a, 2, w, sums);
}

static inline void es_windows_make(const es_windows_t *windows, const uint32_t *filter, const es_channel_t *channel,
                                   int8_t *output) {
    const int16_t *const w = (const int16_t *)(const void *)filter;
    const es_scale_t scale = es_scale_of(channel);
    const uint32_t bias = (uint32_t)channel->bias, out_c = windows->out_c;
    const uint32_t out_w = windows->left / 512 + 4, stride = windows->stride_bytes / 2;
    const int16_t *row_at = windows->first;
    for (uint32_t rows = windows->rows; rows != 0; rows--) {
        for (uint32_t x = 0; x < out_w; x += 4) {
            const uint32_t first = x + 4 <= out_w ? x : out_w - 4;
            const int16_t *const a = row_at + first * stride;
            uint32_t sums[4] = {bias, bias, bias, bias};
            if (stride == 1) {
                es_windows_sum_1(windows, a, w, sums);
            } else {
                es_windows_sum_2(windows, a, w, sums);
            }
            for (uint32_t i = 0; i < 4; i++) {
                output[(first + i) * out_c] = (int8_t)es_requantize_short((int32_t)sums[i], &scale);
            }
        }
        row_at += windows->next_row_bytes / 2 + out_w * stride;
        output += out_w * out_c;
    }
}

#endif

#endif
