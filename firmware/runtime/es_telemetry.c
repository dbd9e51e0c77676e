#include "es_telemetry.h"

#include <string.h>

void es_send_layers(es_link_t *link, uint32_t run, const es_model_t *model, const es_profile_t *profile, uint8_t unit) {
    for (uint32_t i = 0; i < model->node_count; i++) {
        const es_node_t *node = &model->nodes[i];
        es_layer_t layer = {.run = run,
                            .node = (uint16_t)i,
                            .layer = node->layer,
                            .macs_done = model->macs_done[i],
                            .count = profile->count[i],
                            .activation_zeros = profile->zeros[i],
                            .unit = unit,
                            .saturated = profile->saturated[i],
                            .thresholded = profile->thresholded[i]};
        for (uint32_t o = 0; o < node->output_count; o++) {
            layer.activations += es_tensor_elements(es_node_output(model, node, o));
        }
        es_send(link, ES_RECORD_layer, &layer, sizeof(layer), NULL, 0);
    }
}

static uint32_t smaller(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* A tensor's bytes, a record a piece. OUTPUT and TENSOR_DATA are laid out alike: `head` is either. */
static void send_pieces(es_link_t *link, uint8_t type, es_tensor_data_t *head, const uint8_t *data) {
    static_assert(sizeof(es_output_t) == sizeof(*head) &&
                      offsetof(es_output_t, offset) == offsetof(es_tensor_data_t, offset),
                  "one function sends both");
    for (head->offset = 0; head->offset < head->total_bytes;) {
        const uint32_t piece = smaller(head->total_bytes - head->offset, ES_PAYLOAD_MAX - (uint32_t)sizeof(*head));
        es_send(link, type, head, sizeof(*head), data + head->offset, piece);
        head->offset += piece;
    }
}

uint32_t es_send_outputs(es_link_t *link, uint32_t run, const es_model_t *model, const uint8_t *arena) {
    uint32_t crc = 0;
    for (uint32_t i = 0; i < model->output_count; i++) {
        const es_tensor_t *t = &model->tensors[model->outputs[i]];
        const uint8_t *data = es_tensor_read(model, t, arena);
        es_tensor_data_t head = {.run = run, .node = (uint16_t)i, .total_bytes = t->bytes};
        send_pieces(link, ES_RECORD_output, &head, data);
        crc = es_crc32(crc, data, t->bytes);
    }
    return crc;
}

void es_send_tensors(es_link_t *link, uint32_t run, const es_model_t *model, uint32_t node, const uint8_t *arena) {
    const es_node_t *row = &model->nodes[node];
    for (uint32_t i = 0; i < row->output_count; i++) {
        const uint16_t tensor = model->edges[row->output_first + i];
        const es_tensor_t *t = &model->tensors[tensor];
        es_tensor_data_t head = {.run = run, .node = (uint16_t)node, .tensor = tensor, .total_bytes = t->bytes};
        send_pieces(link, ES_RECORD_tensor_data, &head, arena + t->offset);
    }
}

void es_send_log(es_link_t *link, uint32_t level, const char *text) {
    const es_log_t log = {.level = level};
    es_send(link, ES_RECORD_log, &log, sizeof(log), text, (uint32_t)strlen(text));
}

void es_send_fault(es_link_t *link, es_status_t status, uint32_t detail, uint32_t pc, uint32_t lr) {
    const es_fault_t fault = {.status = status, .detail = detail, .pc = pc, .lr = lr};
    es_send(link, ES_RECORD_fault, &fault, sizeof(fault), NULL, 0);
}
