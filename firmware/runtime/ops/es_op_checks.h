/* Checks that several ops share. All return ES_STATUS_ok or the first thing that is wrong. */
#ifndef ES_OP_CHECKS_H
#define ES_OP_CHECKS_H

#include "../es_tables.h"

/* Exactly `inputs` inputs and one output, all int8. */
es_status_t es_check_int8_nodes(const es_model_t *model, const es_node_t *node, uint32_t inputs);

/* What the parameters of convolutions, poolings and resizings begin with. */
typedef struct {
    int32_t batches, in_h, in_w, in_c, out_h, out_w;
} es_images_t;

/* One int8 input of shape [batches, in_h, in_w, in_c], one int8 output of [batches, out_h, out_w, out_c], and none of
 * these above ES_MAX_EXTENT, but channels up to ES_MAX_DIM.
 */
es_status_t es_check_images(const es_model_t *model, const es_node_t *node, const void *params, int32_t out_c);

/* All of `count` i32 that lie one after another from `offset` on in a parameter struct are 1 .. most. */
bool es_all_up_to(const void *params, uint32_t offset, uint32_t count, int32_t most);

/* low <= value <= high. */
bool es_between(int32_t value, int32_t low, int32_t high);

/* -128 <= min <= max <= 127. */
bool es_activation_range_ok(int32_t min, int32_t max);

/* A Q31 multiplier that requantisation accepts: 0 .. 2^31-1. */
bool es_multiplier_ok(int32_t multiplier);

/* `bytes` bytes at `offset` lie in section DATA and start at a multiple of 4. Sets facts->where to them, for what is
 * checked there next; a caller that accepts them puts it back.
 */
es_status_t es_check_data(const es_model_t *model, uint32_t offset, uint64_t bytes, es_node_facts_t *facts);

/* `count` channel rows at `offset` in section DATA. Sets facts->where on refusal. */
es_status_t es_check_channels(const es_model_t *model, uint32_t offset, uint32_t count, es_node_facts_t *facts);

/* Encoded weights of `rows` x `columns` at `offset` in section DATA. Sets facts->where on refusal. */
es_status_t es_check_weights(const es_model_t *model, const es_encoding_t *encoding, uint32_t offset, uint32_t bytes,
                             uint32_t rows, uint32_t columns, es_node_facts_t *facts);

#endif
