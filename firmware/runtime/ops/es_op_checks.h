/* Checks that several ops share. All return ES_STATUS_ok or the first thing that is wrong. */
#ifndef ES_OP_CHECKS_H
#define ES_OP_CHECKS_H

#include "../es_tables.h"

/* Exactly `inputs` inputs and one output, all int8. */
es_status_t es_check_int8_nodes(const es_model_t *model, const es_node_t *node, uint32_t inputs);

/* Tensor shape is [a, b, c, d] (rank 4), or has a * b elements and b in its last dimension. */
bool es_shape_is_nhwc(const es_tensor_t *tensor, int32_t n, int32_t h, int32_t w, int32_t c);

/* low <= value <= high. */
bool es_between(int32_t value, int32_t low, int32_t high);

/* -128 <= min <= max <= 127. */
bool es_activation_range_ok(int32_t min, int32_t max);

/* A Q31 multiplier that requantisation accepts: 0 .. 2^31-1. */
bool es_multiplier_ok(int32_t multiplier);

/* `bytes` bytes at `offset` lie in section DATA and start at a multiple of 4. Sets facts->where to them if so. */
es_status_t es_check_data(const es_model_t *model, uint32_t offset, uint64_t bytes, es_node_facts_t *facts);

/* `count` channel rows at `offset` in section DATA. Sets facts->where on refusal. */
es_status_t es_check_channels(const es_model_t *model, uint32_t offset, uint32_t count, es_node_facts_t *facts);

/* Encoded weights of `rows` x `columns` at `offset` in section DATA. Sets facts->where on refusal. */
es_status_t es_check_weights(const es_model_t *model, const es_encoding_t *encoding, uint32_t offset, uint32_t bytes,
                             uint32_t rows, uint32_t columns, es_node_facts_t *facts);

#endif
