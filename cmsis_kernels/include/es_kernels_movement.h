/* Kernels that move elements or reduce over them. Included by es_kernels.h, which says what is true of all kernels. */
#ifndef ES_KERNELS_MOVEMENT_H
#define ES_KERNELS_MOVEMENT_H

#include <stdint.h>

#include "es_types.h"

/* One move: runs of neighbouring bytes from places of one tensor to places of another.
 *
 * Math: none. Run (i0, ..., i5), with i below counts, is read at from + sum of i * from_steps and written at
 *   to + sum of i * to_steps. PAD, CONCATENATION, SPLIT, STRIDED_SLICE and TRANSPOSE are lists of moves.
 * Shapes: any; steps may be negative, and 0 to read one run again and again.
 * Types and ranges: int8, all values.
 * Layout: struct move (SPEC.md, "move_params").
 * Scratch: none.
 * Checked: counts 1..2^24; run_bytes 1..2^31-1; every run within its tensor. Where two moves or two runs write the same
 *   byte, the last one counts.
 * Source: reference/{pad,concatenation,split,strided_slice,transpose}.h.
 */
void es_move_s8(const es_move_t *move, const int8_t *input, int8_t *output);
uint32_t es_move_s8_get_buffer_size(const es_move_params_t *params);

/* RESIZE_NEAREST_NEIGHBOR.
 *
 * Math: output pixel (y, x) is input pixel (rows[y], columns[x]).
 * Shapes: input [batches, in_h, in_w, channels], output [batches, out_h, out_w, channels].
 * Types and ranges: int8, all values; input and output have one scale and zero point.
 * Layout: rows and columns as u16 (SPEC.md, "resize_params"); the host computes them, as the reference does in float32.
 * Scratch: none.
 * Checked: all counts 1 or more; rows[y] < in_h, columns[x] < in_w; tensors below 2^31.
 * Source: RESIZE_NEAREST_NEIGHBOR, reference/resize_nearest_neighbor.h.
 */
void es_resize_nearest_neighbor_s8(const es_resize_params_t *params, const uint16_t *rows, const uint16_t *columns,
                                   const int8_t *input, int8_t *output);
uint32_t es_resize_nearest_neighbor_s8_get_buffer_size(const es_resize_params_t *params);

/* MAX_POOL_2D.
 *
 * Math: the greatest of the taps inside the image, clamped to act_min..act_max.
 * Shapes: input [batches, in_h, in_w, channels], output [batches, out_h, out_w, channels].
 * Types and ranges: int8, all values; input and output have one scale and zero point.
 * Layout: none.
 * Scratch: none.
 * Checked: all counts and strides 1 or more, pads 0 or more; every window has a tap inside (see AVERAGE_POOL_2D);
 *   tensors below 2^31; act_min and act_max -128..127.
 * Source: MAX_POOL_2D, reference/integer_ops/pooling.h.
 */
void es_max_pool_2d_s8(const es_pool_params_t *params, const int8_t *input, int8_t *output);
uint32_t es_max_pool_2d_s8_get_buffer_size(const es_pool_params_t *params);

/* MEAN over any dimensions.
 *
 * Math: sum of (q - in_zero_point) over the reduced dimensions, scaled by multiplier and shift, which hold the division
 *   by their product, plus out_zero_point, saturated.
 * Shapes: input [kept0, reduced0, kept1, reduced1, kept2, reduced2], output [kept0, kept1, kept2]: neighbouring dimensions
 *   of a kind are one, and dimensions of 1 fill the gaps.
 * Types and ranges: int8, all values; an int32 sum of at most 2^22 * 255 in size; shifted left, it wraps as the
 *   reference's does.
 * Layout: none.
 * Scratch: none.
 * Checked: dimensions 1 or more, the reduced ones' product at most 2^22, tensors below 2^31; multiplier 0..2^31-1; shift
 *   -31..31; zero points -128..127.
 * Source: MEAN, reference/reduce.h (QuantizedMeanOrSum).
 */
void es_mean_s8(const es_mean_params_t *params, const int8_t *input, int8_t *output);
uint32_t es_mean_s8_get_buffer_size(const es_mean_params_t *params);

/* TRANSPOSE_CONV with dense weights: output by output, over the taps that reach it.
 *
 * Math: tap (ky, kx) takes input (y, x) to output (y * stride_h - pad_top + ky, x * stride_w - pad_left + kx); acc = bias +
 *   sum of w * (q - in_zero_point) over all that arrive. channel.bias is the bias itself, as an output meets some of its
 *   row's weights only. The output is acc rescaled by the channel, plus out_zero_point, clamped to act_min..act_max.
 * Shapes: input [batches, in_h, in_w, in_c], output [batches, out_h, out_w, out_c]; dilations are 1.
 * Types and ranges: int8, all values; int32 accumulators that wrap, as the reference's do.
 * Layout: weights in encoding dense, rows = out_c, columns = kernel_h * kernel_w * in_c as in OHWI.
 * Scratch: none.
 * Checked: channels and windows, as of convolutions; weights by es_encoding_dense_check.
 * Source: TRANSPOSE_CONV, reference/integer_ops/transpose_conv.h.
 */
void es_transpose_conv_dense_s8(const es_conv_params_t *params, const int8_t *input, const uint8_t *weights,
                                const es_channel_t *channels, int8_t *output, void *scratch);
uint32_t es_transpose_conv_dense_s8_get_buffer_size(const es_conv_params_t *params);

#endif
