/* Kernels that work element by element, beside es_add_s8. Part of es_kernels.h, whose first comment holds here too.
 *
 * Broadcasting, as numpy's: shapes are aligned at their last dimensions, and a dimension of 1 (or one that is missing)
 * meets every index of the other's. es_broadcast_of turns two shapes into at most ES_MAX_LOOPS nested loops, and joins
 * neighbours that one loop can do: [H, W, C] with [1, 1, C] are two loops, with a scalar one.
 */
#ifndef ES_KERNELS_ELEMENTWISE_H
#define ES_KERNELS_ELEMENTWISE_H

#include <stdint.h>

#include "es_types.h"

#define ES_MAX_LOOPS 6

/* Nested loops over two operands, the innermost first; the output is contiguous. The innermost steps are 0 or 1, and
 * not both 0.
 */
typedef struct {
    uint32_t count; /* 1..ES_MAX_LOOPS */
    uint32_t extent[ES_MAX_LOOPS];
    uint32_t step1[ES_MAX_LOOPS]; /* elements between the first operand's indices */
    uint32_t step2[ES_MAX_LOOPS];
} es_broadcast_t;

/* The loops of two shapes that broadcast, outermost dimension first, ranks 0..ES_MAX_LOOPS, dimensions above 0. */
void es_broadcast_of(const uint32_t *dims1, uint32_t rank1, const uint32_t *dims2, uint32_t rank2,
                     es_broadcast_t *loops);

/* ADD and SUB with broadcasting.
 *
 * Math: as es_add_s8, but in2_multiplier may be negative, which subtracts: the second operand is negated before it is
 *   scaled, as TFLite's product with the negated multiplier is the same number.
 * Shapes: those of `loops`; the output has the product of its extents.
 * Types and ranges: int8, all values. Where one factor is exactly one half, as TFLite's always is, 20 instructions an
 *   element on Cortex-M4, 11 where an operand stands still along a row, and some 90 a row; else about 45.
 * Layout: none.
 * Scratch: none.
 * Checked: left_shift 0..20; multipliers 0..2^31-1, the second's in size; shifts -31..0; zero points, act_min and
 *   act_max -128..127, act_min <= act_max; `loops` stay inside the tensors.
 * Source: ADD, SUB, reference/integer_ops/add.h.
 */
void es_add_broadcast_s8(const es_add_params_t *params, const es_broadcast_t *loops, const int8_t *input1,
                         const int8_t *input2, int8_t *output);
uint32_t es_add_broadcast_s8_get_buffer_size(const es_add_params_t *params);

/* Any function of one int8, as a table.
 *
 * Math: output = table[128 + q].
 * Shapes: `count` elements.
 * Types and ranges: int8, all values; 4.3 instructions an element on Cortex-M4.
 * Layout: table: 256 int8.
 * Scratch: none.
 * Aliasing: output may be input.
 * Exactness: the host's, which makes the table with TFLite's arithmetic.
 * Checked: the table's 256 bytes are there.
 * Source: none.
 */
void es_lut_s8(const es_lut_params_t *params, const int8_t *input, const int8_t *table, int8_t *output);
uint32_t es_lut_s8_get_buffer_size(const es_lut_params_t *params);

/* MUL with broadcasting.
 *
 * Math: (q_1 - in1_zero_point) * (q_2 - in2_zero_point), scaled by the output's multiplier and shift, plus
 *   out_zero_point, clamped to act_min..act_max.
 * Shapes: those of `loops`; the output has the product of its extents.
 * Types and ranges: int8, all values. Where the shift is -23..-1, 13 instructions an element on Cortex-M4, 11 where an
 *   operand stands still along a row, and some 50 a row; else about 31.
 * Layout: none.
 * Scratch: none.
 * Checked: multiplier 0..2^31-1; shift -31..14; zero points, act_min and act_max -128..127, act_min <= act_max; `loops`
 *   stay inside the tensors.
 * Source: MUL, reference/integer_ops/mul.h.
 */
void es_mul_s8(const es_mul_params_t *params, const es_broadcast_t *loops, const int8_t *input1, const int8_t *input2,
               int8_t *output);
uint32_t es_mul_s8_get_buffer_size(const es_mul_params_t *params);

/* MAXIMUM and MINIMUM with broadcasting.
 *
 * Math: the greater (maximum 1) or the lesser (maximum 0) of both operands.
 * Shapes: those of `loops`; the output has the product of its extents.
 * Types and ranges: int8, all values; inputs and output have one scale and zero point.
 * Layout: none.
 * Scratch: none.
 * Checked: `loops` stay inside the tensors.
 * Source: MAXIMUM, MINIMUM, reference/maximum_minimum.h.
 */
void es_extremum_s8(const es_extremum_params_t *params, const es_broadcast_t *loops, const int8_t *input1,
                    const int8_t *input2, int8_t *output);
uint32_t es_extremum_s8_get_buffer_size(const es_extremum_params_t *params);

#endif
