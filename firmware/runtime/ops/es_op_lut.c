#include "es_op_checks.h"

#define TABLE_BYTES 256u

static const es_lut_params_t *params_of(const es_model_t *model, const es_node_t *node) {
    return (const void *)(model->params + node->params_off);
}

static es_status_t check(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel,
                         es_node_facts_t *facts) {
    (void)kernel;
    const es_lut_params_t *p = params_of(model, node);
    const es_where_t where = facts->where;
    ES_TRY(es_check_int8_nodes(model, node, 1));
    if (p->count != es_node_input(model, node, 0)->bytes || p->count != es_node_output(model, node, 0)->bytes) {
        return ES_STATUS_bad_params;
    }
    ES_TRY(es_check_data(model, p->table_off, TABLE_BYTES, facts));
    facts->where = where; /* every value of a table is right */
    return ES_STATUS_ok;
}

static uint32_t scratch_bytes(const es_kernel_t *kernel, const void *params) {
    typedef uint32_t buffer_fn_t(const es_lut_params_t *params);
    return ((buffer_fn_t *)kernel->buffer_size)(params);
}

static void run(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel, uint8_t *arena,
                es_node_run_t *state) {
    (void)state;
    typedef void lut_fn_t(const es_lut_params_t *params, const int8_t *input, const int8_t *table, int8_t *output);
    const es_lut_params_t *p = params_of(model, node);
    const int8_t *input = (const int8_t *)es_tensor_read(model, es_node_input(model, node, 0), arena);
    const int8_t *table = (const int8_t *)(model->data + p->table_off);
    int8_t *output = (int8_t *)es_tensor_bytes(es_node_output(model, node, 0), arena);
    ((lut_fn_t *)kernel->run)(p, input, table, output);
}

const es_op_t es_op_lut = {
    .id = ES_OP_lut,
    .params_bytes = sizeof(es_lut_params_t),
    .scratch_bytes = scratch_bytes,
    .check = check,
    .run = run,
};
