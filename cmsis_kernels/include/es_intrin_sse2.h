/* What inner loops are made of on x86-64, where no device runs: products of int8 eight at a time. All x86-64 has SSE2, so
 * nothing asks the processor what it can do. es_intrin_tile.h and es_intrin_depthwise.h have the same loops in plain C.
 *
 * A vector is eight int16 or four int32; sums of int32 wrap.
 *
 *   es_read_sixteen, _eight, _four(from)  so many bytes from any address, zeros behind them
 *   es_widen_low, es_widen_high(bytes)    bytes 0..7, or 8..15, to int16
 *   es_add_products(sums, x, y)           sum i plus x[2i] * y[2i] + x[2i+1] * y[2i+1], which has to be an int32
 *   es_add_all(sum, sums)                 sum plus the four
 *   es_add_halves(acc, x, y)              of two rows with columns x and y: acc[row][column] plus what x or y has for the
 *                                         row, two sums each
 *   es_scale_doubled(acc2, multipliers, roundings)  the short requantisation (es_requant.h) of four doubled accumulators
 *                                         up to its shift; words 0 and 2 of the others are for sums 0, 1 and 2, 3
 *   es_shift_right(x, shift)              each int32, keeping the sign
 *   es_saturate(x, y)                     eight int32 to int8, in the lower half
 */
#ifndef ES_INTRIN_SSE2_H
#define ES_INTRIN_SSE2_H

#include <emmintrin.h>

#include "es_intrin.h"

ES_INLINE __m128i es_read_sixteen(const void *from) { return _mm_loadu_si128(from); }

ES_INLINE __m128i es_read_eight(const void *from) { return _mm_loadl_epi64(from); }

ES_INLINE __m128i es_read_four(const void *from) { return _mm_cvtsi32_si128((int32_t)es_read_u32(from)); }

ES_INLINE __m128i es_widen_low(__m128i bytes) { return _mm_srai_epi16(_mm_unpacklo_epi8(bytes, bytes), 8); }

ES_INLINE __m128i es_widen_high(__m128i bytes) { return _mm_srai_epi16(_mm_unpackhi_epi8(bytes, bytes), 8); }

ES_INLINE __m128i es_add_products(__m128i sums, __m128i x, __m128i y) {
    return _mm_add_epi32(sums, _mm_madd_epi16(x, y));
}

ES_INLINE int32_t es_add_all(int32_t sum, __m128i sums) {
    const __m128i two = _mm_add_epi32(sums, _mm_unpackhi_epi64(sums, sums));
    const __m128i one = _mm_add_epi32(two, _mm_srli_epi64(two, 32));
    return (int32_t)((uint32_t)sum + (uint32_t)_mm_cvtsi128_si32(one));
}

ES_INLINE void es_add_halves(int32_t acc[2][2], __m128i x, __m128i y) {
    const __m128i row0 = _mm_unpacklo_epi32(x, y), row1 = _mm_unpackhi_epi32(x, y); /* x y x y */
    const __m128i sums = _mm_add_epi32(_mm_unpacklo_epi64(row0, row1), _mm_unpackhi_epi64(row0, row1));
    _mm_storeu_si128((void *)acc, _mm_add_epi32(_mm_loadu_si128((const void *)acc), sums));
}

/* SSE2 multiplies without sign, so that products are of acc2 + 2^31; what is too much goes off again: 2^31 * multiplier.
 * All modulo 2^64, as for es_smmlar; multipliers are not negative.
 */
ES_INLINE __m128i es_scale_doubled(__m128i acc2, __m128i multipliers, __m128i roundings) {
    const __m128i low = _mm_set1_epi64x(0xffffffff), half = _mm_set1_epi64x(0x80000000);
    const __m128i raised = _mm_xor_si128(acc2, _mm_set1_epi32(INT32_MIN));
    const __m128i above = _mm_slli_epi64(_mm_and_si128(multipliers, low), 31);
    const __m128i more = _mm_sub_epi64(_mm_add_epi64(_mm_slli_epi64(roundings, 32), half), above);
    const __m128i even = _mm_add_epi64(_mm_mul_epu32(raised, multipliers), more);
    const __m128i odd = _mm_add_epi64(_mm_mul_epu32(_mm_srli_epi64(raised, 32), multipliers), more);
    const __m128i upper = _mm_or_si128(_mm_srli_epi64(even, 32), _mm_andnot_si128(low, odd));
    return _mm_add_epi32(upper, _mm_srai_epi32(acc2, 31));
}

ES_INLINE __m128i es_shift_right(__m128i x, uint32_t shift) {
    return _mm_sra_epi32(x, _mm_cvtsi32_si128((int32_t)shift));
}

ES_INLINE __m128i es_saturate(__m128i x, __m128i y) {
    const __m128i words = _mm_packs_epi32(x, y);
    return _mm_packs_epi16(words, words);
}

#endif
