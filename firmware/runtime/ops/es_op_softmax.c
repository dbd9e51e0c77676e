#include "es_op_checks.h"

static const es_softmax_params_t *params_of(const es_model_t *model, const es_node_t *node) {
    return (const void *)(model->params + node->params_off);
}

static es_status_t check(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel,
                         es_node_facts_t *facts) {
    (void)kernel, (void)facts;
    const es_softmax_params_t *p = params_of(model, node);
    ES_TRY(es_check_int8_nodes(model, node, 1));
    const uint64_t elements = (uint64_t)p->rows * p->depth;
    if (p->depth == 0 || p->depth > ES_MAX_DIM || elements != es_node_input(model, node, 0)->bytes ||
        elements != es_node_output(model, node, 0)->bytes) {
        return ES_STATUS_bad_params;
    }
    if (!es_multiplier_ok(p->multiplier) || !es_between(p->left_shift, 0, 31) || p->diff_min > 0) {
        return ES_STATUS_bad_params;
    }
    return ES_STATUS_ok;
}

static uint32_t scratch_bytes(const es_kernel_t *kernel, const void *params) {
    typedef uint32_t buffer_fn_t(const es_softmax_params_t *params);
    return ((buffer_fn_t *)kernel->buffer_size)(params);
}

static void run(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel, uint8_t *arena,
                es_node_run_t *state) {
    (void)state;
    typedef void softmax_fn_t(const es_softmax_params_t *params, const int8_t *input, int8_t *output);
    const int8_t *input = (const int8_t *)es_tensor_read(model, es_node_input(model, node, 0), arena);
    int8_t *output = (int8_t *)es_tensor_bytes(es_node_output(model, node, 0), arena);
    ((softmax_fn_t *)kernel->run)(params_of(model, node), input, output);
}

const es_op_t es_op_softmax = {
    .id = ES_OP_softmax,
    .params_bytes = sizeof(es_softmax_params_t),
    .scratch_bytes = scratch_bytes,
    .check = check,
    .run = run,
};
