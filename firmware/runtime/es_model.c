/* The loader: everything that can be wrong with an image is found here, once.
 *
 * Order: header, CRC, section table, lists, tensors, nodes. Every range is checked as `offset <= limit` and then
 * `bytes <= limit - offset`, so that no sum can wrap.
 */
#include <string.h>

#include "es_tables.h"

static es_status_t refuse(es_where_t *where, uint32_t section, uint32_t offset, es_status_t status) {
    where->section = section;
    where->offset = offset;
    return status;
}

static bool in_range(uint32_t offset, uint32_t bytes, uint32_t limit) {
    return offset <= limit && bytes <= limit - offset;
}

static bool overlap(uint32_t a_offset, uint32_t a_bytes, uint32_t b_offset, uint32_t b_bytes) {
    return a_bytes > 0 && b_bytes > 0 && a_offset < b_offset + b_bytes && b_offset < a_offset + a_bytes;
}

uint32_t es_type_bytes(uint8_t type) {
    switch (type) {
#define ES_TYPE(id, name, bytes, doc) \
    case (id):                        \
        return (bytes);
#include "tables/types.def"
#undef ES_TYPE
        default:
            return 0;
    }
}

uint32_t es_tensor_elements(const es_tensor_t *tensor) { return tensor->bytes / es_type_bytes(tensor->type); }

const es_tensor_t *es_node_input(const es_model_t *model, const es_node_t *node, uint32_t i) {
    return &model->tensors[model->edges[node->input_first + i]];
}

const es_tensor_t *es_node_output(const es_model_t *model, const es_node_t *node, uint32_t i) {
    return &model->tensors[model->edges[node->output_first + i]];
}

uint8_t *es_tensor_bytes(const es_tensor_t *tensor, uint8_t *arena) { return arena + tensor->offset; }

const uint8_t *es_tensor_read(const es_model_t *model, const es_tensor_t *tensor, const uint8_t *arena) {
    return (tensor->place == ES_PLACE_constant ? model->data : arena) + tensor->offset;
}

static es_status_t check_header(es_model_t *model, uint32_t capacity_bytes, const es_limits_t *limits,
                                es_where_t *where) {
    const es_image_header_t *h = model->header;
    if (((uintptr_t)model->image & (ES_IMAGE_ALIGN - 1u)) != 0) {
        return refuse(where, 0, 0, ES_STATUS_bad_alignment);
    }
    if (capacity_bytes < sizeof(*h)) {
        return refuse(where, 0, 0, ES_STATUS_bad_size);
    }
    if (h->magic != ES_IMAGE_MAGIC) {
        return refuse(where, 0, offsetof(es_image_header_t, magic), ES_STATUS_bad_magic);
    }
    if (h->version_major != ES_IMAGE_VERSION) {
        return refuse(where, 0, offsetof(es_image_header_t, version_major), ES_STATUS_bad_version);
    }
    const uint64_t table_end = sizeof(*h) + (uint64_t)h->section_count * sizeof(es_section_t);
    if (h->total_bytes > capacity_bytes || h->total_bytes % ES_IMAGE_ALIGN != 0 || table_end > h->total_bytes) {
        return refuse(where, 0, offsetof(es_image_header_t, total_bytes), ES_STATUS_bad_size);
    }
    uint32_t crc = es_crc32(0, model->image, offsetof(es_image_header_t, crc32));
    const uint32_t after = offsetof(es_image_header_t, crc32) + 4u;
    crc = es_crc32(crc, model->image + after, h->total_bytes - after);
    if (crc != h->crc32) {
        return refuse(where, 0, offsetof(es_image_header_t, crc32), ES_STATUS_bad_crc);
    }
    if ((h->required_features & ~ES_KNOWN_FEATURES) != 0) {
        return refuse(where, 0, offsetof(es_image_header_t, required_features), ES_STATUS_bad_feature);
    }
    if (!es_isa_runs(limits->isa, h->target_isa)) {
        return refuse(where, 0, offsetof(es_image_header_t, target_isa), ES_STATUS_bad_isa);
    }
    for (uint32_t i = 0; i < 4; i++) {
        if (h->reserved[i] != 0) {
            return refuse(where, 0, offsetof(es_image_header_t, reserved), ES_STATUS_bad_reserved);
        }
    }
    if (h->arena_bytes % ES_IMAGE_ALIGN != 0) {
        return refuse(where, 0, offsetof(es_image_header_t, arena_bytes), ES_STATUS_bad_alignment);
    }
    if (h->arena_bytes > limits->arena_bytes) {
        return refuse(where, 0, offsetof(es_image_header_t, arena_bytes), ES_STATUS_no_memory);
    }
    return ES_STATUS_ok;
}

