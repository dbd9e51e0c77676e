#include "es_op_checks.h"
#include "es_op_conv.h"

static es_status_t check(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel,
                         es_node_facts_t *facts) {
    const es_conv_params_t *p = es_conv_params(model, node);
    const es_encoding_t *encoding = es_encoding_find(kernel->encoding);
    ES_TRY(es_check_conv(model, node, p));
    const uint32_t taps = (uint32_t)(p->kernel_h * p->kernel_w);
    const uint32_t columns = taps * (uint32_t)p->in_c;
    const uint32_t rows = (uint32_t)p->out_c;
    ES_TRY(es_check_channels(model, p->channels_off, rows, facts));
    ES_TRY(es_check_weights(model, encoding, p->weights_off, p->weights_bytes, rows, columns, facts));
    const uint8_t *weights = model->data + p->weights_off;
    facts->macs = (uint64_t)es_tensor_elements(es_node_output(model, node, 0)) * columns;
    facts->macs_done = encoding->products(weights, rows, columns, (uint32_t)p->in_c, es_conv_tap_positions, p);
    return ES_STATUS_ok;
}

const es_op_t es_op_conv_2d = {
    .id = ES_OP_conv_2d,
    .params_bytes = sizeof(es_conv_params_t),
    .scratch_bytes = es_conv_scratch_bytes,
    .check = check,
    .run = es_conv_run,
};
