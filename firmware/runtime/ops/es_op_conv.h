/* What plain, depthwise and transposed convolution share. */
#ifndef ES_OP_CONV_H
#define ES_OP_CONV_H

#include "../es_tables.h"

/* The node's parameters. */
const es_conv_params_t *es_conv_params(const es_model_t *model, const es_node_t *node);

/* Geometry of a convolution, plain or depthwise, against the node's tensors. */
es_status_t es_check_conv(const es_model_t *model, const es_node_t *node, const es_conv_params_t *params);

/* Output positions (times batches) at which filter tap `tap` (row-major) reads a real input, not padding. */
uint32_t es_conv_tap_positions(const void *conv_params, uint32_t tap);

/* How many i of 0..places-1 take i * stride - pad + offset to inside 0..reached-1. */
uint32_t es_conv_places(int32_t reached, int32_t places, int32_t stride, int32_t pad, int32_t offset);

/* Channels and weights of filters whose rows are output channels, for parameters that es_check_conv has passed.
 * Sets facts->macs_done: products at the positions at which a tap forms one.
 */
es_status_t es_check_conv_weights(const es_model_t *model, const es_conv_params_t *params, const es_kernel_t *kernel,
                                  uint32_t (*positions)(const void *conv_params, uint32_t tap), es_node_facts_t *facts);

/* What the kernel asks for. */
uint32_t es_conv_scratch_bytes(const es_kernel_t *kernel, const void *params);

/* Calls the kernel on the node's tensors. */
void es_conv_run(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel, uint8_t *arena,
                 es_node_run_t *state);

#endif
