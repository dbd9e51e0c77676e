#include "es_tables.h"

#include "es_encodings.h"
#include "es_kernels.h"

/* All rows, unless the build chose some of them: see ES_ONLY_KERNELS in firmware.cmake. */
#ifndef ES_KERNEL_ROWS
#define ES_KERNEL_ROWS "kernels.def"
#define ES_ENCODING_ROWS "encodings.def"
#define ES_OP_ROWS "tables/ops.def"
#define ES_SKIPS_ROWS "skips.def"
#endif

static const es_kernel_t kernels[] = {
#define ES_KERNEL(id_, op_, encoding_, isa_, name, doc)            \
    {                                                              \
        .id = (id_),                                               \
        .op = ES_OP_##op_,                                         \
        .encoding = ES_ENCODING_##encoding_,                       \
        .isa = ES_ISA_##isa_,                                      \
        .run = (es_any_fn_t *)es_##name,                           \
        .buffer_size = (es_any_fn_t *)es_##name##_get_buffer_size, \
    },
#include ES_KERNEL_ROWS
#undef ES_KERNEL
};

/* The encoding `none` has no bytes, hence no functions; the macros let the table keep one row for it. */
static int32_t es_encoding_none_check(const uint8_t *weights, uint32_t bytes, uint32_t rows, uint32_t columns) {
    (void)weights, (void)rows, (void)columns;
    return bytes == 0 ? -1 : 0;
}

static uint64_t es_encoding_none_products(const uint8_t *weights, uint32_t rows, uint32_t columns, uint32_t group,
                                          uint32_t (*positions)(const void *context, uint32_t group_index),
                                          const void *context) {
    (void)weights, (void)rows, (void)columns, (void)group, (void)positions, (void)context;
    return 0;
}

static const es_encoding_t encodings[] = {
#define ES_ENCODING(id_, name, doc) \
    {.id = (id_), .check = es_encoding_##name##_check, .products = es_encoding_##name##_products},
#include ES_ENCODING_ROWS
#undef ES_ENCODING
};

static const es_op_t *const ops[] = {
#define ES_OP(id, name, tflite, params, doc) &es_op_##name,
#include ES_OP_ROWS
#undef ES_OP
};

/* The last row, of no kernel, is there for a build without others. */
static const struct {
    uint32_t kernel;
    es_node_run_fn_t *run;
} skips[] = {
#define ES_SKIPS(kernel, op, doc) {ES_KERNEL_##kernel, es_op_##op##_run_skipping},
#include ES_SKIPS_ROWS
#undef ES_SKIPS
    {0, NULL},
};

static const uint16_t isa_includes[] = {
#define ES_ISA(id, name, includes, doc) [id] = ES_ISA_##includes,
#include "isas.def"
#undef ES_ISA
};

bool es_isa_runs(uint16_t own, uint16_t needed) {
    uint16_t isa = own;
    while (isa != needed && isa != ES_ISA_any) {
        isa = isa_includes[isa];
    }
    return isa == needed;
}

const es_kernel_t *es_kernel_find(uint16_t id) {
    for (uint32_t i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++) {
        if (kernels[i].id == id) {
            return &kernels[i];
        }
    }
    return NULL;
}

bool es_kernel_in_place(uint16_t id) {
    switch (id) {
#define ES_IN_PLACE(kernel, doc) case ES_KERNEL_##kernel:
#include "in_place.def"
#undef ES_IN_PLACE
        return true;
        default:
            return false;
    }
}

es_node_run_fn_t *es_skips_find(uint16_t kernel_id) {
    uint32_t i = 0;
    while (skips[i].run != NULL && skips[i].kernel != kernel_id) {
        i++;
    }
    return skips[i].run;
}

const es_encoding_t *es_encoding_find(uint16_t id) {
    for (uint32_t i = 0; i < sizeof(encodings) / sizeof(encodings[0]); i++) {
        if (encodings[i].id == id) {
            return &encodings[i];
        }
    }
    return NULL;
}

const es_op_t *es_op_find(uint16_t id) {
    for (uint32_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        if (ops[i]->id == id) {
            return ops[i];
        }
    }
    return NULL;
}
