/* The kernels: one function a row of tables/kernels.def, and beside each how many bytes of scratch it needs.
 *
 * True of all of them, and so not repeated below:
 *
 * - Shapes are TFLite's: activations [N, H, W, C], contiguous; sizes are fields of the parameter struct.
 * - Parameters, weights and channels are read in place, from an image in flash: at multiples of 4. Scratch is at a
 *   multiple of 4 as well, holds nothing between calls and may be null where its size is 0. Activations are at any
 *   address.
 * - Aliasing: no two of input, output, scratch, weights, channels and parameters overlap, unless a kernel says so.
 * - Reads past the end: none, of any operand; nothing outside output and scratch is written.
 * - Exactness: equal in every value to TFLite's reference kernels (tflite-runtime 2.14, OpResolverType.BUILTIN_REF),
 *   which rescale with two roundings; see es_requant.h.
 * - Checked: kernels check nothing. "Checked" lists what the loader has proved; where it has, nothing is undefined,
 *   whatever the other values are.
 * - Returns: kernels nothing, es_<name>_get_buffer_size bytes; that takes parameters that nobody has checked, and gives
 *   an impossible 2^32 - 4 or more where the size does not fit.
 * - Needs: any core. With the DSP extension (Cortex-M4, M7, M33, M55) the same source uses it.
 * - Test: tests/kernels, against tests/kernels/reference.py and against TFLite itself.
 *
 * Convolutions and FULLY_CONNECTED share this:
 *
 * - Math: acc = bias' + sum of w * q over all taps, where q is the stored input, or in_zero_point where a tap is outside
 *   the image; bias' = bias - in_zero_point * sum of w is channel.bias, so that acc is bias + sum of w * (q - zero
 *   point). The output is acc rescaled by the channel, plus out_zero_point, clamped to act_min..act_max.
 * - Types and ranges: int8 activations and weights, all values; int32 accumulators that wrap, as the reference's do.
 * - Checked, channels: out_c of them; multiplier 0..2^31-1; exact 0 with shift 1..31, or exact 1 with shift -31..31. That
 *   a row may have exact 0 is the host's promise: a wrong one gives wrong outputs and does nothing worse.
 * - Checked, windows: all counts, strides and dilations 1 or more, pads 0 or more; tensors and weights, and every row
 *   or column that a tap may have (out * stride + kernel * dilation + pad), below 2^31; zero points, act_min and act_max
 *   -128..127, act_min <= act_max.
 */
#ifndef ES_KERNELS_H
#define ES_KERNELS_H

#include <stdint.h>

#include "es_kernels_elementwise.h"
#include "es_kernels_state.h"
#include "es_types.h"

/* CONV_2D with dense weights: bands of positions, two by two, times tiles of unpacked filters.
 *
 * Math: above. Multiplications: every weight at every position, zeros and padding included.
 * Shapes: input [batches, in_h, in_w, in_c], output [batches, out_h, out_w, out_c].
 * Layout: weights in encoding dense, rows = out_c, columns = kernel_h * kernel_w * in_c as in OHWI.
 * Scratch: a tile of filters, about 4 * columns, and what a band reads. That is 4 bytes for each two values of its input
 *   lines where in_c is a multiple of 4 (a band is then a whole number of lines or an even part of one), else 2 *
 *   columns a position and two columns of bytes. Below 4 positions a band, below 4 filters or below 4 positions in all,
 *   positions are made one by one: 3 * columns. And a filter row of zero points.
 * Checked: channels and windows; weights by es_encoding_dense_check.
 * Source: CONV_2D; DESIGN.md, section "Dense kernels".
 */
void es_conv_2d_dense_s8(const es_conv_params_t *params, const int8_t *input, const uint8_t *weights,
                         const es_channel_t *channels, int8_t *output, void *scratch);
uint32_t es_conv_2d_dense_s8_get_buffer_size(const es_conv_params_t *params);

