/* Kernels that leave zero activations out. Included by es_kernels.h, which says what is true of all kernels.
 *
 * True of all of them:
 *
 * - Math: acc = bias + sum of w * (q - zero point) over the taps whose input q is not the zero point and no padding.
 * - Inner loop: the inputs that are left are listed once, as factors, and each is multiplied by the weights of eight
 *   rows: see es_lists.h, es_intrin_squares.h and DESIGN.md, section "Zero activations".
 * - Products: of each input other than zero all out_c are counted, zero weights too, at each position that it belongs to.
 */
#ifndef ES_KERNELS_LISTS_H
#define ES_KERNELS_LISTS_H

#include <stdint.h>

#include "es_types.h"

#define ES_ZEROS_UNKNOWN UINT32_MAX

/* What a kernel is told about its input, and what it tells. */
typedef struct {
    uint32_t input_zeros; /* elements equal to the zero point, or ES_ZEROS_UNKNOWN: it counts them where it must know */
    int32_t in_zero_point; /* -128..127 */
    uint64_t products;     /* products of a weight and a real input; comes in as those of dense weights */
} es_skip_t;

/* CONV_2D over lists of the non-zero inputs; over all inputs where fewer than list_zeros are zero.
 *
 * Math: above, or that of es_conv_2d_dense_s8.
 * Shapes: input [batches, in_h, in_w, in_c], output [batches, out_h, out_w, out_c].
 * Layout: weights in encoding dense_sums, rows = out_c, columns = kernel_h * kernel_w * in_c as in OHWI; channel.bias as
 *   for dense weights.
 * Scratch: eight rows of weights, 16 * columns rounded up to 4; the lists of the input rows that `band` positions need,
 *   rounded down to whole output rows but at least one: 4 bytes an input and 4 * (in_w + 1) a row; where windows are
 *   pixels, of `band` pixels. At least what es_conv_2d_dense_s8 needs.
 * Exactness: while no word holds -128 above a negative weight and `limit` of the weights is right, which is the host's
 *   promise; else outputs are wrong and nothing worse happens.
 * Checked: channels and windows; weights by es_encoding_dense_sums_check; in_w * in_c at most ES_SKIP_ROW_INPUTS.
 * Source: CONV_2D; DESIGN.md, section "Zero activations".
 */
void es_conv_2d_lists_s8(const es_conv_params_t *params, const int8_t *input, const uint8_t *weights,
                         const es_channel_t *channels, int8_t *output, void *scratch, es_skip_t *skip);
uint32_t es_conv_2d_lists_s8_get_buffer_size(const es_conv_params_t *params);

/* FULLY_CONNECTED over the pairs of inputs that are not both zero.
 *
 * Math: above. Weights of even rows are stored plus 128, and 128 times the sum of the inputs less their zero point comes off.
 * Shapes: input [batches, in_c], output [batches, out_c].
 * Layout: weights in encoding squares, rows = out_c, columns = in_c; channel.bias is the bias itself.
 * Scratch: the packed pairs, 4 * in_c rounded up to 16.
 * Exactness: for all weights.
 * Checked: channels; counts 1 or more, tensors below 2^31; act_min and act_max as above; weights by
 *   es_encoding_squares_check.
 * Source: FULLY_CONNECTED; DESIGN.md, section "Zero activations".
 */
void es_fully_connected_squares_s8(const es_fc_params_t *params, const int8_t *input, const uint8_t *weights,
                                   const es_channel_t *channels, int8_t *output, void *scratch, es_skip_t *skip);
uint32_t es_fully_connected_squares_s8_get_buffer_size(const es_fc_params_t *params);

/* The most inputs of a row of the image, whose places lists hold in 14 bits. */
#define ES_SKIP_ROW_INPUTS 16384

#endif
