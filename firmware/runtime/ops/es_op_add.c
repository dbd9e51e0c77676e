#include "es_op_broadcast.h"
#include "es_op_checks.h"

static const es_add_params_t *params_of(const es_model_t *model, const es_node_t *node) {
    return (const void *)(model->params + node->params_off);
}

static bool broadcasts(const es_kernel_t *kernel) { return kernel->id == ES_KERNEL_add_broadcast_s8; }

/* Only the kernel that broadcasts subtracts; the other needs all shapes of one size. */
static bool operands_ok(const es_add_params_t *p, const es_tensor_t *a, const es_tensor_t *b, const es_tensor_t *out,
                        const es_kernel_t *kernel) {
    if (broadcasts(kernel)) {
        return p->count == out->bytes && es_shapes_broadcast(a, b, out) && p->in2_multiplier > INT32_MIN;
    }
    return p->count == a->bytes && p->count == b->bytes && p->count == out->bytes &&
           es_multiplier_ok(p->in2_multiplier);
}

static es_status_t check(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel,
                         es_node_facts_t *facts) {
    (void)facts;
    const es_add_params_t *p = params_of(model, node);
    ES_TRY(es_check_int8_nodes(model, node, 2));
    const es_tensor_t *a = es_node_input(model, node, 0);
    const es_tensor_t *b = es_node_input(model, node, 1);
    const es_tensor_t *out = es_node_output(model, node, 0);
    const bool operands = operands_ok(p, a, b, out, kernel);
    const bool points = p->in1_zero_point == a->zero_point && p->in2_zero_point == b->zero_point &&
                        p->out_zero_point == out->zero_point && es_activation_range_ok(p->act_min, p->act_max);
    const bool multipliers = es_multiplier_ok(p->in1_multiplier) && es_multiplier_ok(p->out_multiplier);
    const bool shifts = es_between(p->left_shift, 0, 20) && es_between(p->in1_shift, -31, 0) &&
                        es_between(p->in2_shift, -31, 0) && es_between(p->out_shift, -31, 0);
    if (!operands || !points || !multipliers || !shifts) {
        return ES_STATUS_bad_params;
    }
    return ES_STATUS_ok;
}

static uint32_t scratch_bytes(const es_kernel_t *kernel, const void *params) {
    typedef uint32_t buffer_fn_t(const es_add_params_t *params);
    return ((buffer_fn_t *)kernel->buffer_size)(params);
}

static void run(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel, uint8_t *arena,
                es_node_run_t *state) {
    (void)state;
    typedef void add_fn_t(const es_add_params_t *params, const int8_t *input1, const int8_t *input2, int8_t *output,
                          void *scratch);
    typedef void broadcast_fn_t(const es_add_params_t *params, const es_broadcast_t *loops, const int8_t *input1,
                                const int8_t *input2, int8_t *output);
    const int8_t *a = (const int8_t *)es_tensor_read(model, es_node_input(model, node, 0), arena);
    const int8_t *b = (const int8_t *)es_tensor_read(model, es_node_input(model, node, 1), arena);
    int8_t *output = (int8_t *)es_tensor_bytes(es_node_output(model, node, 0), arena);
    if (broadcasts(kernel)) {
        const es_broadcast_t loops = es_node_broadcast(model, node);
        ((broadcast_fn_t *)kernel->run)(params_of(model, node), &loops, a, b, output);
        return;
    }
    ((add_fn_t *)kernel->run)(params_of(model, node), a, b, output, arena + node->scratch_off);
}

const es_op_t es_op_add = {
    .id = ES_OP_add,
    .params_bytes = sizeof(es_add_params_t),
    .scratch_bytes = scratch_bytes,
    .check = check,
    .run = run,
};
