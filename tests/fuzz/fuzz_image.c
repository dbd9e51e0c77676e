/* libFuzzer: any bytes as an image are refused or run inside their memory.
 *
 * Length and CRC-32 are made right first, so that the checks behind them are reached; an accepted image then runs
 * one inference in an arena of exactly the bytes that it asks for, and another one with weights set to zero as its
 * model_hash says, which no check reads.
 */
#include <stdlib.h>
#include <string.h>

#include "es_sparsify.h"

#define MAX_ARENA_BYTES (1u << 20)
#define MAX_MACS 20000000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void mend_header(uint8_t *image, uint32_t bytes) {
    es_image_header_t *header = (void *)image;
    const uint32_t after = offsetof(es_image_header_t, crc32) + 4u;
    header->magic = ES_IMAGE_MAGIC;
    header->version_major = ES_IMAGE_VERSION;
    header->total_bytes = bytes;
    const uint32_t crc = es_crc32(0, image, offsetof(es_image_header_t, crc32));
    header->crc32 = es_crc32(crc, image + after, bytes - after);
}

static void run(es_model_t *model) {
    static es_profile_t profile;
    uint64_t work = 0;
    for (uint32_t i = 0; i < model->node_count; i++) {
        work += model->nodes[i].macs;
        for (uint32_t o = 0; o < model->nodes[i].output_count; o++) {
            work += es_node_output(model, &model->nodes[i], o)->bytes;
        }
    }
    if (work > MAX_MACS) {
        return;
    }
    uint8_t *arena = aligned_alloc(ES_IMAGE_ALIGN, model->header->arena_bytes);
    if (arena != NULL) {
        memset(arena, 0x5A, model->header->arena_bytes);
        es_exec_reset(model, arena);
        es_exec_run(model, arena, &profile, ES_COUNT_ZEROS | ES_COUNT_SATURATED, NULL, NULL);
    }
    free(arena);
}

static es_status_t sparsify(es_model_t *model, uint8_t *image, const es_limits_t *limits) {
    es_sparsify_t how;
    es_sparsified_t done;
    es_where_t where;
    memcpy(&how, model->header->model_hash, sizeof(how));
    (void)es_sparsify(model, image, &how, &done);
    return es_model_check(model, limits, &where);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static es_model_t model;
    const es_limits_t limits = {.arena_bytes = MAX_ARENA_BYTES, .isa = ES_ISA_armv7em};
    const uint32_t bytes = (uint32_t)size & ~(ES_IMAGE_ALIGN - 1u);
    es_where_t where;
    if (bytes < sizeof(es_image_header_t)) {
        return 0;
    }
    uint8_t *image = aligned_alloc(ES_IMAGE_ALIGN, bytes);
    if (image == NULL) {
        return 0;
    }
    memcpy(image, data, bytes);
    mend_header(image, bytes);
    if (es_model_load(&model, image, bytes, &limits, &where) == ES_STATUS_ok) {
        run(&model);
        if (sparsify(&model, image, &limits) == ES_STATUS_ok) {
            run(&model);
        }
    }
    free(image);
    return 0;
}
