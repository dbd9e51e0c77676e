/* What plain and depthwise convolution share. */
#ifndef ES_OP_CONV_H
#define ES_OP_CONV_H

#include "../es_tables.h"

/* The node's parameters. */
const es_conv_params_t *es_conv_params(const es_model_t *model, const es_node_t *node);

/* Geometry of a convolution, plain or depthwise, against the node's tensors. */
es_status_t es_check_conv(const es_model_t *model, const es_node_t *node, const es_conv_params_t *params);

/* Output positions (times batches) at which filter tap `tap` (row-major) reads a real input, not padding. */
uint32_t es_conv_tap_positions(const void *conv_params, uint32_t tap);

/* What the kernel asks for. */
uint32_t es_conv_scratch_bytes(const es_kernel_t *kernel, const void *params);

/* Calls the kernel on the node's tensors. */
void es_conv_run(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel, uint8_t *arena);

#endif
