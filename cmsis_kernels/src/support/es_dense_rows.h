/* Dense rows times packed columns: the inner loops of the dense convolution and of the dense matrix product. */
#ifndef ES_DENSE_ROWS_H
#define ES_DENSE_ROWS_H

#include "es_requant.h"

/* Bytes from one group of four packed values to the next, where one or two columns take turns. */
enum {
    ES_DENSE_ONE = 8,
    ES_DENSE_TWO = 16
};

/* Widens `groups` times four int8 to two words each, lanes (0, 2) and (1, 3), as SXTB16 takes them from a word of
 * weights; `step_bytes`, a constant, from group to group. Returns the place of the next group.
 */
ES_INLINE uint32_t *es_dense_pack(uint32_t *to, const int8_t *from, uint32_t groups, uint32_t step_bytes) {
    for (; groups != 0; groups--) {
        const uint32_t word = es_read_u32(from);
        from += 4;
        const uint32_t even = es_sxtb16(word);
        const uint32_t odd = es_sxtb16_ror8(word);
        if (step_bytes == ES_DENSE_ONE) {
            es_store_pair(to, ES_DENSE_ONE, even, odd);
        } else {
            es_store_pair(to, ES_DENSE_TWO, even, odd);
        }
    }
    return to;
}

/* Weights that all columns are multiplied by. */
typedef struct {
    const uint8_t *weights;       /* rows of 4 * groups int8, at a multiple of 4 */
    const es_channel_t *channels; /* one a row */
    uint32_t rows;
    uint32_t groups;
    es_output_t out;
} es_dense_rows_t;

/* One packed column to `rows` outputs. */
void es_dense_rows_one(const es_dense_rows_t *dense, const uint32_t *packed, int8_t *output);

/* Two packed columns, group by group in turn, to twice `rows` outputs, the first column's first. */
void es_dense_rows_two(const es_dense_rows_t *dense, const uint32_t *packed, int8_t *output);

/* `vectors` columns of `columns` int8, one after another, to `rows` outputs each. Scratch: 16 bytes a group. */
void es_dense_rows_vectors(const es_dense_rows_t *dense, const int8_t *input, uint32_t columns, uint32_t vectors,
                           int8_t *output, uint32_t *packed);

#endif
