#include "es_kernels.h"
#include "es_window.h"

enum {
    LOOPS = 6,
    INNER = LOOPS - 1
};

uint32_t es_move_s8_get_buffer_size(const es_move_params_t *params) {
    (void)params;
    return 0;
}

/* Sixteen bytes at a time, then the rest. */
ES_INLINE void copy_run(int8_t *to, const int8_t *from, uint32_t bytes) {
    for (; bytes >= 16; bytes -= 16) {
        const uint32_t a = es_read_u32(from), b = es_read_u32(from + 4);
        const uint32_t c = es_read_u32(from + 8), d = es_read_u32(from + 12);
        es_write_u32(to, a);
        es_write_u32(to + 4, b);
        es_write_u32(to + 8, c);
        es_write_u32(to + 12, d);
        from += 16;
        to += 16;
    }
    es_copy(to, from, (int32_t)bytes);
}

/* The innermost loop. Places are numbers, not pointers: a step may lead outside behind the last run. */
static void move_row(const es_move_t *move, const int8_t *input, uint32_t from, int8_t *output, uint32_t to) {
    const uint32_t from_step = (uint32_t)move->from_steps[INNER];
    const uint32_t to_step = (uint32_t)move->to_steps[INNER];
    if (move->run_bytes == 1) {
        for (uint32_t left = move->counts[INNER]; left != 0; left--) {
            output[to] = input[from];
            from += from_step;
            to += to_step;
        }
        return;
    }
    for (uint32_t left = move->counts[INNER]; left != 0; left--) {
        copy_run(output + to, input + from, move->run_bytes);
        from += from_step;
        to += to_step;
    }
}

void es_move_s8(const es_move_t *move, const int8_t *input, int8_t *output) {
    uint32_t index[INNER] = {0};
    uint32_t from = move->from;
    uint32_t to = move->to;
    for (;;) {
        move_row(move, input, from, output, to);
        uint32_t loop = INNER;
        for (; loop != 0; loop--) {
            const uint32_t i = loop - 1;
            from += (uint32_t)move->from_steps[i];
            to += (uint32_t)move->to_steps[i];
            if (++index[i] < move->counts[i]) {
                break;
            }
            from -= (uint32_t)move->from_steps[i] * move->counts[i];
            to -= (uint32_t)move->to_steps[i] * move->counts[i];
            index[i] = 0;
        }
        if (loop == 0) {
            return;
        }
    }
}