/* Bytes of a row of a known section kind; 0 for one without rows; UINT32_MAX for an unknown kind. */
static uint32_t section_row_bytes(uint16_t kind) {
    switch (kind) {
#define ES_SECTION(kind_, name, row_bytes, doc) \
    case (kind_):                               \
        return (row_bytes);
#include "tables/sections.def"
#undef ES_SECTION
        default:
            return UINT32_MAX;
    }
}

static void adopt_section(es_model_t *model, const es_section_t *section) {
    const void *base = model->image + section->offset;
    switch (section->kind) {
        case ES_SECTION_inputs:
            model->inputs = base;
            model->input_count = section->rows;
            break;
        case ES_SECTION_outputs:
            model->outputs = base;
            model->output_count = section->rows;
            break;
        case ES_SECTION_tensors:
            model->tensors = base;
            model->tensor_count = section->rows;
            break;
        case ES_SECTION_nodes:
            model->nodes = base;
            model->node_count = section->rows;
            break;
        case ES_SECTION_edges:
            model->edges = base;
            model->edge_count = section->rows;
            break;
        case ES_SECTION_params:
            model->params = base;
            model->params_bytes = section->bytes;
            break;
        case ES_SECTION_data:
            model->data = base;
            model->data_bytes = section->bytes;
            break;
        case ES_SECTION_scales:
            model->scales = base;
            model->scale_count = section->rows;
            break;
        default:
            break;
    }
}

/* Sections lie one after another, each from the next multiple of 16 on, and fill the image. */
static es_status_t check_sections(es_model_t *model, es_where_t *where) {
    const es_image_header_t *h = model->header;
    const es_section_t *sections = (const void *)(model->image + sizeof(*h));
    uint32_t end = (uint32_t)sizeof(*h) + h->section_count * (uint32_t)sizeof(es_section_t);
    uint32_t seen = 0;
    for (uint32_t i = 0; i < h->section_count; i++) {
        const es_section_t *s = &sections[i];
        const uint32_t at = (uint32_t)sizeof(*h) + i * (uint32_t)sizeof(es_section_t);
        const uint32_t row_bytes = section_row_bytes(s->kind);
        if ((s->flags & ~ES_SECTION_REQUIRED) != 0) {
            return refuse(where, s->kind, at, ES_STATUS_bad_reserved);
        }
        if (s->offset != end) {
            return refuse(where, s->kind, at, ES_STATUS_bad_offset);
        }
        if (!in_range(s->offset, s->bytes, h->total_bytes)) {
            return refuse(where, s->kind, at, ES_STATUS_bad_size);
        }
        /* total_bytes is a multiple of 16, so that rounding up stays within it. */
        end = s->offset + ((s->bytes + ES_IMAGE_ALIGN - 1u) & ~(ES_IMAGE_ALIGN - 1u));
        for (uint32_t gap = s->offset + s->bytes; gap < end; gap++) {
            if (model->image[gap] != 0) {
                return refuse(where, s->kind, gap, ES_STATUS_bad_reserved);
            }
        }
        if (row_bytes == UINT32_MAX) {
            if ((s->flags & ES_SECTION_REQUIRED) != 0) {
                return refuse(where, s->kind, at, ES_STATUS_bad_section);
            }
            continue;
        }
        const uint32_t bit = 1u << s->kind;
        if ((seen & bit) != 0) {
            return refuse(where, s->kind, at, ES_STATUS_bad_section);
        }
        seen |= bit;
        if ((row_bytes == 0 && s->rows != 0) || (row_bytes != 0 && (uint64_t)s->rows * row_bytes != s->bytes)) {
            return refuse(where, s->kind, at, ES_STATUS_bad_size);
        }
        adopt_section(model, s);
    }
    if (end != h->total_bytes) {
        return refuse(where, 0, offsetof(es_image_header_t, total_bytes), ES_STATUS_bad_size);
    }
    const uint32_t needed = 1u << ES_SECTION_inputs | 1u << ES_SECTION_outputs | 1u << ES_SECTION_tensors |
                            1u << ES_SECTION_nodes | 1u << ES_SECTION_edges | 1u << ES_SECTION_params |
                            1u << ES_SECTION_data;
    if ((seen & needed) != needed) {
        return refuse(where, 0, offsetof(es_image_header_t, section_count), ES_STATUS_bad_section);
    }
    return ES_STATUS_ok;
}

