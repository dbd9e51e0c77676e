/* Sums of four neighbouring channels over a rectangle of pixels: what AVERAGE_POOL_2D and MEAN are made of. */
#ifndef ES_SUM_FOUR_H
#define ES_SUM_FOUR_H

#include "es_intrin.h"

/* Pixels `step_bytes` apart in rows `row_bytes` apart. */
typedef struct {
    const int8_t *first;
    uint32_t rows, columns;
    uint32_t step_bytes, row_bytes;
} es_taps_t;

/* Sums of bytes 0, 1, 2 and 3 of all pixels, fewer than 2^24. */
void es_sum_four(const es_taps_t *taps, int32_t sums[4]);

/* Sum of the first byte of all pixels. */
int32_t es_sum_one(const es_taps_t *taps);

#endif
