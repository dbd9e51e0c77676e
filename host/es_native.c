#include "es_native.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "es_app.h"
#include "es_build_id.h"
#include "es_frame.h"
#include "es_kernels.h"
#include "es_port_native.h"
#include "es_tables.h"

static const es_native_row_t rows[] = {
#define ES_STATUS(code, name, doc) {"status", #name, (code), {"", "", ""}, doc},
#include "tables/status.def"
#undef ES_STATUS
#define ES_OP(id, name, tflite, params, doc) {"op", #name, (id), {#tflite, #params, ""}, doc},
#include "tables/ops.def"
#undef ES_OP
#define ES_SECTION(kind, name, row_bytes, doc) {"section", #name, (kind), {#row_bytes, "", ""}, doc},
#include "tables/sections.def"
#undef ES_SECTION
#define ES_TYPE(id, name, bytes, doc) {"type", #name, (id), {#bytes, "", ""}, doc},
#include "tables/types.def"
#undef ES_TYPE
#define ES_PLACE(id, name, doc) {"place", #name, (id), {"", "", ""}, doc},
#include "tables/places.def"
#undef ES_PLACE
#define ES_UNIT(id, name, doc) {"unit", #name, (id), {"", "", ""}, doc},
#include "tables/units.def"
#undef ES_UNIT
#define ES_RESET(id, name, doc) {"reset_reason", #name, (id), {"", "", ""}, doc},
#include "tables/reset_reasons.def"
#undef ES_RESET
#define ES_ENCODING(id, name, doc) {"encoding", #name, (id), {"", "", ""}, doc},
#include "encodings.def"
#undef ES_ENCODING
#define ES_KERNEL(id, op, encoding, isa, name, doc) {"kernel", #name, (id), {#op, #encoding, #isa}, doc},
#include "kernels.def"
#undef ES_KERNEL
#define ES_IN_PLACE(kernel, doc) {"in_place", #kernel, ES_KERNEL_##kernel, {"", "", ""}, doc},
#include "in_place.def"
#undef ES_IN_PLACE
#define ES_ISA(id, name, includes, doc) {"isa", #name, (id), {#includes, "", ""}, doc},
#include "isas.def"
#undef ES_ISA
#define ES_STRUCT(name)
#define ES_FIELD(type, name, doc)
#define ES_ARRAY(type, count, name, doc)
#define ES_END(name, bytes)
#define ES_RECORD(type, direction, name, tail, doc) {"record", #name, (type), {#direction, #tail, ""}, doc},
#include "tables/records.def"
#undef ES_STRUCT
#undef ES_FIELD
#undef ES_ARRAY
#undef ES_END
#undef ES_RECORD
};

/* Offsets and owners are filled in by es_native_fields, which knows each struct only when it ends. */
static es_native_field_t fields[] = {
#define ES_STRUCT(name)
#define ES_FIELD(type, name, doc) {"", #name, #type, 0, sizeof(es_##type##_t), 0, doc},
#define ES_ARRAY(type, count, name, doc) {"", #name, #type, (count), sizeof(es_##type##_t), 0, doc},
#define ES_END(name, bytes) {#name, "", "", 0, 0, (bytes), ""},
#define ES_RECORD(type, direction, name, tail, doc)
#include "params.def"
#include "tables/frame.def"
#include "tables/image.def"
#include "tables/records.def"
#undef ES_STRUCT
#undef ES_FIELD
#undef ES_ARRAY
#undef ES_END
#undef ES_RECORD
};

const es_native_row_t *es_native_rows(uint32_t *count) {
    *count = sizeof(rows) / sizeof(rows[0]);
    return rows;
}

/* Gives the fields first..end-1 the name and size of the struct that the row `end` closes. */
static void close_struct(uint32_t first, uint32_t end) {
    uint32_t offset = 0;
    for (uint32_t i = first; i < end; i++) {
        const uint32_t element_bytes = fields[i].offset;
        fields[i].owner = fields[end].owner;
        fields[i].owner_bytes = fields[end].owner_bytes;
        fields[i].offset = offset;
        offset += element_bytes * (fields[i].count == 0 ? 1 : fields[i].count);
    }
}

const es_native_field_t *es_native_fields(uint32_t *count) {
    static bool ready = false;
    uint32_t first = 0;
    *count = sizeof(fields) / sizeof(fields[0]);
    for (uint32_t i = 0; i < *count && !ready; i++) {
        if (fields[i].name[0] == '\0') {
            close_struct(first, i);
            first = i + 1;
        }
    }
    ready = true;
    return fields;
}

