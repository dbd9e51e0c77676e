#include "es_broadcast.h"
#include "es_intrin.h"
#include "es_kernels.h"

ES_INLINE int8_t greater(int8_t a, int8_t b) { return a > b ? a : b; }

ES_INLINE int8_t lesser(int8_t a, int8_t b) { return a < b ? a : b; }

static void maximum_row(const void *context, const int8_t *input1, uint32_t step1, const int8_t *input2, uint32_t step2,
                        int8_t *output, uint32_t count) {
    (void)context;
    for (const int8_t *const end = output + count; output != end; input1 += step1, input2 += step2) {
        *output++ = greater(*input1, *input2);
    }
}

static void minimum_row(const void *context, const int8_t *input1, uint32_t step1, const int8_t *input2, uint32_t step2,
                        int8_t *output, uint32_t count) {
    (void)context;
    for (const int8_t *const end = output + count; output != end; input1 += step1, input2 += step2) {
        *output++ = lesser(*input1, *input2);
    }
}

uint32_t es_extremum_s8_get_buffer_size(const es_extremum_params_t *params) {
    (void)params;
    return 0;
}

void es_extremum_s8(const es_extremum_params_t *params, const es_broadcast_t *loops, const int8_t *input1,
                    const int8_t *input2, int8_t *output) {
    es_broadcast_rows(loops, input1, input2, output, params->maximum == 1 ? maximum_row : minimum_row, NULL);
}
