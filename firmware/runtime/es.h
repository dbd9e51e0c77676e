/* edgesparse runtime: loads an image, runs it in place, counts what it does.
 *
 *   es_model_load    checks all of an image once, before anything runs
 *   es_exec_run      one inference, from the input tensors to the output tensors
 *
 * Nothing here allocates, recurses or uses floating point. Image bytes are untrusted until es_model_load has
 * returned ES_STATUS_ok; kernels then run without checks.
 */
#ifndef ES_H
#define ES_H

#include <stdbool.h>

#include "es_types.h"

#include "es_structs_begin.h"

#include "tables/image.def"

#include "es_structs_end.h"

/* Ids and codes, one constant a row of its table. */
enum {
#define ES_STATUS(code, name, doc) ES_STATUS_##name = (code),
#include "tables/status.def"
#undef ES_STATUS
#define ES_OP(id, name, tflite, params, doc) ES_OP_##name = (id),
#include "tables/ops.def"
#undef ES_OP
#define ES_SECTION(kind, name, row_bytes, doc) ES_SECTION_##name = (kind),
#include "tables/sections.def"
#undef ES_SECTION
#define ES_TYPE(id, name, bytes, doc) ES_TYPE_##name = (id),
#include "tables/types.def"
#undef ES_TYPE
#define ES_PLACE(id, name, doc) ES_PLACE_##name = (id),
#include "tables/places.def"
#undef ES_PLACE
#define ES_UNIT(id, name, doc) ES_UNIT_##name = (id),
#include "tables/units.def"
#undef ES_UNIT
#define ES_RESET(id, name, doc) ES_RESET_##name = (id),
#include "tables/reset_reasons.def"
#undef ES_RESET
};

#define ES_IMAGE_MAGIC 0x314D5345u
#define ES_IMAGE_VERSION 3u
#define ES_IMAGE_ALIGN 16u
#define ES_KNOWN_FEATURES 0u      /* required_features bits that this reader knows */
#define ES_SECTION_REQUIRED 1u    /* flags of a section: refuse the image if the kind is unknown */
#define ES_NODE_SATURATES_LOW 1u  /* flags of a node: an output of -128 is a saturated one */
#define ES_NODE_SATURATES_HIGH 2u /* likewise of 127 */
#define ES_COUNT_ZEROS 1u         /* what es_exec_run may count of a node's outputs */
#define ES_COUNT_SATURATED 2u
#define ES_MAX_NODES 256u     /* nodes that a build keeps results for */
#define ES_MAX_DIM (1u << 24) /* of any tensor dimension */
#define ES_MAX_EXTENT 32767   /* of heights, widths and batches */
#define ES_MAX_STEP 1024      /* of kernel sizes, strides and dilations */

typedef int32_t es_status_t; /* ES_STATUS_ok or a negative row of status.def */

/* The only control-flow macro: leaves the function with the first status that is not ok. */
#define ES_TRY(call)                        \
    do {                                    \
        const es_status_t es_try_ = (call); \
        if (es_try_ != ES_STATUS_ok) {      \
            return es_try_;                 \
        }                                   \
    } while (0)

/* Where in an image something was refused. */
typedef struct {
    uint32_t section; /* kind of the section, 0 for the header and the section table */
    uint32_t offset;  /* bytes from the start of the image */
} es_where_t;

/* What the loader may hand out. */
typedef struct {
    uint32_t arena_bytes; /* RAM for tensors and scratch */
    uint16_t isa;         /* instruction set of this build, a row of isas.def */
} es_limits_t;

/* A checked image. Pointers lead into the image; nothing is copied. */
typedef struct {
    const uint8_t *image;
    const es_image_header_t *header;
    const uint16_t *inputs;
    const uint16_t *outputs;
    const es_tensor_t *tensors;
    const es_node_t *nodes;
    const uint16_t *edges;
    const uint8_t *params;
    const uint8_t *data;
    const uint32_t *scales; /* bits of f32; NULL without the section */
    uint32_t input_count;
    uint32_t output_count;
    uint32_t tensor_count;
    uint32_t node_count;
    uint32_t edge_count;
    uint32_t params_bytes;
    uint32_t data_bytes;
    uint32_t scale_count;
    /* Per node, products of a real weight and a real activation: of any run, or of the last one where they depend on it. */
    uint64_t macs_done[ES_MAX_NODES];
} es_model_t;

/* What one inference did, node by node. */
typedef struct {
    uint64_t count[ES_MAX_NODES];       /* instructions or cycles */
    uint32_t zeros[ES_MAX_NODES];       /* output elements equal to their zero point */
    uint32_t thresholded[ES_MAX_NODES]; /* of those, made so by the threshold of their tensor */
    uint32_t saturated[ES_MAX_NODES];   /* output elements at a limit that the node's flags name */
    uint64_t total_count;               /* of the whole inference */
} es_profile_t;

/* Called after each node with its index, while the arena still holds its outputs. */
typedef void es_exec_hook_t(void *context, uint32_t node);

/* Checks an image and makes `model` point into it.
 *
 * image: `capacity_bytes` readable bytes, 16-byte aligned, untrusted. limits: what the target offers.
 * where: set to the place that was refused. Returns ES_STATUS_ok or why not; `model` is usable only if ok.
 */
es_status_t es_model_load(es_model_t *model, const uint8_t *image, uint32_t capacity_bytes, const es_limits_t *limits,
                          es_where_t *where);

/* Checks the tensors and nodes of a loaded image again, after its weights have changed. As es_model_load. */
es_status_t es_model_check(es_model_t *model, const es_limits_t *limits, es_where_t *where);

/* Elements of a tensor, and bytes of one element of its type. */
uint32_t es_tensor_elements(const es_tensor_t *tensor);
uint32_t es_type_bytes(uint8_t type);

/* The tensors that a node reads and writes: input and output `i` of node `node`, i below its count. */
const es_tensor_t *es_node_input(const es_model_t *model, const es_node_t *node, uint32_t i);
const es_tensor_t *es_node_output(const es_model_t *model, const es_node_t *node, uint32_t i);

/* The bytes of a tensor: in the arena, or in the image for a constant. */
uint8_t *es_tensor_bytes(const es_tensor_t *tensor, uint8_t *arena);
const uint8_t *es_tensor_read(const es_model_t *model, const es_tensor_t *tensor, const uint8_t *arena);

/* Gives every persistent tensor its reset value. */
void es_exec_reset(const es_model_t *model, uint8_t *arena);

/* Runs one inference: the inputs lie in their tensors, the outputs will.
 *
 * arena: limits->arena_bytes bytes, 16-byte aligned. profile: filled; zeros, thresholded and saturated only as `counted`, a
 * sum of ES_COUNT_*, says, else 0, while thresholds hold in any case. model: macs_done of the nodes that skip zero activations
 * becomes this run's. hook: NULL, or called after each node; the counts stand still meanwhile.
 */
void es_exec_run(es_model_t *model, uint8_t *arena, es_profile_t *profile, uint32_t counted, es_exec_hook_t *hook,
                 void *context);

/* CRC-32 (IEEE 802.3, as zlib). Start with crc 0; feed the result back in to go on. */
uint32_t es_crc32(uint32_t crc, const uint8_t *data, uint32_t bytes);

#endif