/* Offset from the start of the image of a pointer into it. */
static uint32_t offset_of(const es_model_t *model, const void *pointer) {
    return (uint32_t)((const uint8_t *)pointer - model->image);
}

static es_status_t check_tensor(const es_model_t *model, const es_tensor_t *t) {
    const uint32_t type_bytes = es_type_bytes(t->type);
    if (type_bytes == 0 || t->rank > 6 || t->place > ES_PLACE_persistent) {
        return ES_STATUS_bad_tensor;
    }
    if (t->threshold > 127 || (t->threshold != 0 && (t->type != ES_TYPE_int8 || t->place == ES_PLACE_constant))) {
        return ES_STATUS_bad_tensor;
    }
    if (t->place != ES_PLACE_persistent && t->reset_off != 0) {
        return ES_STATUS_bad_reserved;
    }
    uint64_t bytes = type_bytes;
    for (uint32_t i = 0; i < 6; i++) {
        if (t->dims[i] == 0 || t->dims[i] > ES_MAX_DIM || (i >= t->rank && t->dims[i] != 1)) {
            return ES_STATUS_bad_tensor;
        }
        bytes *= t->dims[i]; /* at most 2^32 * 2^24: no wrap */
        if (bytes > UINT32_MAX) {
            return ES_STATUS_bad_tensor;
        }
    }
    if (bytes != t->bytes || (t->type == ES_TYPE_int8 && (t->zero_point < -128 || t->zero_point > 127))) {
        return ES_STATUS_bad_tensor;
    }
    if (t->offset % 4u != 0 || t->reset_off % 4u != 0) {
        return ES_STATUS_bad_alignment;
    }
    const uint32_t limit = t->place == ES_PLACE_constant ? model->data_bytes : model->header->arena_bytes;
    if (!in_range(t->offset, t->bytes, limit) ||
        (t->place == ES_PLACE_persistent && !in_range(t->reset_off, t->bytes, model->data_bytes))) {
        return ES_STATUS_bad_offset;
    }
    return ES_STATUS_ok;
}

static es_status_t check_list(const es_model_t *model, const uint16_t *list, uint32_t count, uint32_t section,
                              bool writable, es_where_t *where) {
    for (uint32_t i = 0; i < count; i++) {
        if (list[i] >= model->tensor_count) {
            return refuse(where, section, offset_of(model, &list[i]), ES_STATUS_bad_index);
        }
        if (writable && model->tensors[list[i]].place == ES_PLACE_constant) {
            return refuse(where, section, offset_of(model, &list[i]), ES_STATUS_bad_tensor);
        }
    }
    return ES_STATUS_ok;
}

/* Whether an output takes an input's place byte for byte, and the kernel allows that. */
static bool is_in_place(const es_node_t *node, const es_tensor_t *in, const es_tensor_t *out) {
    return es_kernel_in_place(node->kernel) && in->type == out->type && in->place == ES_PLACE_arena &&
           out->place == ES_PLACE_arena && in->offset == out->offset &&
           memcmp(in->dims, out->dims, sizeof(in->dims)) == 0;
}

/* A node writes nothing that it reads, unless in place, and its scratch is its own. */
static es_status_t check_overlap(const es_model_t *model, const es_node_t *node) {
    for (uint32_t o = 0; o < node->output_count; o++) {
        const es_tensor_t *out = es_node_output(model, node, o);
        if (out->place == ES_PLACE_constant) {
            return ES_STATUS_bad_tensor;
        }
        if (overlap(out->offset, out->bytes, node->scratch_off, node->scratch_bytes)) {
            return ES_STATUS_bad_overlap;
        }
        for (uint32_t i = 0; i < node->input_count; i++) {
            const es_tensor_t *in = es_node_input(model, node, i);
            if (in->place != ES_PLACE_constant && overlap(out->offset, out->bytes, in->offset, in->bytes) &&
                !is_in_place(node, in, out)) {
                return ES_STATUS_bad_overlap;
            }
        }
    }
    for (uint32_t i = 0; i < node->input_count; i++) {
        const es_tensor_t *in = es_node_input(model, node, i);
        if (in->place != ES_PLACE_constant && overlap(in->offset, in->bytes, node->scratch_off, node->scratch_bytes)) {
            return ES_STATUS_bad_overlap;
        }
    }
    return ES_STATUS_ok;
}

