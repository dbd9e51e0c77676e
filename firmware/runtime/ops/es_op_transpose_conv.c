#include "es_op_checks.h"
#include "es_op_conv.h"

/* Input positions (times batches) that a filter tap takes to a real output. */
static uint32_t positions(const void *context, uint32_t tap) {
    const es_conv_params_t *p = context;
    const int32_t ky = (int32_t)tap / p->kernel_w;
    const int32_t kx = (int32_t)tap % p->kernel_w;
    return (uint32_t)p->batches * es_conv_places(p->out_h, p->in_h, p->stride_h, p->pad_top, ky) *
           es_conv_places(p->out_w, p->in_w, p->stride_w, p->pad_left, kx);
}

static es_status_t check(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel,
                         es_node_facts_t *facts) {
    const es_conv_params_t *p = es_conv_params(model, node);
    ES_TRY(es_check_conv(model, node, p));
    const es_tensor_t *in = es_node_input(model, node, 0);
    if (p->classes != 0 || p->dilation_h != 1 || p->dilation_w != 1 || in->bytes > INT32_MAX) {
        return ES_STATUS_bad_params;
    }
    ES_TRY(es_check_conv_weights(model, p, kernel, positions, facts));
    facts->macs = (uint64_t)es_tensor_elements(in) * (uint32_t)(p->kernel_h * p->kernel_w) * (uint32_t)p->out_c;
    return ES_STATUS_ok;
}

const es_op_t es_op_transpose_conv = {
    .id = ES_OP_transpose_conv,
    .params_bytes = sizeof(es_conv_params_t),
    .scratch_bytes = es_conv_scratch_bytes,
    .check = check,
    .run = es_conv_run,
};
