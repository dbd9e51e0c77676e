#include "es_op_checks.h"
#include "es_op_conv.h"

/* How many of the inputs 0..in-1 reach an output o * stride - pad + tap inside 0..out-1. */
static uint32_t arriving_inputs(int32_t in, int32_t out, int32_t stride, int32_t pad, int32_t tap) {
    const int32_t shift = pad - tap; /* o * stride must lie in shift .. shift + out - 1 */
    const int32_t last_place = shift + out - 1;
    if (last_place < 0) {
        return 0;
    }
    const int32_t first = shift <= 0 ? 0 : (shift + stride - 1) / stride;
    const int32_t last = last_place / stride < in - 1 ? last_place / stride : in - 1;
    return last < first ? 0 : (uint32_t)(last - first + 1);
}

/* Input positions (times batches) that a filter tap takes to a real output. */
static uint32_t positions(const void *context, uint32_t tap) {
    const es_conv_params_t *p = context;
    const int32_t ky = (int32_t)tap / p->kernel_w;
    const int32_t kx = (int32_t)tap % p->kernel_w;
    return (uint32_t)p->batches * arriving_inputs(p->in_h, p->out_h, p->stride_h, p->pad_top, ky) *
           arriving_inputs(p->in_w, p->out_w, p->stride_w, p->pad_left, kx);
}

static es_status_t check(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel,
                         es_node_facts_t *facts) {
    const es_conv_params_t *p = es_conv_params(model, node);
    const es_encoding_t *encoding = es_encoding_find(kernel->encoding);
    ES_TRY(es_check_conv(model, node, p));
    const es_tensor_t *in = es_node_input(model, node, 0);
    if (p->dilation_h != 1 || p->dilation_w != 1 || in->bytes > INT32_MAX) {
        return ES_STATUS_bad_params;
    }
    const uint32_t taps = (uint32_t)(p->kernel_h * p->kernel_w);
    const uint32_t columns = taps * (uint32_t)p->in_c;
    const uint32_t rows = (uint32_t)p->out_c;
    ES_TRY(es_check_channels(model, p->channels_off, rows, facts));
    ES_TRY(es_check_weights(model, encoding, p->weights_off, p->weights_bytes, rows, columns, facts));
    const uint8_t *weights = model->data + p->weights_off;
    facts->macs = (uint64_t)es_tensor_elements(in) * taps * rows;
    facts->macs_done = encoding->products(weights, rows, columns, (uint32_t)p->in_c, positions, p);
    return ES_STATUS_ok;
}

const es_op_t es_op_transpose_conv = {
    .id = ES_OP_transpose_conv,
    .params_bytes = sizeof(es_conv_params_t),
    .scratch_bytes = es_conv_scratch_bytes,
    .check = check,
    .run = es_conv_run,
};
