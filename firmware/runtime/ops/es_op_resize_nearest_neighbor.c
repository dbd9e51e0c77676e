#include "es_op_checks.h"

static const es_resize_params_t *params_of(const es_model_t *model, const es_node_t *node) {
    return (const void *)(model->params + node->params_off);
}

/* `count` indices at `offset` in section DATA, all below `limit`. */
static es_status_t check_table(const es_model_t *model, uint32_t offset, int32_t count, int32_t limit,
                               es_node_facts_t *facts) {
    const es_where_t node = facts->where;
    ES_TRY(es_check_data(model, offset, (uint64_t)count * sizeof(uint16_t), facts));
    const uint16_t *table = (const void *)(model->data + offset);
    for (int32_t i = 0; i < count; i++) {
        if (table[i] >= limit) {
            return ES_STATUS_bad_params;
        }
        facts->where.offset += (uint32_t)sizeof(uint16_t);
    }
    facts->where = node;
    return ES_STATUS_ok;
}

static es_status_t check(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel,
                         es_node_facts_t *facts) {
    (void)kernel;
    const es_resize_params_t *p = params_of(model, node);
    ES_TRY(es_check_images(model, node, p, p->channels));
    if (es_node_input(model, node, 0)->bytes > INT32_MAX || es_node_output(model, node, 0)->bytes > INT32_MAX) {
        return ES_STATUS_bad_params;
    }
    ES_TRY(check_table(model, p->rows_off, p->out_h, p->in_h, facts));
    return check_table(model, p->columns_off, p->out_w, p->in_w, facts);
}

static uint32_t scratch_bytes(const es_kernel_t *kernel, const void *params) {
    typedef uint32_t buffer_fn_t(const es_resize_params_t *params);
    return ((buffer_fn_t *)kernel->buffer_size)(params);
}

static void run(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel, uint8_t *arena,
                es_node_run_t *state) {
    (void)state;
    typedef void resize_fn_t(const es_resize_params_t *params, const uint16_t *rows, const uint16_t *columns,
                             const int8_t *input, int8_t *output);
    const es_resize_params_t *p = params_of(model, node);
    const uint16_t *rows = (const void *)(model->data + p->rows_off);
    const uint16_t *columns = (const void *)(model->data + p->columns_off);
    const int8_t *input = (const int8_t *)es_tensor_read(model, es_node_input(model, node, 0), arena);
    int8_t *output = (int8_t *)es_tensor_bytes(es_node_output(model, node, 0), arena);
    ((resize_fn_t *)kernel->run)(p, rows, columns, input, output);
}

const es_op_t es_op_resize_nearest_neighbor = {
    .id = ES_OP_resize_nearest_neighbor,
    .params_bytes = sizeof(es_resize_params_t),
    .scratch_bytes = scratch_bytes,
    .check = check,
    .run = run,
};
