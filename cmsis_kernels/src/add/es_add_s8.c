#include "es_kernels.h"
#include "es_requant.h"

/* The reference lifts each operand, x = (a - zero_point) << left_shift, multiplies it by multiplier / 2^31 and divides
 * it by 2^right, rounding both times; the sum is scaled likewise to the output.
 *
 * |a - zero_point| <= 255 and left_shift <= 20: |x| < 2^28, and one bit more is no overflow, so that SMMLAR gives the
 * doubling high multiply (es_requant.h). Both terms stay below 2^28, their sum below 2^29.
 */
typedef struct {
    int32_t start; /* -zero_point << left */
    uint32_t left; /* left_shift + 1 */
    int32_t multiplier;
    int32_t half; /* 2^(right - 1), or 0 */
    uint32_t right;
    int32_t sign; /* -1, or 0 where right is 0: nothing is rounded then */
} scale_t;

static scale_t scale_of(int32_t zero_point, int32_t left_shift, int32_t multiplier, int32_t shift) {
    const uint32_t left = (uint32_t)left_shift + 1;
    const uint32_t right = (uint32_t)-shift;
    const scale_t scale = {(int32_t)((uint32_t)-zero_point << left),      left,  multiplier,
                           right == 0 ? 0 : (int32_t)(1U << (right - 1)), right, right == 0 ? 0 : -1};
    return scale;
}

ES_INLINE int32_t lift(int32_t a, const scale_t *scale, uint32_t left) {
    return (int32_t)((uint32_t)scale->start + ((uint32_t)a << left));
}

/* A lifted operand or sum, times 2, scaled; the sign is that of x as for es_requantize_short. */
ES_INLINE int32_t scaled(int32_t x, const scale_t *scale, int32_t sign) {
    const int32_t product = es_smmlar(x, scale->multiplier, scale->half);
    return (int32_t)((uint32_t)product + (uint32_t)((x >> 31) & sign)) >> scale->right;
}

/* True where an operand is scaled by exactly one half: what becomes of the one with the greater scale in every model
 * that was converted by TFLite. It is then just lifted less far, without any rounding.
 */
static bool is_half(const scale_t *scale) {
    return scale->multiplier == 1 << 30 && scale->right == 0 && scale->left == 21;
}

/* One operand halved, all shifts at least 1, and every constant in a register. */
ES_INLINE void add_half(const scale_t *half, const int8_t *halved, const scale_t *in, const int8_t *other,
                        const scale_t *sum, const es_output_t *out, bool narrow, int8_t *output, uint32_t count) {
    const int32_t start = half->start >> 2;
    for (const int8_t *const end = halved + count; halved != end;) {
        const int32_t y = scaled(lift(*other++, in, 21), in, -1);
        const uint32_t raw = (uint32_t)y + (uint32_t)start + ((uint32_t)*halved++ << 19);
        int32_t result = es_ssat8(scaled((int32_t)(raw << 1), sum, -1));
        if (narrow) {
            result = es_clamp(result, out->min, out->max);
        }
        *output++ = (int8_t)result;
    }
}

/* Any scales. */
static void add_any(const es_add_params_t *params, const int8_t *input1, const int8_t *input2, const scale_t *in1,
                    const scale_t *in2, const scale_t *sum, int8_t *output) {
    for (uint32_t i = 0; i < params->count; i++) {
        const int32_t y1 = scaled(lift(input1[i], in1, in1->left), in1, in1->sign);
        const int32_t y2 = scaled(lift(input2[i], in2, in2->left), in2, in2->sign);
        const int32_t raw = (int32_t)(((uint32_t)y1 + (uint32_t)y2) << 1);
        const int32_t y = scaled(raw, sum, sum->sign) + params->out_zero_point;
        output[i] = (int8_t)es_clamp(y, params->act_min, params->act_max);
    }
}

uint32_t es_add_s8_get_buffer_size(const es_add_params_t *params) {
    (void)params;
    return 0;
}

void es_add_s8(const es_add_params_t *params, const int8_t *input1, const int8_t *input2, int8_t *output) {
    const int32_t left_shift = params->left_shift;
    scale_t in1 = scale_of(params->in1_zero_point, left_shift, params->in1_multiplier, params->in1_shift);
    scale_t in2 = scale_of(params->in2_zero_point, left_shift, params->in2_multiplier, params->in2_shift);
    scale_t sum = scale_of(0, 0, params->out_multiplier, params->out_shift);
    const es_output_t out = es_output(params->out_zero_point, params->act_min, params->act_max);
    if (!is_half(&in1) && is_half(&in2)) {
        const scale_t in = in1;
        const int8_t *const input = input1;
        in1 = in2, in2 = in;
        input1 = input2, input2 = input;
    }
    /* The scaled sum is below 2^29, 2^(right-1) at most 2^22 and the zero point times 2^right at most 2^30: all three
     * together are an int32.
     */
    if (!is_half(&in1) || in2.left != 21 || in2.right == 0 || sum.right == 0 || sum.right > 23) {
        add_any(params, input1, input2, &in1, &in2, &sum, output);
        return;
    }
    sum.half += (int32_t)((uint32_t)params->out_zero_point << sum.right);
    if (out.short_limit != 0) {
        add_half(&in1, input1, &in2, input2, &sum, &out, false, output, params->count);
    } else {
        add_half(&in1, input1, &in2, input2, &sum, &out, true, output, params->count);
    }
}
