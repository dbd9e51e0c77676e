#include <stdlib.h>
#include <string.h>

#include "es.h"
#include "es_native.h"

/* Copies one row between `row` and the tensors listed, `to_row` or from it. Returns the bytes of a row. */
static size_t copy_row(const es_model_t *model, uint8_t *arena, const uint16_t *listed, uint32_t count, uint8_t *to_row,
                       const uint8_t *from_row) {
    size_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        const es_tensor_t *t = &model->tensors[listed[i]];
        if (to_row != NULL) {
            memcpy(to_row + at, es_tensor_bytes(t, arena), t->bytes);
        } else if (from_row != NULL) {
            memcpy(es_tensor_bytes(t, arena), from_row + at, t->bytes);
        }
        at += t->bytes;
    }
    return at;
}

static void run_rows(es_model_t *model, uint8_t *arena, es_profile_t *profile, const uint8_t *in, uint8_t *out,
                     uint32_t rows, uint32_t *zeros) {
    const uint32_t nodes = model->node_count;
    es_exec_reset(model, arena);
    for (uint32_t row = 0; row < rows; row++) {
        in += copy_row(model, arena, model->inputs, model->input_count, NULL, in);
        es_exec_run(model, arena, profile, zeros != NULL ? ES_COUNT_ZEROS : 0, NULL, NULL);
        out += copy_row(model, arena, model->outputs, model->output_count, out, NULL);
        if (zeros != NULL) {
            memcpy(zeros + (size_t)row * nodes, profile->zeros, nodes * sizeof(*zeros));
        }
    }
}

/* Whether `bytes` is what `rows` rows of the tensors listed take. */
static bool rows_fit(const es_model_t *model, const uint16_t *listed, uint32_t count, uint32_t rows, uint64_t bytes) {
    return bytes == rows * (uint64_t)copy_row(model, NULL, listed, count, NULL, NULL);
}

int32_t es_native_run_rows(const uint8_t *image, uint32_t bytes, uint32_t rows, const uint8_t *in, uint64_t in_bytes,
                           uint8_t *out, uint64_t out_bytes, uint32_t *zeros, uint64_t zeros_count) {
    const es_limits_t limits = {.arena_bytes = UINT32_MAX - 15u, .isa = ES_ISA_armv8m_main_dsp};
    es_where_t where = {0, 0};
    uint8_t *copy = aligned_alloc(ES_IMAGE_ALIGN, ((size_t)bytes / ES_IMAGE_ALIGN + 1) * ES_IMAGE_ALIGN);
    es_model_t *model = malloc(sizeof(*model));
    es_profile_t *profile = malloc(sizeof(*profile));
    uint8_t *arena = NULL;
    int32_t status = ES_STATUS_no_memory;
    if (copy != NULL && model != NULL && profile != NULL) {
        memcpy(copy, image, bytes);
        status = es_model_load(model, copy, bytes, &limits, &where);
    }
    if (status == ES_STATUS_ok) {
        arena =
            aligned_alloc(ES_IMAGE_ALIGN, ((size_t)model->header->arena_bytes / ES_IMAGE_ALIGN + 1) * ES_IMAGE_ALIGN);
        status = arena == NULL ? ES_STATUS_no_memory : ES_STATUS_ok;
    }
    if (status == ES_STATUS_ok && (!rows_fit(model, model->inputs, model->input_count, rows, in_bytes) ||
                                   !rows_fit(model, model->outputs, model->output_count, rows, out_bytes) ||
                                   (zeros != NULL && zeros_count != rows * (uint64_t)model->node_count))) {
        status = ES_STATUS_bad_input;
    }
    if (status == ES_STATUS_ok) {
        memset(arena, 0, model->header->arena_bytes);
        run_rows(model, arena, profile, in, out, rows, zeros);
    }
    free(arena);
    free(profile);
    free(model);
    free(copy);
    return status;
}
