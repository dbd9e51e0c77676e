/* Rows of the kernel and op tables, as the loader and the executor use them. */
#ifndef ES_TABLES_H
#define ES_TABLES_H

#include "es.h"

/* Any function; cast back to its own type before a call. */
typedef void es_any_fn_t(void);

/* One row of kernels.def. */
typedef struct {
    uint16_t id;
    uint16_t op;
    uint16_t encoding;
    uint16_t isa;
    es_any_fn_t *run;         /* es_<name> */
    es_any_fn_t *buffer_size; /* es_<name>_get_buffer_size */
} es_kernel_t;

/* The functions of an encoding; see es_encodings.h. */
typedef struct {
    uint16_t id;
    int32_t (*check)(const uint8_t *weights, uint32_t bytes, uint32_t rows, uint32_t columns);
    uint64_t (*products)(const uint8_t *weights, uint32_t rows, uint32_t columns, uint32_t group,
                         uint32_t (*positions)(const void *context, uint32_t group_index), const void *context);
} es_encoding_t;

/* What an op's check finds out about a node. */
typedef struct {
    uint64_t macs;      /* products of the dense layer, padding taps included */
    uint64_t macs_done; /* products of a real weight and a real activation */
    es_where_t where;   /* set before a refusal */
} es_node_facts_t;

/* What a node's run may know beforehand, and what it finds out. */
typedef struct {
    const es_profile_t *profile; /* of the nodes before it */
    uint32_t node;               /* its index */
    bool with_zeros;             /* profile->zeros are counted */
    uint64_t macs_done;          /* what the model says; a node that skips zero activations sets it in every run */
} es_node_run_t;

/* Elements of the node's first input that equal its zero point, or ES_ZEROS_UNKNOWN: known where telemetry has counted
 * them as the only output of an earlier node.
 */
uint32_t es_node_input_zeros(const es_model_t *model, const es_node_run_t *run);

/* Runs a node's kernel on its tensors. */
typedef void es_node_run_fn_t(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel, uint8_t *arena,
                              es_node_run_t *run);

/* One row of ops.def: the adapter between a node of an image and its kernels. */
typedef struct {
    uint16_t id;
    uint32_t params_bytes;
    /* Bytes of scratch that the kernel needs with these (checked) parameters. */
    uint32_t (*scratch_bytes)(const es_kernel_t *kernel, const void *params);
    /* Checks parameters, tensors and weights; the caller has checked all indices and ranges of the node's row. */
    es_status_t (*check)(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel,
                         es_node_facts_t *facts);
    es_node_run_fn_t *run; /* of kernels without a row in skips.def */
} es_op_t;

/* The row with an id, or NULL. */
const es_kernel_t *es_kernel_find(uint16_t id);
const es_encoding_t *es_encoding_find(uint16_t id);
const es_op_t *es_op_find(uint16_t id);

/* Whether a kernel's output may be one of its inputs: a row of in_place.def. */
bool es_kernel_in_place(uint16_t id);

/* What runs a kernel that may leave zero activations out, a row of skips.def; NULL for any other. */
es_node_run_fn_t *es_skips_find(uint16_t kernel_id);

/* Whether a core with instruction set `own`, a row of isas.def, runs what needs `needed`, any number. */
bool es_isa_runs(uint16_t own, uint16_t needed);

#define ES_OP(id, name, tflite, params, doc) extern const es_op_t es_op_##name;
#include "tables/ops.def"
#undef ES_OP

es_node_run_fn_t es_op_conv_2d_run_skipping;
es_node_run_fn_t es_op_fully_connected_run_skipping;

#endif
