#include "es_kernels.h"
#include "es_requant.h"

/* The reference lifts each operand, x = (a - zero_point) << left_shift, multiplies it by multiplier / 2^31 and divides
 * it by 2^right, rounding both times; the sum is scaled likewise to the output.
 *
 * |a - zero_point| <= 255 and left_shift <= 20: |x| < 2^28, and one bit more is no overflow, so that SMMLAR gives the
 * doubling high multiply (es_requant.h). Both terms stay below 2^28, their sum below 2^29.
 *
 * A scaled operand is a function of one byte: from TABLE_FROM elements on it is looked up in a table made once a call.
 */
enum {
    TABLE_FROM = 512,
    VALUES = 256
};

typedef struct {
    int32_t start; /* -zero_point << left */
    uint32_t left; /* left_shift + 1 */
    int32_t multiplier;
    int32_t half; /* 2^(right - 1), or 0 */
    uint32_t right;
    int32_t sign; /* -1, or 0 where right is 0: nothing is rounded then */
} scale_t;

typedef struct {
    const int8_t *input;
    scale_t scale;
} operand_t;

static scale_t scale_of(int32_t zero_point, int32_t left_shift, int32_t multiplier, int32_t shift) {
    const uint32_t left = (uint32_t)left_shift + 1;
    const uint32_t right = (uint32_t)-shift;
    const scale_t scale = {(int32_t)((uint32_t)-zero_point << left),      left,  multiplier,
                           right == 0 ? 0 : (int32_t)(1U << (right - 1)), right, right == 0 ? 0 : -1};
    return scale;
}

/* A lifted operand or sum, times 2, scaled; the sign is that of x as for es_requantize_short. */
ES_INLINE int32_t scaled(int32_t x, const scale_t *scale) {
    const int32_t product = es_smmlar(x, scale->multiplier, scale->half);
    return (int32_t)((uint32_t)product + (uint32_t)((x >> 31) & scale->sign)) >> scale->right;
}

ES_INLINE int32_t term(int32_t a, const scale_t *scale) {
    return scaled((int32_t)((uint32_t)scale->start + ((uint32_t)a << scale->left)), scale);
}

/* True where an operand is scaled by exactly one half, and lifted far enough for a quarter of it: what becomes of the one
 * with the greater scale in every model that was converted by TFLite. Its term is linear, without any rounding.
 */
static bool is_linear(const scale_t *scale) {
    return scale->multiplier == 1 << 30 && scale->right == 0 && scale->left >= 2;
}

/* Sum and output in one rounding: the scaled sum is below 2^29, 2^(right-1) at most 2^22 and the zero point times 2^right
 * at most 2^30, all three together are an int32.
 */
static bool is_joined(const scale_t *sum) { return sum->right >= 1 && sum->right <= 23; }

static scale_t sum_scale(const es_add_params_t *params) {
    scale_t sum = scale_of(0, 0, params->out_multiplier, params->out_shift);
    if (is_joined(&sum)) {
        sum.half += (int32_t)((uint32_t)params->out_zero_point << sum.right);
    }
    return sum;
}

/* What a doubled sum becomes; `sum` is_joined. */
ES_INLINE int8_t finished(uint32_t doubled, const scale_t *sum, const es_output_t *out, bool narrow) {
    const uint32_t x = (uint32_t)es_smmlar((int32_t)doubled, sum->multiplier, sum->half);
    const int32_t y = es_ssat8((int32_t)(x + (uint32_t)((int32_t)doubled >> 31)) >> sum->right);
    return (int8_t)(narrow ? es_clamp(y, out->min, out->max) : y);
}

/* Twice an operand's terms plus `more`, by its value as uint8. */
static void make_table(const scale_t *scale, uint32_t more, uint32_t *table) {
    for (int32_t a = 0; a < VALUES / 2; a++) {
        table[a] = ((uint32_t)term(a, scale) << 1) + more;
        table[a + VALUES / 2] = ((uint32_t)term(a - VALUES / 2, scale) << 1) + more;
    }
}

/* Two operands, the sum of whose doubled terms is unit * first + table[second], or, with `first_table`, a sum of two
 * entries.
 */
typedef struct {
    const int8_t *first, *second;
    const uint32_t *first_table, *table;
    uint32_t unit;
    int8_t *output;
    uint32_t count;
} job_t;

ES_INLINE void add_one(job_t *j, const scale_t *sum, const es_output_t *out, bool linear, bool narrow) {
    const int8_t a = *j->first++;
    const uint32_t b = j->table[(uint8_t)*j->second++];
    *j->output++ = finished((linear ? (uint32_t)a * j->unit : j->first_table[(uint8_t)a]) + b, sum, out, narrow);
}