/* CONV_2D with sparse weights: each non-zero weight held for eight positions, two a multiplication.
 *
 * Math: above. Multiplications: every stored weight at every position, fillers of delta8 left out. Positions of an output
 *   row are made in tiles of eight, the last one over the one before; rows narrower than six, and 1x1 filters, are taken
 *   as one row of all positions; fewer than four positions are made one by one.
 * Shapes: input [batches, in_h, in_w, in_c], output [batches, out_h, out_w, out_c].
 * Layout: weights in encoding bitmap, run4 or delta8, rows = out_c, columns = kernel_h * kernel_w * in_c as in OHWI.
 * Scratch: a list of 4 * columns + 8 bytes, and a band's input at 2 bytes a value: of `band` positions, rounded up to whole
 *   output rows, every input row that they reach, padded; where positions are taken as one row, rounded up to eight, every
 *   window. es_sparse_conv.c has the formula. Input of more than 512 KB is made in smaller bands.
 * Checked: channels and windows; weights by the encoding's check.
 * Source: CONV_2D; DESIGN.md, section "Sparse weights".
 */
void es_conv_2d_bitmap_s8(const es_conv_params_t *params, const int8_t *input, const uint8_t *weights,
                          const es_channel_t *channels, int8_t *output, void *scratch);
uint32_t es_conv_2d_bitmap_s8_get_buffer_size(const es_conv_params_t *params);
void es_conv_2d_run4_s8(const es_conv_params_t *params, const int8_t *input, const uint8_t *weights,
                        const es_channel_t *channels, int8_t *output, void *scratch);
uint32_t es_conv_2d_run4_s8_get_buffer_size(const es_conv_params_t *params);
void es_conv_2d_delta8_s8(const es_conv_params_t *params, const int8_t *input, const uint8_t *weights,
                          const es_channel_t *channels, int8_t *output, void *scratch);
uint32_t es_conv_2d_delta8_s8_get_buffer_size(const es_conv_params_t *params);

/* CONV_2D with weights that are zero in groups of four columns: four weights held for four positions.
 *
 * Math: above. Multiplications: all four weights of every stored group at every position; positions are counted through
 *   the whole output map, and what is left over of a band costs as much as the next multiple of four.
 * Shapes: input [batches, in_h, in_w, in_c], output [batches, out_h, out_w, out_c].
 * Layout: weights in encoding group4, rows = out_c, columns = kernel_h * kernel_w * in_c as in OHWI, a multiple of 4.
 * Scratch: band positions, or all that there are, rounded up to four, as int16: 2 * columns each; a row's groups,
 *   3 * columns + 44; a column, four where in_c is no multiple of 4; a filter row of zero points, kernel_w * in_c; the
 *   last two rounded up to 4.
 * Checked: channels and windows; band 1 or more; weights by es_encoding_group4_check.
 * Source: CONV_2D; DESIGN.md, section "Weight encodings".
 */
void es_conv_2d_group4_s8(const es_conv_params_t *params, const int8_t *input, const uint8_t *weights,
                          const es_channel_t *channels, int8_t *output, void *scratch);
uint32_t es_conv_2d_group4_s8_get_buffer_size(const es_conv_params_t *params);

/* DEPTHWISE_CONV_2D with dense weights: channels taken apart, two taps at a time.
 *
 * Math: above; output channel o reads input channel o / (out_c / in_c).
 * Shapes: input [batches, in_h, in_w, in_c], output [batches, out_h, out_w, out_c].
 * Types and ranges: 3 x 3 filters at column stride 1 or 2, not dilated, have a loop of their own where the channels of a
 *   group of four (of one, where in_c is no multiple of 4) all have exact 0: about 16 instructions an output on
 *   Cortex-M4, 2 an input and 150 a channel.
 * Layout: weights in encoding dense, rows = kernel_h * kernel_w taps, columns = out_c, as in 1HWC.
 * Scratch: the filters and up to 4096 bytes of input of four channels (of one where in_c is no multiple of 4) as int16;
 *   more than 4096 where the input of a single output row is. None where the output is one position whose window is
 *   inside the image, and out_c is in_c.
 * Aliasing: output may be input where out_c is in_c, both strides are 1, out_h is in_h and out_w is in_w: a strip's rows
 *   are widened before they are overwritten, those that the next strip needs stay widened, and a channel reads its own
 *   bytes only.
 * Checked: channels and windows; out_c a multiple of in_c; weights by es_encoding_dense_check; for aliasing, pads at most
 *   (kernel - 1) * dilation.
 * Source: DEPTHWISE_CONV_2D; DESIGN.md, section "Depthwise convolution".
 */
void es_depthwise_conv_2d_dense_s8(const es_conv_params_t *params, const int8_t *input, const uint8_t *weights,
                                   const es_channel_t *channels, int8_t *output, void *scratch);
