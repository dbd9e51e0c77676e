#include "es_op_broadcast.h"
#include "es_op_checks.h"

static const es_extremum_params_t *params_of(const es_model_t *model, const es_node_t *node) {
    return (const void *)(model->params + node->params_off);
}

static es_status_t check(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel,
                         es_node_facts_t *facts) {
    (void)kernel, (void)facts;
    const es_extremum_params_t *p = params_of(model, node);
    ES_TRY(es_check_broadcast(model, node));
    return p->maximum <= 1 ? ES_STATUS_ok : ES_STATUS_bad_params;
}

static uint32_t scratch_bytes(const es_kernel_t *kernel, const void *params) {
    typedef uint32_t buffer_fn_t(const es_extremum_params_t *params);
    return ((buffer_fn_t *)kernel->buffer_size)(params);
}

static void run(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel, uint8_t *arena,
                es_node_run_t *state) {
    (void)state;
    typedef void extremum_fn_t(const es_extremum_params_t *params, const es_broadcast_t *loops, const int8_t *input1,
                               const int8_t *input2, int8_t *output);
    const int8_t *a = (const int8_t *)es_tensor_read(model, es_node_input(model, node, 0), arena);
    const int8_t *b = (const int8_t *)es_tensor_read(model, es_node_input(model, node, 1), arena);
    int8_t *output = (int8_t *)es_tensor_bytes(es_node_output(model, node, 0), arena);
    const es_broadcast_t loops = es_node_broadcast(model, node);
    ((extremum_fn_t *)kernel->run)(params_of(model, node), &loops, a, b, output);
}

const es_op_t es_op_extremum = {
    .id = ES_OP_extremum,
    .params_bytes = sizeof(es_extremum_params_t),
    .scratch_bytes = scratch_bytes,
    .check = check,
    .run = run,
};