/* The row of a node by itself: ids, ranges, places. */
static es_status_t check_node_row(const es_model_t *model, const es_node_t *node, const es_op_t *op,
                                  const es_kernel_t *kernel, const es_limits_t *limits) {
    if (op == NULL) {
        return ES_STATUS_bad_op;
    }
    if (kernel == NULL || kernel->op != node->op) {
        return ES_STATUS_bad_kernel;
    }
    if (!es_isa_runs(limits->isa, kernel->isa)) {
        return ES_STATUS_bad_isa;
    }
    if ((node->flags & ~(ES_NODE_SATURATES_LOW | ES_NODE_SATURATES_HIGH)) != 0) {
        return ES_STATUS_bad_reserved;
    }
    if (!in_range(node->input_first, node->input_count, model->edge_count) ||
        !in_range(node->output_first, node->output_count, model->edge_count)) {
        return ES_STATUS_bad_index;
    }
    if (node->params_off % 4u != 0 || node->scratch_off % 8u != 0) {
        return ES_STATUS_bad_alignment;
    }
    if (node->params_bytes != op->params_bytes) {
        return ES_STATUS_bad_size;
    }
    if (!in_range(node->params_off, node->params_bytes, model->params_bytes) ||
        !in_range(node->scratch_off, node->scratch_bytes, model->header->arena_bytes)) {
        return ES_STATUS_bad_offset;
    }
    return check_overlap(model, node);
}

static es_status_t check_nodes(es_model_t *model, const es_limits_t *limits, es_where_t *where) {
    if (model->node_count > ES_MAX_NODES) {
        return refuse(where, ES_SECTION_nodes, offset_of(model, model->nodes), ES_STATUS_too_many);
    }
    for (uint32_t i = 0; i < model->node_count; i++) {
        const es_node_t *node = &model->nodes[i];
        const es_op_t *op = es_op_find(node->op);
        const es_kernel_t *kernel = es_kernel_find(node->kernel);
        es_node_facts_t facts = {.where = {ES_SECTION_nodes, offset_of(model, node)}};
        es_status_t status = check_node_row(model, node, op, kernel, limits);
        if (status == ES_STATUS_ok) {
            status = op->check(model, node, kernel, &facts);
        }
        if (status == ES_STATUS_ok &&
            op->scratch_bytes(kernel, model->params + node->params_off) > node->scratch_bytes) {
            status = ES_STATUS_no_scratch;
        }
        if (status == ES_STATUS_ok && facts.macs != node->macs) {
            status = ES_STATUS_bad_params;
        }
        if (status != ES_STATUS_ok) {
            return refuse(where, facts.where.section, facts.where.offset, status);
        }
        model->macs_done[i] = facts.macs_done;
    }
    return ES_STATUS_ok;
}

es_status_t es_model_check(es_model_t *model, const es_limits_t *limits, es_where_t *where) {
    for (uint32_t i = 0; i < model->tensor_count; i++) {
        const es_status_t status = check_tensor(model, &model->tensors[i]);
        if (status != ES_STATUS_ok) {
            return refuse(where, ES_SECTION_tensors, offset_of(model, &model->tensors[i]), status);
        }
    }
    ES_TRY(check_list(model, model->inputs, model->input_count, ES_SECTION_inputs, true, where));
    ES_TRY(check_list(model, model->outputs, model->output_count, ES_SECTION_outputs, false, where));
    ES_TRY(check_list(model, model->edges, model->edge_count, ES_SECTION_edges, false, where));
    return check_nodes(model, limits, where);
}

es_status_t es_model_load(es_model_t *model, const uint8_t *image, uint32_t capacity_bytes, const es_limits_t *limits,
                          es_where_t *where) {
    memset(model, 0, sizeof(*model));
    model->image = image;
    model->header = (const void *)image;
    *where = (es_where_t){0, 0};
    ES_TRY(check_header(model, capacity_bytes, limits, where));
    ES_TRY(check_sections(model, where));
    return es_model_check(model, limits, where);
}
