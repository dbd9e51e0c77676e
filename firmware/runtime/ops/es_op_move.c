#include <string.h>

#include "es_op_checks.h"

static const es_move_params_t *params_of(const es_model_t *model, const es_node_t *node) {
    return (const void *)(model->params + node->params_off);
}

static const es_move_t *moves_of(const es_model_t *model, const es_move_params_t *p) {
    return (const void *)(model->data + p->moves_off);
}

/* At least one input and one output, all int8. */
static es_status_t check_tensors(const es_model_t *model, const es_node_t *node) {
    if (node->input_count == 0 || node->output_count == 0) {
        return ES_STATUS_bad_params;
    }
    for (uint32_t i = 0; i < node->input_count; i++) {
        if (es_node_input(model, node, i)->type != ES_TYPE_int8) {
            return ES_STATUS_bad_tensor;
        }
    }
    for (uint32_t i = 0; i < node->output_count; i++) {
        if (es_node_output(model, node, i)->type != ES_TYPE_int8) {
            return ES_STATUS_bad_tensor;
        }
    }
    return ES_STATUS_ok;
}

/* All runs of one side lie in a tensor. Sums stay far inside 64 bits: six times 2^24 * 2^31. */
static bool runs_inside(const es_move_t *move, uint32_t first, const int32_t *steps, uint32_t tensor_bytes) {
    int64_t low = first;
    int64_t high = (int64_t)first + move->run_bytes;
    for (uint32_t i = 0; i < 6; i++) {
        const int64_t reach = (int64_t)(move->counts[i] - 1) * steps[i];
        low += reach < 0 ? reach : 0;
        high += reach > 0 ? reach : 0;
    }
    return low >= 0 && high <= (int64_t)tensor_bytes;
}

/* One move; `bytes` is what it writes, or more than any tensor has. */
static es_status_t check_move(const es_model_t *model, const es_node_t *node, const es_move_t *move, uint64_t *bytes) {
    if (move->input >= node->input_count || move->output >= node->output_count) {
        return ES_STATUS_bad_index;
    }
    if (move->run_bytes == 0 || move->run_bytes > INT32_MAX) {
        return ES_STATUS_bad_params;
    }
    *bytes = move->run_bytes;
    for (uint32_t i = 0; i < 6; i++) {
        if (move->counts[i] == 0 || move->counts[i] > ES_MAX_DIM) {
            return ES_STATUS_bad_params;
        }
        *bytes *= move->counts[i]; /* at most 2^32 * 2^24: no wrap */
        if (*bytes > UINT32_MAX) {
            return ES_STATUS_bad_params;
        }
    }
    const es_tensor_t *in = es_node_input(model, node, move->input);
    const es_tensor_t *out = es_node_output(model, node, move->output);
    const bool inside = runs_inside(move, move->from, move->from_steps, in->bytes) &&
                        runs_inside(move, move->to, move->to_steps, out->bytes);
    return inside ? ES_STATUS_ok : ES_STATUS_bad_params;
}

/* The moves write as many bytes as the outputs have, or at most that many where they are filled before: work is bounded
 * by the size of the outputs, whatever an image says.
 */
static es_status_t check(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel,
                         es_node_facts_t *facts) {
    (void)kernel;
    const es_move_params_t *p = params_of(model, node);
    ES_TRY(check_tensors(model, node));
    if (p->fill > 1 || !es_between(p->fill_value, -128, 127)) {
        return ES_STATUS_bad_params;
    }
    const es_where_t where = facts->where;
    uint64_t room = 0;
    for (uint32_t i = 0; i < node->output_count; i++) {
        room += es_node_output(model, node, i)->bytes;
    }
    ES_TRY(es_check_data(model, p->moves_off, (uint64_t)p->moves_count * sizeof(es_move_t), facts));
    for (uint32_t i = 0; i < p->moves_count; i++) {
        uint64_t bytes = 0;
        ES_TRY(check_move(model, node, &moves_of(model, p)[i], &bytes));
        if (bytes > room) {
            return ES_STATUS_bad_params;
        }
        room -= bytes;
        facts->where.offset += (uint32_t)sizeof(es_move_t);
    }
    facts->where = where;
    return room == 0 || p->fill == 1 ? ES_STATUS_ok : ES_STATUS_bad_params;
}

static uint32_t scratch_bytes(const es_kernel_t *kernel, const void *params) {
    typedef uint32_t buffer_fn_t(const es_move_params_t *params);
    return ((buffer_fn_t *)kernel->buffer_size)(params);
}

static void run(const es_model_t *model, const es_node_t *node, const es_kernel_t *kernel, uint8_t *arena,
                es_node_run_t *state) {
    (void)state;
    typedef void move_fn_t(const es_move_t *move, const int8_t *input, int8_t *output);
    const es_move_params_t *p = params_of(model, node);
    for (uint32_t i = 0; i < node->output_count && p->fill == 1; i++) {
        const es_tensor_t *out = es_node_output(model, node, i);
        memset(es_tensor_bytes(out, arena), p->fill_value, out->bytes);
    }
    for (uint32_t i = 0; i < p->moves_count; i++) {
        const es_move_t *move = &moves_of(model, p)[i];
        const int8_t *input = (const int8_t *)es_tensor_read(model, es_node_input(model, node, move->input), arena);
        int8_t *output = (int8_t *)es_tensor_bytes(es_node_output(model, node, move->output), arena);
        ((move_fn_t *)kernel->run)(move, input, output);
    }
}

const es_op_t es_op_move = {
    .id = ES_OP_move,
    .params_bytes = sizeof(es_move_params_t),
    .scratch_bytes = scratch_bytes,
    .check = check,
    .run = run,
};