uint32_t es_native_tables_crc(void) { return es_tables_crc; }

const uint8_t *es_native_build_id(void) { return es_build_id; }

uint32_t es_native_scratch_bytes(uint16_t kernel, const uint8_t *params, uint32_t bytes) {
    const es_kernel_t *row = es_kernel_find(kernel);
    const es_op_t *op = row == NULL ? NULL : es_op_find(row->op);
    uint32_t aligned[64];
    if (op == NULL || bytes != op->params_bytes || bytes > sizeof(aligned)) {
        return UINT32_MAX;
    }
    memcpy(aligned, params, bytes);
    return op->scratch_bytes(row, aligned);
}

uint32_t es_native_pitch_bytes(const uint8_t *params, uint32_t bytes) {
    es_conv_params_t aligned;
    if (bytes != sizeof(aligned)) {
        return UINT32_MAX;
    }
    memcpy(&aligned, params, bytes);
    return es_depthwise_pitch_bytes(&aligned);
}

int32_t es_native_check(const uint8_t *image, uint32_t bytes, uint32_t arena_bytes, uint16_t isa, uint32_t *section,
                        uint32_t *offset, uint64_t *macs_done, uint32_t capacity) {
    const es_limits_t limits = {.arena_bytes = arena_bytes, .isa = isa};
    es_where_t where = {0, 0};
    uint8_t *copy = aligned_alloc(ES_IMAGE_ALIGN, ((size_t)bytes / ES_IMAGE_ALIGN + 1) * ES_IMAGE_ALIGN);
    es_model_t *model = malloc(sizeof(*model));
    int32_t status = ES_STATUS_no_memory;
    if (copy != NULL && model != NULL) {
        memcpy(copy, image, bytes);
        status = es_model_load(model, copy, bytes, &limits, &where);
        for (uint32_t i = 0; status == ES_STATUS_ok && macs_done != NULL && i < capacity && i < model->node_count;
             i++) {
            macs_done[i] = model->macs_done[i];
        }
    }
    free(model);
    free(copy);
    *section = where.section;
    *offset = where.offset;
    return status;
}

uint32_t es_native_decode(const uint8_t *data, uint32_t bytes, uint8_t *out, uint32_t capacity, uint32_t *dropped) {
    es_frame_decoder_t decoder = {0};
    uint32_t used = 0;
    for (uint32_t i = 0; i < bytes; i++) {
        es_frame_t frame;
        if (!es_frame_push(&decoder, data[i], &frame)) {
            continue;
        }
        const uint32_t length = (uint32_t)sizeof(frame.header) + frame.payload_bytes;
        if (capacity - used < 4u + length) {
            break;
        }
        memcpy(out + used, &length, 4);
        memcpy(out + used + 4, &frame.header, sizeof(frame.header));
        memcpy(out + used + 4 + sizeof(frame.header), frame.payload, frame.payload_bytes);
        used += 4u + length;
    }
    *dropped = decoder.dropped;
    return used;
}

uint32_t es_native_encode(const uint8_t *header, const uint8_t *payload, uint32_t payload_bytes, uint8_t *wire) {
    es_frame_header_t head;
    memcpy(&head, header, sizeof(head));
    return es_frame_build(wire, &head, payload, payload_bytes, NULL, 0);
}

int32_t es_native_start(const uint8_t *image, uint32_t image_bytes, const uint8_t *batch, uint32_t batch_bytes,
                        uint32_t arena_bytes) {
    if (!es_port_native_open(image, image_bytes, batch, batch_bytes, arena_bytes)) {
        es_port_native_close();
        return -1;
    }
    es_app_init();
    return 0;
}

int32_t es_native_feed(const uint8_t *data, uint32_t bytes) { return es_port_native_feed(data, bytes) ? 0 : -1; }

int32_t es_native_poll(void) {
    if (es_port_native_reset_wanted()) {
        es_app_init();
    }
    es_app_poll();
    return es_port_native_idled() ? 1 : 0;
}

uint32_t es_native_take(uint8_t *data, uint32_t capacity) { return es_port_native_take(data, capacity); }

void es_native_narrow(uint32_t line_bytes) { es_port_native_narrow(line_bytes); }

void es_native_stop(void) { es_port_native_close(); }

float es_native_expf(float x) { return expf(x); }

float es_native_tanhf(float x) { return tanhf(x); }
