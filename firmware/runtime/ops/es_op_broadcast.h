/* What the ops of two operands that broadcast share. */
#ifndef ES_OP_BROADCAST_H
#define ES_OP_BROADCAST_H

#include "../es_tables.h"
#include "es_kernels_elementwise.h"

/* a and b broadcast, and the result has the shape of `out`, its rank included. */
bool es_shapes_broadcast(const es_tensor_t *a, const es_tensor_t *b, const es_tensor_t *out);

/* Two int8 inputs that broadcast to one int8 output. */
es_status_t es_check_broadcast(const es_model_t *model, const es_node_t *node);

/* The loops over a node's two inputs. */
es_broadcast_t es_node_broadcast(const es_model_t *model, const es_node_t *node);

#endif
