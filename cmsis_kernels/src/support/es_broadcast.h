/* Rows of two operands that broadcast: what the kernels of es_kernels_elementwise.h share. */
#ifndef ES_BROADCAST_H
#define ES_BROADCAST_H

#include "es_kernels_elementwise.h"

/* One row: `count` outputs; an operand's step is 1, or 0 where all of the row meets one element of it. Not both 0. */
typedef void es_row_fn_t(const void *context, const int8_t *input1, uint32_t step1, const int8_t *input2,
                         uint32_t step2, int8_t *output, uint32_t count);

/* Calls `row` for every row. */
void es_broadcast_rows(const es_broadcast_t *loops, const int8_t *input1, const int8_t *input2, int8_t *output,
                       es_row_fn_t *row, const void *context);

#endif
