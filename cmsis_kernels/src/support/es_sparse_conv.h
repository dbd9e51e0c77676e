/* The convolution with sparse weights: weights held, up to eight positions at a time.
 *
 * A band of output positions is made at a time. Its input is packed plane by plane, a channel each, into words of two
 * positions (es_lists.h); then each row of weights is read once into a list, and all tiles of four words, eight positions,
 * run over that. Two positions of a word are half a row of the output apart, so that a tap's shift in x stays one by whole
 * words.
 */
#ifndef ES_SPARSE_CONV_H
#define ES_SPARSE_CONV_H

#include "es_requant.h"
#include "es_sparse.h"

void es_sparse_conv(const es_sparse_t *sparse, const es_conv_params_t *params, const int8_t *input,
                    const uint8_t *weights, const es_channel_t *channels, int8_t *output, void *scratch);

/* Scratch that it needs. */
uint32_t es_sparse_conv_bytes(const es_conv_params_t *params);

/* A FULLY_CONNECTED: few vectors one by one, more as a convolution of 1x1 filters. */
void es_sparse_vectors(const es_sparse_t *sparse, const es_fc_params_t *params, const int8_t *input,
                       const uint8_t *weights, const es_channel_t *channels, int8_t *output, void *scratch);
uint32_t es_sparse_vectors_bytes(const es_fc_params_t *params);

#endif