uint32_t es_depthwise_conv_2d_dense_s8_get_buffer_size(const es_conv_params_t *params);

/* Which part three_<pitch> of es_parts.h it is fastest with; 0: none. */
uint32_t es_depthwise_pitch_bytes(const es_conv_params_t *params);

/* FULLY_CONNECTED with dense weights: row by row, or bands of vectors times tiles of unpacked rows.
 *
 * Math: above; each vector is one position, and none is padded.
 * Shapes: input [batches, in_c], output [batches, out_c].
 * Layout: weights in encoding dense, rows = out_c, columns = in_c.
 * Scratch: a vector as int16, 2 * in_c rounded up to 4; where batches and out_c are 4 or more, up to 8 such vectors, an
 *   even number, and a tile of rows, about 4 * in_c.
 * Checked: channels; counts 1 or more, tensors and weights below 2^31; zero point, act_min and act_max as above; weights
 *   by es_encoding_dense_check.
 * Source: FULLY_CONNECTED; DESIGN.md, section "Dense kernels".
 */
void es_fully_connected_dense_s8(const es_fc_params_t *params, const int8_t *input, const uint8_t *weights,
                                 const es_channel_t *channels, int8_t *output, void *scratch);
uint32_t es_fully_connected_dense_s8_get_buffer_size(const es_fc_params_t *params);

/* FULLY_CONNECTED with sparse weights: non-zero weights only; from four vectors on, a convolution of 1x1 filters.
 *
 * Math: above. Multiplications: every stored weight, fillers included where there are fewer than four vectors.
 * Shapes: input [batches, in_c], output [batches, out_c].
 * Layout: weights in encoding bitmap, run4 or delta8, rows = out_c, columns = in_c.
 * Scratch: where batches is 4 or more, that of the convolution with a band of 16: at most 36 * in_c + 8; else none.
 * Checked: channels; counts 1 or more, tensors below 2^31; zero point, act_min and act_max as above; weights by the
 *   encoding's check.
 * Source: FULLY_CONNECTED; DESIGN.md, section "Sparse weights".
 */
void es_fully_connected_bitmap_s8(const es_fc_params_t *params, const int8_t *input, const uint8_t *weights,
                                  const es_channel_t *channels, int8_t *output, void *scratch);
uint32_t es_fully_connected_bitmap_s8_get_buffer_size(const es_fc_params_t *params);
void es_fully_connected_run4_s8(const es_fc_params_t *params, const int8_t *input, const uint8_t *weights,
                                const es_channel_t *channels, int8_t *output, void *scratch);
uint32_t es_fully_connected_run4_s8_get_buffer_size(const es_fc_params_t *params);
void es_fully_connected_delta8_s8(const es_fc_params_t *params, const int8_t *input, const uint8_t *weights,
                                  const es_channel_t *channels, int8_t *output, void *scratch);
uint32_t es_fully_connected_delta8_s8_get_buffer_size(const es_fc_params_t *params);

/* FULLY_CONNECTED with weights that are zero in groups of four columns, for one or four vectors.
 *
 * Math: above. Multiplications: all four weights of every stored group, for one vector those of fillers as well.
 * Shapes: input [batches, in_c], output [batches, out_c].
 * Layout: weights in encoding group4, rows = out_c, columns = in_c, a multiple of 4.
 * Scratch: four vectors as int16 and a row's groups, 11 * in_c + 44, where batches is 2 or more; else none.
 * Checked: channels; counts 1 or more, tensors below 2^31; zero point, act_min and act_max as above; weights by
 *   es_encoding_group4_check.
 * Source: FULLY_CONNECTED; DESIGN.md, section "Weight encodings".
 */
void es_fully_connected_group4_s8(const es_fc_params_t *params, const int8_t *input, const uint8_t *weights,
                                  const es_channel_t *channels, int8_t *output, void *scratch);
uint32_t es_fully_connected_group4_s8_get_buffer_size(const es_fc_params_t *params);

