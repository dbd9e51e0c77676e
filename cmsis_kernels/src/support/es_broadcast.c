#include "es_broadcast.h"

/* The dimension `back` places before the last. */
static uint32_t dim_of(const uint32_t *dims, uint32_t rank, uint32_t back) {
    return back < rank ? dims[rank - 1 - back] : 1;
}

void es_broadcast_of(const uint32_t *dims1, uint32_t rank1, const uint32_t *dims2, uint32_t rank2,
                     es_broadcast_t *loops) {
    const uint32_t rank = rank1 > rank2 ? rank1 : rank2;
    uint32_t stride1 = 1;
    uint32_t stride2 = 1;
    loops->count = 0;
    for (uint32_t back = 0; back < rank; back++) {
        const uint32_t dim1 = dim_of(dims1, rank1, back);
        const uint32_t dim2 = dim_of(dims2, rank2, back);
        const uint32_t extent = dim1 > dim2 ? dim1 : dim2;
        const uint32_t step1 = dim1 == 1 ? 0 : stride1;
        const uint32_t step2 = dim2 == 1 ? 0 : stride2;
        stride1 *= dim1;
        stride2 *= dim2;
        if (extent == 1) {
            continue;
        }
        const uint32_t inner = loops->count - 1; /* read only where there is one */
        if (loops->count > 0 && step1 == loops->step1[inner] * loops->extent[inner] &&
            step2 == loops->step2[inner] * loops->extent[inner]) {
            loops->extent[inner] *= extent;
            continue;
        }
        loops->extent[loops->count] = extent;
        loops->step1[loops->count] = step1;
        loops->step2[loops->count] = step2;
        loops->count++;
    }
    if (loops->count == 0) {
        loops->count = loops->extent[0] = loops->step1[0] = loops->step2[0] = 1;
    }
}

void es_broadcast_rows(const es_broadcast_t *loops, const int8_t *input1, const int8_t *input2, int8_t *output,
                       es_row_fn_t *row, const void *context) {
    uint32_t at[ES_MAX_LOOPS] = {0};
    for (;;) {
        row(context, input1, loops->step1[0], input2, loops->step2[0], output, loops->extent[0]);
        output += loops->extent[0];
        uint32_t i = 1;
        for (; i < loops->count; i++) {
            at[i]++;
            if (at[i] < loops->extent[i]) {
                input1 += loops->step1[i];
                input2 += loops->step2[i];
                break;
            }
            input1 -= loops->step1[i] * (at[i] - 1);
            input2 -= loops->step2[i] * (at[i] - 1);
            at[i] = 0;
        }
        if (i >= loops->count) {
            return;
        }
    }
}
