#include "es_op_pool.h"

#include "es_op_checks.h"

static const es_pool_params_t *params_of(const es_model_t *model, const es_node_t *node) {
    return (const void *)(model->params + node->params_off);
}

es_status_t es_check_pool(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel,
                          es_node_facts_t *facts) {
    (void)kernel, (void)facts;
    const es_pool_params_t *p = params_of(model, node);
    ES_TRY(es_check_int8_nodes(model, node, 1));
    const bool extents = es_between(p->batches, 1, ES_MAX_EXTENT) && es_between(p->in_h, 1, ES_MAX_EXTENT) &&
                         es_between(p->in_w, 1, ES_MAX_EXTENT) && es_between(p->out_h, 1, ES_MAX_EXTENT) &&
                         es_between(p->out_w, 1, ES_MAX_EXTENT) && es_between(p->channels, 1, ES_MAX_DIM);
    const bool steps = es_between(p->kernel_h, 1, ES_MAX_STEP) && es_between(p->kernel_w, 1, ES_MAX_STEP) &&
                       es_between(p->stride_h, 1, ES_MAX_STEP) && es_between(p->stride_w, 1, ES_MAX_STEP);
    if (!extents || !steps || !es_between(p->pad_top, 0, p->kernel_h - 1) ||
        !es_between(p->pad_left, 0, p->kernel_w - 1) || !es_activation_range_ok(p->act_min, p->act_max)) {
        return ES_STATUS_bad_params;
    }
    /* The last window holds at least one input, so that no mean divides by zero and no maximum is of nothing. */
    if ((p->out_h - 1) * p->stride_h - p->pad_top >= p->in_h || (p->out_w - 1) * p->stride_w - p->pad_left >= p->in_w) {
        return ES_STATUS_bad_params;
    }
    if (!es_shape_is_nhwc(es_node_input(model, node, 0), p->batches, p->in_h, p->in_w, p->channels) ||
        !es_shape_is_nhwc(es_node_output(model, node, 0), p->batches, p->out_h, p->out_w, p->channels)) {
        return ES_STATUS_bad_params;
    }
    return ES_STATUS_ok;
}

uint32_t es_pool_scratch_bytes(const es_kernel_t *kernel, const void *params) {
    typedef uint32_t buffer_fn_t(const es_pool_params_t *params);
    return ((buffer_fn_t *)kernel->buffer_size)(params);
}

void es_pool_run(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel, uint8_t *arena,
                 es_node_run_t *state) {
    (void)state;
    typedef void pool_fn_t(const es_pool_params_t *params, const int8_t *input, int8_t *output);
    const int8_t *input = (const int8_t *)es_tensor_read(model, es_node_input(model, node, 0), arena);
    int8_t *output = (int8_t *)es_tensor_bytes(es_node_output(model, node, 0), arena);
    ((pool_fn_t *)kernel->run)(params_of(model, node), input, output);
}
