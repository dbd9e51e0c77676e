/* From an int32 accumulator to an int8 output, bit-exact with TFLite's MultiplyByQuantizedMultiplier (the one that
 * rounds twice: saturating rounding doubling high multiply, then rounding shift right, half away from zero).
 *
 * Short path, for rows with exact == 0. There the host has proved, for every accumulator a that int8 inputs can give:
 *   (1) -2^30 <= a < 2^30, so a << 1 does not overflow. The doubling high multiply is
 *       x = floor((a * m + 2^30) / 2^31) = floor((2 * a * m + 2^31) / 2^32), the upper word that SMMULR gives, and as
 *       0 <= m < 2^31 it never saturates. (TFLite nudges by 2^30 or 1 - 2^30 and divides towards zero, the same floor:
 *       for negative p, trunc((p + 1 - 2^30) / 2^31) = floor((p + 1 - 2^30 + 2^31 - 1) / 2^31).)
 *   (2) 1 <= s <= 31. Rounding half away from zero is then y = floor((x - (x < 0) + 2^(s-1)) / 2^s): for x >= 0 a half
 *       goes up, for x < 0 the 1 taken off sends it down, and no other value crosses a multiple. The 1 may be taken off
 *       where a < 0 instead: x < 0 implies a < 0, and a < 0 with x = 0 gives floor((2^(s-1) - 1) / 2^s) = 0 as well.
 *   (3) x + rounding and that less 1 are int32, where rounding = 2^(s-1) + zero_point * 2^s: adding a multiple of 2^s
 *       before the floor is adding zero_point after it.
 * So y = (SMMLAR(a << 1, m, rounding) + (a >> 31)) >> s, four instructions, and one more to saturate.
 *
 * Exact path, exact == 1: the definition itself in 64 bits, for any accumulator (which wraps like int32 arithmetic
 * in two's complement) and any shift in -31..31.
 *
 * Rows of any other value give numbers of no meaning, but nothing here is undefined for them.
 */
#ifndef ES_REQUANT_H
#define ES_REQUANT_H

#include <stdbool.h>

#include "es_intrin.h"
#include "es_types.h"

/* What all rows of a layer share. */
typedef struct {
    int32_t zero_point;
    int32_t min;
    int32_t max;
    uint32_t short_limit; /* largest word of shift and exact that the short path takes; see es_scale_of */
} es_output_t;

/* A row's part of a channel, read once for several outputs. */
typedef struct {
    int32_t multiplier;
    int32_t rounding;
    uint32_t shift; /* with `exact` in the upper half: 1..31 is the short path */
} es_scale_t;

/* Saturation alone clamps to all of int8. Where the layer clamps further, no row takes the short path. */
ES_INLINE es_output_t es_output(int32_t zero_point, int32_t act_min, int32_t act_max) {
    const es_output_t out = {zero_point, act_min, act_max, act_min == -128 && act_max == 127 ? 31 : 0};
    return out;
}

ES_INLINE es_scale_t es_scale_of(const es_channel_t *channel) {
    const uint8_t *shift = (const uint8_t *)channel + offsetof(es_channel_t, shift);
    const es_scale_t scale = {channel->multiplier, channel->rounding, es_load_u32(shift)};
    return scale;
}

ES_INLINE bool es_scale_is_short(const es_scale_t *scale, const es_output_t *out) {
    return scale->shift <= out->short_limit;
}

ES_INLINE int32_t es_clamp(int32_t x, int32_t min, int32_t max) {
    const int32_t above = x < min ? min : x;
    return above > max ? max : above;
}

/* x * m / 2^31, rounded half up; m >= 0, so it fits. */
ES_INLINE int32_t es_doubling_high_multiply(int32_t x, int32_t multiplier) {
    return (int32_t)(((int64_t)x * multiplier + (1LL << 30)) >> 31);
}

/* x / 2^shift, rounded half away from zero; |x| < 2^62, shift in 0..62. */
ES_INLINE int64_t es_rounding_shift_right(int64_t x, uint32_t shift) {
    if (shift == 0) {
        return x;
    }
    return (x + (x >> 63) + (1LL << (shift - 1))) >> shift;
}

/* MultiplyByQuantizedMultiplier as defined; shift > 0 is a shift right, shift < 0 one left before the product. */
ES_INLINE int32_t es_scale_exact(int32_t x, int32_t multiplier, int32_t shift) {
    const uint32_t left = shift < 0 ? (uint32_t)-shift & 31U : 0U;
    const uint32_t right = shift > 0 ? (uint32_t)shift & 31U : 0U;
    const int32_t scaled = es_doubling_high_multiply((int32_t)((uint32_t)x << left), multiplier);
    return (int32_t)es_rounding_shift_right(scaled, right);
}

/* Any accumulator of any row. A call, as it is rare: its 64-bit arithmetic is there once. */
int8_t es_requantize_any(int32_t acc, const es_channel_t *channel, const es_output_t *out) __attribute__((cold));

/* Of twice an accumulator, where es_scale_is_short: -128..127, not an int8_t, as compilers else extend its sign once more. */
ES_INLINE int32_t es_requantize_doubled(int32_t acc2, const es_scale_t *scale) {
    const int32_t x = es_smmlar(acc2, scale->multiplier, scale->rounding);
    return es_ssat8((int32_t)((uint32_t)x + (uint32_t)(acc2 >> 31)) >> scale->shift);
}

/* Where es_scale_is_short. */
ES_INLINE int32_t es_requantize_short(int32_t acc, const es_scale_t *scale) {
    return es_requantize_doubled((int32_t)((uint32_t)acc << 1), scale);
}

/* One accumulator to its output. */
ES_INLINE int8_t es_requantize(int32_t acc, const es_channel_t *channel, const es_output_t *out) {
    const es_scale_t scale = es_scale_of(channel);
    if (ES_UNLIKELY(!es_scale_is_short(&scale, out))) {
        return es_requantize_any(acc, channel, out);
    }
    return (int8_t)es_requantize_short(acc, &scale);
}

/* Two accumulators of one row to outputs `pitch` apart. */
ES_INLINE void es_requantize_two(int32_t acc0, int32_t acc1, const es_channel_t *channel, const es_output_t *out,
                                 int8_t *output, uint32_t pitch) {
    const es_scale_t scale = es_scale_of(channel);
    if (ES_UNLIKELY(!es_scale_is_short(&scale, out))) {
        output[0] = es_requantize_any(acc0, channel, out);
        output[pitch] = es_requantize_any(acc1, channel, out);
        return;
    }
    output[0] = (int8_t)es_requantize_short(acc0, &scale);
    output[pitch] = (int8_t)es_requantize_short(acc1, &scale);
}

#endif
