#include "es_op_checks.h"

enum {
    MAX_REDUCED = 1 << 22 /* elements in a mean: their sum of at most 255 each is an int32 */
};

static const es_mean_params_t *params_of(const es_model_t *model, const es_node_t *node) {
    return (const void *)(model->params + node->params_off);
}

/* The product of three dimensions, or 0 where one of them or the product is not 1..limit. */
static uint32_t product_of(const int32_t dims[3], uint32_t limit) {
    uint64_t product = 1;
    for (uint32_t i = 0; i < 3; i++) {
        if (!es_between(dims[i], 1, ES_MAX_DIM) || product * (uint32_t)dims[i] > limit) {
            return 0;
        }
        product *= (uint32_t)dims[i];
    }
    return (uint32_t)product;
}

static es_status_t check(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel,
                         es_node_facts_t *facts) {
    (void)kernel, (void)facts;
    const es_mean_params_t *p = params_of(model, node);
    ES_TRY(es_check_int8_nodes(model, node, 1));
    const es_tensor_t *in = es_node_input(model, node, 0);
    const es_tensor_t *out = es_node_output(model, node, 0);
    const uint32_t kept = product_of(p->kept, INT32_MAX);
    const uint32_t reduced = product_of(p->reduced, MAX_REDUCED);
    if (kept == 0 || reduced == 0 || out->bytes != kept || in->bytes > INT32_MAX ||
        (uint64_t)kept * reduced != in->bytes) {
        return ES_STATUS_bad_params;
    }
    if (p->in_zero_point != in->zero_point || p->out_zero_point != out->zero_point ||
        !es_multiplier_ok(p->multiplier) || !es_between(p->shift, -31, 31)) {
        return ES_STATUS_bad_params;
    }
    return ES_STATUS_ok;
}

static uint32_t scratch_bytes(const es_kernel_t *kernel, const void *params) {
    typedef uint32_t buffer_fn_t(const es_mean_params_t *params);
    return ((buffer_fn_t *)kernel->buffer_size)(params);
}

static void run(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel, uint8_t *arena,
                es_node_run_t *state) {
    (void)state;
    typedef void mean_fn_t(const es_mean_params_t *params, const int8_t *input, int8_t *output);
    const int8_t *input = (const int8_t *)es_tensor_read(model, es_node_input(model, node, 0), arena);
    int8_t *output = (int8_t *)es_tensor_bytes(es_node_output(model, node, 0), arena);
    ((mean_fn_t *)kernel->run)(params_of(model, node), input, output);
}

const es_op_t es_op_mean = {
    .id = ES_OP_mean,
    .params_bytes = sizeof(es_mean_params_t),
    .scratch_bytes = scratch_bytes,
    .check = check,
    .run = run,
};
