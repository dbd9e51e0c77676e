#include "es_broadcast.h"
#include "es_kernels.h"
#include "es_requant.h"

/* A product is below 2^16 in size, and shifted left by at most 14 below 2^30: one bit more is no overflow, so that
 * SMMLAR gives the doubling high multiply (es_requant.h). It is no greater than what it is of.
 *
 * Where nothing is shifted left and `right` is 1..23, the scaled product (below 2^16), 2^(right-1) (at most 2^22) and the
 * zero point times 2^right (at most 2^30) make an int32 together: `rounding` holds both, and one shift finishes.
 */
typedef struct {
    int32_t zero1;
    int32_t zero2;
    int32_t multiplier;
    int32_t rounding;
    uint32_t left; /* 1 more than the shift */
    uint32_t right;
    int32_t sign; /* -1, or 0 where right is 0: nothing is rounded then */
    es_output_t out;
    bool joined; /* rounding holds the zero point */
} product_t;

static product_t product_of(const es_mul_params_t *params) {
    const int32_t shift = params->out_shift;
    product_t p = {.zero1 = params->in1_zero_point,
                   .zero2 = params->in2_zero_point,
                   .multiplier = params->out_multiplier,
                   .left = shift > 0 ? (uint32_t)shift + 1 : 1,
                   .right = shift < 0 ? (uint32_t)-shift : 0,
                   .sign = shift < 0 ? -1 : 0,
                   .out = es_output(params->out_zero_point, params->act_min, params->act_max)};
    p.joined = p.right >= 1 && p.right <= 23;
    p.rounding = p.right == 0 ? 0 : (int32_t)(1U << (p.right - 1));
    if (p.joined) {
        p.rounding += (int32_t)((uint32_t)params->out_zero_point << p.right);
    }
    return p;
}

/* The loop of a row whose operands both move, or whose other one stands still. */
ES_INLINE void joined_row(const product_t *p, const int8_t *moving, int32_t zero, const int8_t *other,
                          int32_t other_zero, bool still, bool narrow, int8_t *output, uint32_t count) {
    int32_t factor = *other - other_zero;
    for (const int8_t *const end = moving + count; moving != end;) {
        if (!still) {
            factor = *other++ - other_zero;
        }
        const int32_t product = (*moving++ - zero) * factor;
        const int32_t x = es_smmlar(product * 2, p->multiplier, p->rounding);
        int32_t y = es_ssat8((x + (product >> 31)) >> p->right);
        if (narrow) {
            y = es_clamp(y, p->out.min, p->out.max);
        }
        *output++ = (int8_t)y;
    }
}

/* Any shift, any steps. */
static void any_row(const void *context, const int8_t *input1, uint32_t step1, const int8_t *input2, uint32_t step2,
                    int8_t *output, uint32_t count) {
    const product_t *const p = context;
    for (uint32_t i = 0; i < count; i++) {
        const int32_t product = (input1[i * step1] - p->zero1) * (input2[i * step2] - p->zero2);
        const int32_t x = (int32_t)((uint32_t)product << p->left);
        const int32_t y = (es_smmlar(x, p->multiplier, p->rounding) + ((product >> 31) & p->sign)) >> p->right;
        output[i] = (int8_t)es_clamp(y + p->out.zero_point, p->out.min, p->out.max);
    }
}

/* One loop for each case. `p` is a copy that no output can overwrite, so that it stays in registers. */
ES_INLINE void joined_rows(const void *context, const int8_t *input1, uint32_t step1, const int8_t *input2,
                           uint32_t step2, bool narrow, int8_t *output, uint32_t count) {
    const product_t p = *(const product_t *)context;
    if (step1 != 0 && step2 != 0) {
        joined_row(&p, input1, p.zero1, input2, p.zero2, false, narrow, output, count);
    } else if (step1 != 0) {
        joined_row(&p, input1, p.zero1, input2, p.zero2, true, narrow, output, count);
    } else {
        joined_row(&p, input2, p.zero2, input1, p.zero1, true, narrow, output, count);
    }
}

static void full_row(const void *context, const int8_t *input1, uint32_t step1, const int8_t *input2, uint32_t step2,
                     int8_t *output, uint32_t count) {
    joined_rows(context, input1, step1, input2, step2, false, output, count);
}

static void narrow_row(const void *context, const int8_t *input1, uint32_t step1, const int8_t *input2, uint32_t step2,
                       int8_t *output, uint32_t count) {
    joined_rows(context, input1, step1, input2, step2, true, output, count);
}

uint32_t es_mul_s8_get_buffer_size(const es_mul_params_t *params) {
    (void)params;
    return 0;
}

void es_mul_s8(const es_mul_params_t *params, const es_broadcast_t *loops, const int8_t *input1, const int8_t *input2,
               int8_t *output) {
    const product_t p = product_of(params);
    es_row_fn_t *const row = !p.joined ? any_row : p.out.short_limit != 0 ? full_row : narrow_row;
    es_broadcast_rows(loops, input1, input2, output, row, &p);
}
