#include "es_op_broadcast.h"

#include "es_op_checks.h"

static uint32_t dim_of(const es_tensor_t *tensor, uint32_t back) {
    return back < tensor->rank ? tensor->dims[tensor->rank - 1u - back] : 1u;
}

bool es_shapes_broadcast(const es_tensor_t *a, const es_tensor_t *b, const es_tensor_t *out) {
    if (out->rank != (a->rank > b->rank ? a->rank : b->rank)) {
        return false;
    }
    for (uint32_t back = 0; back < out->rank; back++) {
        const uint32_t dim1 = dim_of(a, back);
        const uint32_t dim2 = dim_of(b, back);
        const uint32_t dim = dim1 > dim2 ? dim1 : dim2;
        if ((dim1 != dim && dim1 != 1) || (dim2 != dim && dim2 != 1) || dim_of(out, back) != dim) {
            return false;
        }
    }
    return true;
}

es_status_t es_check_broadcast(const es_model_t *model, const es_node_t *node) {
    ES_TRY(es_check_int8_nodes(model, node, 2));
    const bool ok = es_shapes_broadcast(es_node_input(model, node, 0), es_node_input(model, node, 1),
                                        es_node_output(model, node, 0));
    return ok ? ES_STATUS_ok : ES_STATUS_bad_params;
}

es_broadcast_t es_node_broadcast(const es_model_t *model, const es_node_t *node) {
    static_assert(sizeof(((es_tensor_t *)0)->dims) / sizeof(uint32_t) == ES_MAX_LOOPS, "a loop a dimension");
    const es_tensor_t *a = es_node_input(model, node, 0);
    const es_tensor_t *b = es_node_input(model, node, 1);
    es_broadcast_t loops;
    es_broadcast_of(a->dims, a->rank, b->dims, b->rank, &loops);
    return loops;
}
