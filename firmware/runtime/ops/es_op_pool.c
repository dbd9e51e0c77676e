#include "es_op_pool.h"

#include "es_op_checks.h"

static const es_pool_params_t *params_of(const es_model_t *model, const es_node_t *node) {
    return (const void *)(model->params + node->params_off);
}

es_status_t es_check_pool(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel,
                          es_node_facts_t *facts) {
    (void)kernel, (void)facts;
    const es_pool_params_t *p = params_of(model, node);
    ES_TRY(es_check_images(model, node, p, p->channels));
    if (!es_all_up_to(p, offsetof(es_pool_params_t, kernel_h), 4, ES_MAX_STEP) ||
        !es_between(p->pad_top, 0, p->kernel_h - 1) || !es_between(p->pad_left, 0, p->kernel_w - 1) ||
        !es_activation_range_ok(p->act_min, p->act_max)) {
        return ES_STATUS_bad_params;
    }
    /* The last window holds at least one input, so that no mean divides by zero and no maximum is of nothing. */
    if ((p->out_h - 1) * p->stride_h - p->pad_top >= p->in_h || (p->out_w - 1) * p->stride_w - p->pad_left >= p->in_w) {
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
