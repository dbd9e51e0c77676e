#include "es_op_checks.h"

static const es_copy_params_t *params_of(const es_model_t *model, const es_node_t *node) {
    return (const void *)(model->params + node->params_off);
}

static es_status_t check(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel,
                         es_node_facts_t *facts) {
    (void)kernel, (void)facts;
    ES_TRY(es_check_int8_nodes(model, node, 1));
    const uint32_t bytes = params_of(model, node)->bytes;
    if (bytes != es_node_input(model, node, 0)->bytes || bytes != es_node_output(model, node, 0)->bytes) {
        return ES_STATUS_bad_params;
    }
    return ES_STATUS_ok;
}

static uint32_t scratch_bytes(const es_kernel_t *kernel, const void *params) {
    typedef uint32_t buffer_fn_t(const es_copy_params_t *params);
    return ((buffer_fn_t *)kernel->buffer_size)(params);
}

static void run(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel, uint8_t *arena,
                es_node_run_t *state) {
    (void)state;
    typedef void copy_fn_t(const es_copy_params_t *params, const int8_t *input, int8_t *output);
    const int8_t *input = (const int8_t *)es_tensor_read(model, es_node_input(model, node, 0), arena);
    int8_t *output = (int8_t *)es_tensor_bytes(es_node_output(model, node, 0), arena);
    ((copy_fn_t *)kernel->run)(params_of(model, node), input, output);
}

const es_op_t es_op_copy = {
    .id = ES_OP_copy,
    .params_bytes = sizeof(es_copy_params_t),
    .scratch_bytes = scratch_bytes,
    .check = check,
    .run = run,
};