ES_INLINE void add_all(const job_t *job, const scale_t *sum, const es_output_t *out, bool linear, bool narrow) {
    job_t j = *job; /* copies that no output can overwrite, so that they stay in registers */
    const scale_t s = *sum;
    es_opaque(j.unit); /* MLA, rather than a shift and a sum */
    for (const int8_t *const fours = j.output + (j.count & ~3U); j.output != fours;) {
        add_one(&j, &s, out, linear, narrow);
        add_one(&j, &s, out, linear, narrow);
        add_one(&j, &s, out, linear, narrow);
        add_one(&j, &s, out, linear, narrow);
    }
    for (uint32_t left = j.count & 3U; left != 0; left--) {
        add_one(&j, &s, out, linear, narrow);
    }
}

ES_APART void add_linear(const job_t *job, const scale_t *sum, const es_output_t *out) {
    add_all(job, sum, out, true, false);
}

/* Any of the other cases: TFLite's converter makes the one above, unless the activation is narrower than int8. */
ES_APART void add_other(const job_t *job, const scale_t *sum, const es_output_t *out) {
    if (job->first_table == NULL) {
        add_all(job, sum, out, true, true);
    } else {
        add_all(job, sum, out, false, true);
    }
}

/* Any scales, no scratch. */
static void add_any(const es_add_params_t *params, const operand_t *in1, const operand_t *in2, const scale_t *sum,
                    int8_t *output) {
    const bool joined = is_joined(sum);
    const es_output_t out = es_output(params->out_zero_point, params->act_min, params->act_max);
    for (uint32_t i = 0; i < params->count; i++) {
        const uint32_t raw = (uint32_t)term(in1->input[i], &in1->scale) + (uint32_t)term(in2->input[i], &in2->scale);
        output[i] = joined ? finished(raw << 1, sum, &out, true)
                           : (int8_t)es_clamp(scaled((int32_t)(raw << 1), sum) + out.zero_point, out.min, out.max);
    }
}

static bool has_tables(const es_add_params_t *params) {
    const scale_t sum = scale_of(0, 0, params->out_multiplier, params->out_shift);
    return params->count >= TABLE_FROM && is_joined(&sum);
}

/* The operands, a linear one first. */
static bool sort_operands(const es_add_params_t *params, const int8_t *input1, const int8_t *input2,
                          operand_t operands[2]) {
    const int32_t left_shift = params->left_shift;
    const operand_t in1 = {input1,
                           scale_of(params->in1_zero_point, left_shift, params->in1_multiplier, params->in1_shift)};
    const operand_t in2 = {input2,
                           scale_of(params->in2_zero_point, left_shift, params->in2_multiplier, params->in2_shift)};
    const bool swap = !is_linear(&in1.scale);
    operands[0] = swap ? in2 : in1;
    operands[1] = swap ? in1 : in2;
    return is_linear(&operands[0].scale);
}

uint32_t es_add_s8_get_buffer_size(const es_add_params_t *params) {
    operand_t operands[2];
    if (!has_tables(params)) {
        return 0;
    }
    return (sort_operands(params, NULL, NULL, operands) ? 1U : 2U) * VALUES * (uint32_t)sizeof(uint32_t);
}

void es_add_s8(const es_add_params_t *params, const int8_t *input1, const int8_t *input2, int8_t *output,
               void *scratch) {
    operand_t in[2];
    uint32_t *const table = scratch;
    const bool linear = sort_operands(params, input1, input2, in);
    const scale_t sum = sum_scale(params);
    const es_output_t out = es_output(params->out_zero_point, params->act_min, params->act_max);
    if (!has_tables(params)) {
        add_any(params, &in[0], &in[1], &sum, output);
        return;
    }
    job_t job = {.first = in[0].input, .second = in[1].input, .table = table, .output = output, .count = params->count};
    uint32_t start = 0;
    if (linear) {
        /* Twice a quarter of the lifted operand, which has one bit more than left_shift. */
        job.unit = 1U << (in[0].scale.left - 1);
        start = (uint32_t)(in[0].scale.start >> 1);
    } else {
        job.first_table = table + VALUES;
        make_table(&in[0].scale, 0, table + VALUES);
    }
    make_table(&in[1].scale, start, table);
    if (linear && out.short_limit != 0) {
        add_linear(&job, &sum, &out);
    } else {
        add_other(&job, &sum, &out);
    }
}