/* ADD of two tensors of one shape.
 *
 * Math: x_i = ((q_i - zero_point_i) << left_shift) scaled by multiplier_i and shift_i; output = (x_1 + x_2) scaled by the
 *   output's, plus out_zero_point, clamped to act_min..act_max.
 * Shapes: `count` elements each.
 * Types and ranges: int8, all values; 10 instructions an element on Cortex-M4, 13 on M3, and 3 to 6 thousand for the
 *   tables; about 36 an element without them.
 * Layout: none.
 * Scratch: from 512 elements on, unless out_shift is 0 or below -23, a table of 1024 bytes of what becomes of an operand's
 *   256 values. The operand of the greater scale, which has a factor of exactly one half from TFLite's converter, needs
 *   none; where no operand has that, there are two tables.
 * Aliasing: output may be one of the inputs.
 * Checked: left_shift 0..20; multipliers 0..2^31-1; shifts -31..0; zero points, act_min and act_max -128..127,
 *   act_min <= act_max.
 * Source: ADD, reference/integer_ops/add.h.
 */
void es_add_s8(const es_add_params_t *params, const int8_t *input1, const int8_t *input2, int8_t *output,
               void *scratch);
uint32_t es_add_s8_get_buffer_size(const es_add_params_t *params);

/* AVERAGE_POOL_2D.
 *
 * Math: the mean of the taps inside the image, halves rounded away from zero, clamped to act_min..act_max.
 * Shapes: input [batches, in_h, in_w, channels], output [batches, out_h, out_w, channels].
 * Types and ranges: int8, all values; input and output have one scale and zero point.
 * Layout: none.
 * Scratch: none.
 * Checked: all counts and strides 1 or more, pads 0 or more; every window has a tap inside, which is pad_top < kernel_h,
 *   pad_left < kernel_w, (out_h - 1) * stride_h - pad_top < in_h and likewise for columns (without, a division by
 *   zero); in_h * in_w below 2^24; tensors below 2^31; act_min and act_max -128..127.
 * Source: AVERAGE_POOL_2D, reference/integer_ops/pooling.h.
 */
void es_average_pool_2d_s8(const es_pool_params_t *params, const int8_t *input, int8_t *output);
uint32_t es_average_pool_2d_s8_get_buffer_size(const es_pool_params_t *params);

/* SOFTMAX over the last dimension.
 *
 * Math: 256 * exp(d_i) / sum of exp(d_j) - 128, saturated, where d = (q - row's maximum) * multiplier * 2^left_shift /
 *   2^57, in fixed point; differences below diff_min count as exp = 0.
 * Shapes: `rows` vectors of `depth` elements.
 * Types and ranges: int8, all values; the output's scale is 1/256, its zero point -128. Exact while a row's
 *   sum of exp is below 512, which the first 511 elements cannot reach: above, the reference itself is undefined.
 * Layout: none.
 * Scratch: none.
 * Aliasing: output may be input.
 * Checked: depth 1..2^24; multiplier 0..2^31-1; left_shift 0..31; diff_min any.
 * Source: SOFTMAX; exp and reciprocal as gemmlowp's fixed point defines them.
 */
void es_softmax_s8(const es_softmax_params_t *params, const int8_t *input, int8_t *output);
uint32_t es_softmax_s8_get_buffer_size(const es_softmax_params_t *params);

/* Counts the elements of `data` that equal `value`, for the telemetry of zeros: 0.84 instructions an element on
 * Cortex-M4. `data` is at any address; no row of kernels.def.
 */
uint32_t es_count_equal_s8(const int8_t *data, uint32_t count, int32_t value);

/* Sets the elements of `data` within `threshold` of `zero_point` to it: forced activation threshold, FATReLU where
 * zero_point is -128 (Kurtz et al. 2020, "Inducing and Exploiting Activation Sparsity"). 2.63 instructions an element on
 * Cortex-M4. `data` is at a multiple of 4; zero_point -128..127; threshold 0..127. Returns how many elements are zero_point
 * now; `set_to_zero`: how many of them were not before. No row of kernels.def.
 */
uint32_t es_threshold_s8(int8_t *data, uint32_t count, int32_t zero_point, uint32_t threshold, uint32_t *set_to_zero);

/* How many elements are at each end of int8: -128, 127. */
typedef struct {
    uint32_t low;
    uint32_t high;
} es_ends_t;

/* Counts the elements of `data` at both ends, for the telemetry of saturation: 0.88 instructions an element on Cortex-M4.
 * `data` is at any address; no row of kernels.def.
 */
es_ends_t es_count_ends_s8(const int8_t *data, uint32_t count);

#include "es_kernels_lists.h"
#include "es_kernels_movement.h"

#endif
