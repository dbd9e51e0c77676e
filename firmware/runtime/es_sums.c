#include "es_sums.h"

#include <string.h>

/* The first row of a node's histograms, and its int8 outputs, come in the same order. */
static bool has_histogram(const es_tensor_t *tensor) { return tensor->type == ES_TYPE_int8; }

static uint32_t histogram_count(const es_model_t *model, uint32_t *largest) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < model->node_count; i++) {
        const es_node_t *node = &model->nodes[i];
        for (uint32_t o = 0; o < node->output_count; o++) {
            const es_tensor_t *t = es_node_output(model, node, o);
            if (has_histogram(t)) {
                count++;
                *largest = t->bytes > *largest ? t->bytes : *largest;
            }
        }
    }
    return count;
}

es_status_t es_sums_place(es_sums_t *sums, const es_model_t *model, bool windows, bool histograms, uint32_t runs,
                          uint8_t *memory, uint32_t memory_bytes, uint32_t taken_bytes) {
    uint32_t largest = 1;
    const uint32_t count = histograms ? histogram_count(model, &largest) : 0;
    const uint32_t layers_bytes = windows ? model->node_count * (uint32_t)sizeof(es_layer_window_t) : 0;
    const uint64_t bytes = layers_bytes + (uint64_t)count * sizeof(es_histogram_t);
    memset(sums, 0, sizeof(*sums));
    if (histograms && runs > UINT32_MAX / largest) {
        return ES_STATUS_bad_record;
    }
    sums->offset = bytes > memory_bytes ? 0 : (memory_bytes - (uint32_t)bytes) / 8u * 8u;
    if (bytes > 0 && sums->offset < taken_bytes) {
        return ES_STATUS_no_memory;
    }
    uint8_t *at = memory + sums->offset;
    sums->layers = windows ? (es_layer_window_t *)(void *)at : NULL;
    sums->histograms = histograms ? (es_histogram_t *)(void *)(at + layers_bytes) : NULL;
    sums->histogram_count = count;
    return ES_STATUS_ok;
}

static void clear_node(es_sums_t *sums, const es_model_t *model, uint32_t i, uint32_t *histogram) {
    const es_node_t *node = &model->nodes[i];
    es_layer_window_t layer = {.run = sums->window.run,
                               .node = (uint16_t)i,
                               .layer = node->layer,
                               .unit = sums->window.unit,
                               .activation_zeros_min = UINT32_MAX,
                               .macs_done_min = UINT64_MAX,
                               .count_min = UINT64_MAX};
    for (uint32_t o = 0; o < node->output_count; o++) {
        const es_tensor_t *t = es_node_output(model, node, o);
        layer.activations += es_tensor_elements(t);
        if (sums->histograms != NULL && has_histogram(t)) {
            sums->histograms[(*histogram)++] = (es_histogram_t){
                .run = sums->window.run, .node = (uint16_t)i, .tensor = model->edges[node->output_first + o]};
        }
    }
    if (sums->layers != NULL) {
        sums->layers[i] = layer;
    }
}

void es_sums_clear(es_sums_t *sums, const es_model_t *model, uint32_t run, uint8_t unit) {
    uint32_t histogram = 0;
    sums->window =
        (es_run_window_t){.run = run, .unit = unit, .node_count = model->node_count, .count_min = UINT64_MAX};
    for (uint32_t i = 0; i < model->node_count; i++) {
        clear_node(sums, model, i, &histogram);
    }
}

void es_sums_count(es_sums_t *sums, const es_model_t *model, uint32_t node, const uint8_t *arena) {
    for (uint32_t h = 0; h < sums->histogram_count; h++) {
        es_histogram_t *histogram = &sums->histograms[h];
        if (histogram->node == node) {
            const es_tensor_t *t = &model->tensors[histogram->tensor];
            const uint8_t *data = arena + t->offset;
            for (uint32_t i = 0; i < t->bytes; i++) {
                histogram->bins[(data[i] ^ 0x80u) >> 4]++;
            }
            histogram->runs++;
        }
    }
}

/* One value of a run into its sum, its least and its most. */
/* A function of its own: 64-bit arithmetic is long. */
__attribute__((noinline)) static void add(uint64_t value, uint64_t *sum, uint64_t *least, uint64_t *most) {
    *sum += value;
    *least = value < *least ? value : *least;
    *most = value > *most ? value : *most;
}

void es_sums_add(es_sums_t *sums, const es_model_t *model, const es_profile_t *profile) {
    es_run_window_t *window = &sums->window;
    window->runs++;
    add(profile->total_count, &window->count_sum, &window->count_min, &window->count_max);
    for (uint32_t i = 0; i < model->node_count; i++) {
        es_layer_window_t *layer = &sums->layers[i];
        const uint32_t zeros = profile->zeros[i];
        const uint32_t saturated = profile->saturated[i];
        layer->runs++;
        layer->activation_zeros_sum += zeros;
        layer->activation_zeros_min = zeros < layer->activation_zeros_min ? zeros : layer->activation_zeros_min;
        layer->activation_zeros_max = zeros > layer->activation_zeros_max ? zeros : layer->activation_zeros_max;
        layer->thresholded_sum += profile->thresholded[i];
        layer->saturated_sum += saturated;
        layer->saturated_max = saturated > layer->saturated_max ? saturated : layer->saturated_max;
        add(model->macs_done[i], &layer->macs_done_sum, &layer->macs_done_min, &layer->macs_done_max);
        add(profile->count[i], &layer->count_sum, &layer->count_min, &layer->count_max);
        window->macs_done_sum += model->macs_done[i];
    }
}

void es_sums_send_layers(es_link_t *link, const es_sums_t *sums, const es_model_t *model) {
    for (uint32_t i = 0; i < model->node_count && sums->layers != NULL; i++) {
        es_send(link, ES_RECORD_layer_window, &sums->layers[i], sizeof(sums->layers[i]), NULL, 0);
    }
}

void es_sums_send_histograms(es_link_t *link, const es_sums_t *sums) {
    for (uint32_t h = 0; h < sums->histogram_count; h++) {
        es_send(link, ES_RECORD_histogram, &sums->histograms[h], sizeof(sums->histograms[h]), NULL, 0);
    }
}
