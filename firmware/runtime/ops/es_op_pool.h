/* What the poolings share. */
#ifndef ES_OP_POOL_H
#define ES_OP_POOL_H

#include "../es_tables.h"

/* Geometry of a pooling against the node's tensors. */
es_status_t es_check_pool(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel,
                          es_node_facts_t *facts);

/* What the kernel asks for. */
uint32_t es_pool_scratch_bytes(const es_kernel_t *kernel, const void *params);

/* Calls the kernel on the node's tensors. */
void es_pool_run(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel, uint8_t *arena,
                 es_node_run_t *state);

#endif
