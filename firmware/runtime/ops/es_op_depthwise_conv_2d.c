#include "es_op_checks.h"
#include "es_op_conv.h"
#include "es_parts.h"

/* Weights are taps x out_c: a row is one tap, read at the tap's positions by every output channel. */
static es_status_t check(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel,
                         es_node_facts_t *facts) {
    const es_conv_params_t *p = es_conv_params(model, node);
    ES_TRY(es_check_conv(model, node, p));
    if (p->classes != 0 || p->out_c % p->in_c != 0 || (int64_t)p->kernel_h * p->kernel_w * p->out_c > ES_MAX_DIM) {
        return ES_STATUS_bad_params;
    }
    if (!ES_HAS_depthwise_window && es_conv_scratch_bytes(kernel, p) == 0) { /* only a window needs none */
        return ES_STATUS_left_out;
    }
    const uint32_t taps = (uint32_t)(p->kernel_h * p->kernel_w);
    const uint32_t channels = (uint32_t)p->out_c;
    ES_TRY(es_check_channels(model, p->channels_off, channels, facts));
    ES_TRY(es_check_weights(model, es_encoding_find(kernel->encoding), p->weights_off, p->weights_bytes, taps, channels,
                            facts));
    facts->macs = (uint64_t)es_tensor_elements(es_node_output(model, node, 0)) * taps;
    for (uint32_t tap = 0; tap < taps; tap++) {
        facts->macs_done += (uint64_t)es_conv_tap_positions(p, tap) * channels;
    }
    return ES_STATUS_ok;
}

const es_op_t es_op_depthwise_conv_2d = {
    .id = ES_OP_depthwise_conv_2d,
    .params_bytes = sizeof(es_conv_params_t),
    .scratch_bytes = es_conv_scratch_bytes,
    .check = check,
    .run = es_conv_run,
};
