#include "es_kernels.h"
#include "es_requant.h"

uint32_t es_mean_s8_get_buffer_size(const es_mean_params_t *params) {
    (void)params;
    return 0;
}

static int32_t sum_of_run(const int8_t *from, int32_t count, int32_t step) {
    int32_t sum = 0;
    for (int32_t i = 0; i < count; i++) {
        sum += from[i * step];
    }
    return sum;
}

/* Sum over the reduced dimensions, from their first element on. */
static int32_t sum_of(const es_mean_params_t *params, const int8_t *first, int32_t step0, int32_t step1) {
    const int32_t *const reduced = params->reduced;
    int32_t sum = 0;
    for (int32_t a = 0; a < reduced[0]; a++) {
        const int8_t *const from = first + a * step0;
        if (reduced[2] == 1) {
            sum += sum_of_run(from, reduced[1], step1);
            continue;
        }
        for (int32_t b = 0; b < reduced[1]; b++) {
            sum += sum_of_run(from + b * step1, reduced[2], 1);
        }
    }
    return sum;
}

void es_mean_s8(const es_mean_params_t *params, const int8_t *input, int8_t *output) {
    const int32_t *const kept = params->kept;
    const int32_t *const reduced = params->reduced;
    const int32_t step1 = kept[2] * reduced[2]; /* between elements of reduced[1] */
    const int32_t pitch1 = reduced[1] * step1;  /* of kept[1] */
    const int32_t step0 = kept[1] * pitch1;     /* of reduced[0] */
    const int32_t pitch0 = reduced[0] * step0;  /* of kept[0] */
    const int32_t zeros = reduced[0] * reduced[1] * reduced[2] * params->in_zero_point;
    for (int32_t a = 0; a < kept[0]; a++) {
        for (int32_t b = 0; b < kept[1]; b++) {
            for (int32_t c = 0; c < kept[2]; c++) {
                const int8_t *const first = input + a * pitch0 + b * pitch1 + c * reduced[2];
                const int32_t sum = sum_of(params, first, step0, step1) - zeros;
                const int64_t mean =
                    (int64_t)es_scale_exact(sum, params->multiplier, -params->shift) + params->out_zero_point;
                *output++ = (int8_t)(mean < -128 ? -128 : mean > 127 ? 127 : mean);
            }
        }
    }
}
