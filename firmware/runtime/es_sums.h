/* What runs add up to: LAYER_WINDOW and HISTOGRAM records in the making, in RAM that the image leaves free. */
#ifndef ES_SUMS_H
#define ES_SUMS_H

#include "es_link.h"

/* Made by es_sums_place. */
typedef struct {
    es_layer_window_t *layers;  /* one a node; NULL: no window */
    es_histogram_t *histograms; /* one an int8 output of a node, in order; NULL: none */
    uint32_t histogram_count;
    uint32_t offset; /* of all this in its memory */
    es_run_window_t window;
} es_sums_t;

/* Lays out what is wanted at the end of `memory`, behind its first `taken_bytes`, and points into it.
 * Returns ES_STATUS_no_memory if there is too little, or ES_STATUS_bad_record if `runs` runs may be too many for a bin.
 */
es_status_t es_sums_place(es_sums_t *sums, const es_model_t *model, bool windows, bool histograms, uint32_t runs,
                          uint8_t *memory, uint32_t memory_bytes, uint32_t taken_bytes);

/* Starts at 0, with run number `run`. */
void es_sums_clear(es_sums_t *sums, const es_model_t *model, uint32_t run, uint8_t unit);

/* Adds the values of a node's outputs, which the arena holds, to their histograms. */
void es_sums_count(es_sums_t *sums, const es_model_t *model, uint32_t node, const uint8_t *arena);

/* Adds a run. */
void es_sums_add(es_sums_t *sums, const es_model_t *model, const es_profile_t *profile);

/* Sends the LAYER_WINDOW records, where there is a window, and the HISTOGRAM records. */
void es_sums_send_layers(es_link_t *link, const es_sums_t *sums, const es_model_t *model);
void es_sums_send_histograms(es_link_t *link, const es_sums_t *sums);

#endif
