#include "es_kernels.h"
#include "es_requant.h"
#include "es_sum_four.h"

uint32_t es_mean_s8_get_buffer_size(const es_mean_params_t *params) {
    (void)params;
    return 0;
}

typedef struct {
    int32_t zeros; /* what the zero points of all summands add up to */
    int32_t multiplier, shift, zero_point;
} rescale_t;

static int8_t mean_of(int32_t sum, const rescale_t *r) {
    const int64_t mean = (int64_t)es_scale_exact(sum - r->zeros, r->multiplier, r->shift) + r->zero_point;
    return (int8_t)(mean < -128 ? -128 : mean > 127 ? 127 : mean);
}

/* Sum over the reduced dimensions, from their first element on. */
static int32_t sum_of(const es_mean_params_t *params, const int8_t *first, int32_t step0, int32_t step1) {
    const uint32_t run = (uint32_t)params->reduced[2];
    int32_t sum = 0;
    for (int32_t a = 0; a < params->reduced[0]; a++) {
        const es_taps_t taps = {first + a * step0, (uint32_t)params->reduced[1], run, 1, (uint32_t)step1};
        sum += es_sum_one(&taps);
    }
    return sum;
}

/* Where the last dimension is kept: four of its elements at a time, then the rest; returns how many it made. */
static int32_t make_fours(const es_mean_params_t *params, const rescale_t *r, const int8_t *first, int32_t step0,
                          int32_t step1, int8_t *output) {
    int32_t c = 0;
    if (params->reduced[2] != 1) {
        return 0;
    }
    for (; c + 4 <= params->kept[2]; c += 4) {
        const es_taps_t taps = {first + c, (uint32_t)params->reduced[0], (uint32_t)params->reduced[1], (uint32_t)step1,
                                (uint32_t)step0};
        int32_t sums[4];
        es_sum_four(&taps, sums);
        for (uint32_t i = 0; i < 4; i++) {
            *output++ = mean_of(sums[i], r);
        }
    }
    return c;
}

void es_mean_s8(const es_mean_params_t *params, const int8_t *input, int8_t *output) {
    const int32_t *const kept = params->kept;
    const int32_t *const reduced = params->reduced;
    const int32_t step1 = kept[2] * reduced[2]; /* between elements of reduced[1] */
    const int32_t pitch1 = reduced[1] * step1;  /* of kept[1] */
    const int32_t step0 = kept[1] * pitch1;     /* of reduced[0] */
    const int32_t pitch0 = reduced[0] * step0;  /* of kept[0] */
    const rescale_t r = {reduced[0] * reduced[1] * reduced[2] * params->in_zero_point, params->multiplier,
                         -params->shift, params->out_zero_point};
    for (int32_t a = 0; a < kept[0]; a++) {
        for (int32_t b = 0; b < kept[1]; b++) {
            const int8_t *const first = input + a * pitch0 + b * pitch1;
            int32_t c = make_fours(params, &r, first, step0, step1, output);
            output += c;
            for (; c < kept[2]; c++) {
                *output++ = mean_of(sum_of(params, first + c * reduced[2], step0, step1), &r);
            }
        }
    }
}
