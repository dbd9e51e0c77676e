#include "es_op_checks.h"
#include "es_op_conv.h"

static es_status_t check(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel,
                         es_node_facts_t *facts) {
    const es_conv_params_t *p = es_conv_params(model, node);
    ES_TRY(es_check_conv(model, node, p));
    ES_TRY(es_check_conv_weights(model, p, kernel, es_conv_tap_positions, facts));
    const uint32_t columns = (uint32_t)(p->kernel_h * p->kernel_w) * (uint32_t)p->in_c;
    facts->macs = (uint64_t)es_tensor_elements(es_node_output(model, node, 0)) * columns;
    return ES_STATUS_ok;
}

const es_op_t es_op_conv_2d = {
    .id = ES_OP_conv_2d,
    .params_bytes = sizeof(es_conv_params_t),
    .scratch_bytes = es_conv_scratch_bytes,
    .check = check,
    .run = es_conv_run,
};
