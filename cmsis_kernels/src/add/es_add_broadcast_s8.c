#include "es_broadcast.h"
#include "es_kernels.h"
#include "es_requant.h"

/* As in es_add_s8.c: operands are lifted by left_shift (and one bit for SMMLAR), scaled, added and scaled to the output.
 * |q - zero_point| <= 255 and left_shift <= 20, so a lifted operand is below 2^29 and a term below 2^28. A term that is
 * subtracted is lifted by a negative unit: x * -m and -x * m are one product, which is rounded once.
 */
typedef struct {
    int32_t start; /* -zero_point * unit */
    int32_t unit;  /* 2^(left_shift + 1), negative to subtract */
    int32_t multiplier;
    int32_t half; /* 2^(right - 1), or 0 */
    uint32_t right;
    int32_t sign; /* -1, or 0 where right is 0: nothing is rounded then */
} term_t;

typedef struct {
    term_t in1;
    term_t in2;
    term_t sum;
    int32_t linear_start; /* a term that is exactly one half: start + q * unit */
    int32_t linear_unit;
    bool linear_second; /* it is the second operand */
    es_output_t out;
} sum_t;

static term_t term_of(int32_t zero_point, int32_t unit, int32_t multiplier, int32_t shift) {
    const bool negative = multiplier < 0;
    const uint32_t right = (uint32_t)-shift;
    term_t t = {.unit = negative ? -unit : unit,
                .multiplier = negative ? -multiplier : multiplier,
                .half = right == 0 ? 0 : (int32_t)(1U << (right - 1)),
                .right = right,
                .sign = right == 0 ? 0 : -1};
    t.start = -zero_point * t.unit;
    return t;
}

/* A value times 2, scaled; |x| < 2^30. */
ES_INLINE int32_t scaled(int32_t x, const term_t *t) {
    return (es_smmlar(x, t->multiplier, t->half) + ((x >> 31) & t->sign)) >> t->right;
}

ES_INLINE int32_t term(int32_t q, const term_t *t) { return scaled(t->start + q * t->unit, t); }

/* Any scales, any steps. */
static void any_row(const void *context, const int8_t *input1, uint32_t step1, const int8_t *input2, uint32_t step2,
                    int8_t *output, uint32_t count) {
    const sum_t *const s = context;
    for (uint32_t i = 0; i < count; i++) {
        const int32_t raw = term(input1[i * step1], &s->in1) + term(input2[i * step2], &s->in2);
        output[i] = (int8_t)es_clamp(scaled(raw * 2, &s->sum) + s->out.zero_point, s->out.min, s->out.max);
    }
}

/* Where TFLite's factors are of their usual form: one operand is linear, the other and the sum are rounded, and sum.half
 * holds the output's zero point.
 */
ES_INLINE int32_t rounded(int32_t x, const term_t *t) {
    return (es_smmlar(x, t->multiplier, t->half) + (x >> 31)) >> t->right;
}

/* An operand's step is 1, or 0 where it stands still; both are constants to the compiler. */
ES_INLINE void usual_row(const sum_t *s, const term_t *in, const int8_t *linear, uint32_t linear_step,
                         const int8_t *other, uint32_t other_step, bool narrow, int8_t *output, uint32_t count) {
    int32_t x = s->linear_start + *linear * s->linear_unit;
    int32_t y = rounded(in->start + *other * in->unit, in);
    for (const int8_t *const end = output + count; output != end;) {
        if (linear_step != 0) {
            x = s->linear_start + *linear++ * s->linear_unit;
        }
        if (other_step != 0) {
            y = rounded(in->start + *other++ * in->unit, in);
        }
        int32_t result = es_ssat8(rounded((x + y) * 2, &s->sum));
        if (narrow) {
            result = es_clamp(result, s->out.min, s->out.max);
        }
        *output++ = (int8_t)result;
    }
}

/* One loop for each case. `s` is a copy that no output can overwrite, so that it stays in registers. */
ES_INLINE void usual_rows(const void *context, const int8_t *input1, uint32_t step1, const int8_t *input2,
                          uint32_t step2, bool narrow, int8_t *output, uint32_t count) {
    const sum_t s = *(const sum_t *)context;
    const term_t in = s.linear_second ? s.in1 : s.in2;
    const int8_t *const linear = s.linear_second ? input2 : input1;
    const int8_t *const other = s.linear_second ? input1 : input2;
    if (step1 != 0 && step2 != 0) {
        usual_row(&s, &in, linear, 1, other, 1, narrow, output, count);
    } else if ((s.linear_second ? step2 : step1) != 0) {
        usual_row(&s, &in, linear, 1, other, 0, narrow, output, count);
    } else {
        usual_row(&s, &in, linear, 0, other, 1, narrow, output, count);
    }
}

static void full_row(const void *context, const int8_t *input1, uint32_t step1, const int8_t *input2, uint32_t step2,
                     int8_t *output, uint32_t count) {
    usual_rows(context, input1, step1, input2, step2, false, output, count);
}

static void narrow_row(const void *context, const int8_t *input1, uint32_t step1, const int8_t *input2, uint32_t step2,
                       int8_t *output, uint32_t count) {
    usual_rows(context, input1, step1, input2, step2, true, output, count);
}

static bool is_half(const term_t *t) { return t->multiplier == 1 << 30 && t->right == 0; }

/* Prepares the usual case, or says that it is not. A term of one half is (x * 2^30) / 2^32, so a quarter of the lifted
 * operand, which is exact from left_shift 1 on. Where both are one half, the rounded one gets one bit more and is shifted
 * back by it: the doubled product is even, so nothing is rounded. The scaled sum is below 2^29, 2^(right - 1) at most
 * 2^22 and the zero point times 2^right at most 2^30: together they are an int32.
 */
static bool make_usual(sum_t *s) {
    s->linear_second = !is_half(&s->in1);
    const term_t *const linear = s->linear_second ? &s->in2 : &s->in1;
    term_t *const other = s->linear_second ? &s->in1 : &s->in2;
    if (!is_half(linear) || linear->unit % 4 != 0 || s->sum.right == 0 || s->sum.right > 23) {
        return false;
    }
    if (other->right == 0) {
        if (!is_half(other)) {
            return false;
        }
        other->start *= 2;
        other->unit *= 2;
        other->half = 1;
        other->right = 1;
    }
    s->linear_start = linear->start / 4;
    s->linear_unit = linear->unit / 4;
    s->sum.half += (int32_t)((uint32_t)s->out.zero_point << s->sum.right);
    return true;
}

uint32_t es_add_broadcast_s8_get_buffer_size(const es_add_params_t *params) {
    (void)params;
    return 0;
}

void es_add_broadcast_s8(const es_add_params_t *params, const es_broadcast_t *loops, const int8_t *input1,
                         const int8_t *input2, int8_t *output) {
    const int32_t unit = 2 << params->left_shift;
    sum_t s = {.in1 = term_of(params->in1_zero_point, unit, params->in1_multiplier, params->in1_shift),
               .in2 = term_of(params->in2_zero_point, unit, params->in2_multiplier, params->in2_shift),
               .sum = term_of(0, 0, params->out_multiplier, params->out_shift),
               .out = es_output(params->out_zero_point, params->act_min, params->act_max)};
    es_row_fn_t *row = any_row;
    if (make_usual(&s)) {
        row = s.out.short_limit != 0 ? full_row : narrow_row;
    }
    es_broadcast_rows(loops, input1, input2, output, row, &s);
}
