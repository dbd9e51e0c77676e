#include "es_kernels.h"
#include "es_requant.h"

/* Fixed point: Q<n> is an int32 with n integer bits and 31 - n fraction bits. All arithmetic wraps or is 64 bits wide:
 * parameters that no model has give numbers of no meaning, never an undefined operation.
 *
 * Exact as TFLite's reference while the sum of a row's exponentials is below 2^28 in Q12, that is 512: above, the
 * reference shifts by more than its 31 bits and is itself undefined.
 */

enum {
    CACHED = 32 /* exponentials of a row that are kept from the sum to the output; further ones are made again */
};

/* Product of Q<a> and Q<b> to Q<a+b>. A call: there are a dozen of them. */
ES_APART int32_t multiply(int32_t a, int32_t b) { return es_doubling_high_multiply(a, b); }

/* x * 2^bits, saturated. */
ES_APART int32_t shift_left_saturated(int32_t x, uint32_t bits) {
    const int64_t y = (int64_t)x * (1LL << bits);
    return y < INT32_MIN ? INT32_MIN : y > INT32_MAX ? INT32_MAX : (int32_t)y;
}

static int32_t add(int32_t a, int32_t b) { return (int32_t)((uint32_t)a + (uint32_t)b); }

/* exp(a) for a in [-1/4, 0), both Q0: with x = a + 1/8, exp(-1/8) * (1 + x + x^2/2 + x^3/6 + x^4/24), the last terms as
 * ((x^4/4 + x^3) / 3 + x^2) / 2.
 */
static int32_t exp_near_zero(int32_t a) {
    const int32_t exp_minus_eighth = 1895147668; /* exp(-1/8) * 2^31 */
    const int32_t third = 715827883;             /* 2^31 / 3 */
    const int32_t x = add(a, 1 << 28);
    const int32_t x2 = multiply(x, x);
    const int32_t x3 = multiply(x2, x);
    const int32_t x4_quarter = (int32_t)es_rounding_shift_right(multiply(x2, x2), 2);
    const int32_t tail = (int32_t)es_rounding_shift_right(add(multiply(add(x4_quarter, x3), third), x2), 1);
    return add(exp_minus_eighth, multiply(exp_minus_eighth, add(x, tail)));
}

/* exp(a) in Q0 for a <= 0 in Q5: the fraction below 1/4 by the polynomial, then a factor exp(-2^k) for each further bit
 * of -a, k = -2..4.
 */
static int32_t exp_q5(int32_t a) {
    static const int32_t factor_q31[7] = {1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242};
    if (a == 0) {
        return INT32_MAX;
    }
    const int32_t quarter = 1 << 24;
    const int32_t fraction = (int32_t)((uint32_t)a & (uint32_t)(quarter - 1)) - quarter;
    const uint32_t rest = (uint32_t)fraction - (uint32_t)a;
    int32_t result = exp_near_zero(fraction * 32);
    for (uint32_t bit = 0; bit < 7; bit++) {
        if ((rest >> (24 + bit) & 1U) != 0) {
            result = multiply(result, factor_q31[bit]);
        }
    }
    return result;
}

/* 1 / (1 + a) for a in [0, 1), both Q0, by three steps of Newton and Raphson in Q2 from 48/17 - 32/17 * d, where
 * d = (1 + a) / 2.
 */
static int32_t one_over_one_plus(int32_t a) {
    const int32_t q2_48_over_17 = 1515870810;
    const int32_t q2_minus_32_over_17 = -1010580540;
    const int64_t sum = (int64_t)a + INT32_MAX;
    const int32_t half = (int32_t)((sum + (sum >= 0 ? 1 : -1)) / 2);
    int32_t x = add(q2_48_over_17, multiply(half, q2_minus_32_over_17));
    for (uint32_t step = 0; step < 3; step++) {
        const int32_t error = add(1 << 29, -multiply(half, x));
        x = add(x, shift_left_saturated(multiply(x, error), 2));
    }
    return shift_left_saturated(x, 1);
}

/* exp of a difference to the maximum, in Q0; 0 for one that adds nothing. */
static int32_t exp_of(int32_t difference, const es_softmax_params_t *params) {
    if (difference < params->diff_min) {
        return 0;
    }
    const int32_t shifted = (int32_t)((uint32_t)difference << params->left_shift);
    return exp_q5(multiply(shifted, params->multiplier));
}

/* x / 2^shift rounded, shift 4..35. */
ES_APART int64_t shifted_right(int32_t x, uint32_t shift) {
    if (x >= 0 && shift <= 31) { /* always, in any model: no sum of 64 bits is needed */
        return (int64_t)(((uint32_t)x + (1U << (shift - 1))) >> shift);
    }
    return es_rounding_shift_right(x, shift);
}

static void softmax_row(const es_softmax_params_t *params, const int8_t *input, int8_t *output) {
    int32_t exps[CACHED];
    int32_t max = -128;
    for (uint32_t i = 0; i < params->depth; i++) {
        max = input[i] > max ? input[i] : max;
    }
    uint32_t sum = 0; /* Q12; a row's maximum alone adds 2^19 */
    for (uint32_t i = 0; i < params->depth; i++) {
        const int32_t e = exp_of(input[i] - max, params);
        if (i < CACHED) {
            exps[i] = e;
        }
        sum += (uint32_t)shifted_right(e, 12);
    }
    /* sum = (1 + a) * 2^(31 - zeros), a in [0, 1); | 1 matters only for a sum that has wrapped to 0 */
    const uint32_t zeros = es_clz(sum | 1U);
    const int32_t scale = one_over_one_plus((int32_t)((sum << zeros) - 0x80000000U));
    const uint32_t shift = 12 - zeros + 31 - 8; /* 4..35: zeros is 0..31 */
    for (uint32_t i = 0; i < params->depth; i++) {
        const int32_t e = i < CACHED ? exps[i] : exp_of(input[i] - max, params);
        const int64_t y = shifted_right(multiply(scale, e), shift) - 128;
        output[i] = (int8_t)(y > 127 ? 127 : y < -128 ? -128 : y);
    }
}

uint32_t es_softmax_s8_get_buffer_size(const es_softmax_params_t *params) {
    (void)params;
    return 0;
}

void es_softmax_s8(const es_softmax_params_t *params, const int8_t *input, int8_t *output) {
    for (uint32_t row = 0; row < params->rows; row++) {
        softmax_row(params, input, output);
        input += params->depth;
        output += params->depth;
    }
}
