#include "es_sparsify.h"

#include "es_intrin.h"
#include "es_tables.h"

enum {
    DIGIT_BITS = 7, /* of a key, in the search for the k-th smallest */
    DIGITS = 1 << DIGIT_BITS,
    KEY_BITS = 63,      /* mantissa 24, code 7 (up to 128), shift up to 32 */
    MAX_CODE = 128,     /* greatest |code| */
    MAX_SHIFT = 32,     /* between the scales of a node's rows */
    MANTISSA_BITS = 23, /* of f32, without the leading one */
    DOUBLE_MANTISSA_BITS = 52,
    EXPONENTS_APART = 925 /* biases and fractions of both: (1023 + 52) - (127 + 23) */
};

/* The weights of a node as they lie in the image. */
typedef struct {
    uint8_t *bits;    /* encoding bitmap only */
    uint8_t *weights; /* behind them */
    uint32_t *bytes;  /* of both */
    es_channel_t *channels;
    const uint32_t *scales;
    uint32_t rows;
    uint32_t columns;
    uint32_t words;     /* of bits, a row; 0: encoding dense */
    uint32_t row_bytes; /* from one row's weights to the next one's; 0: they follow on each other */
    uint32_t stored;    /* weights that are there */
    uint32_t exponent;  /* the least of the scales */
    int32_t zero_point; /* of the node's input */
} matrix_t;

/* A scale: mantissa * 2^shift in the matrix' unit, 2^(exponent - 150). */
typedef struct {
    uint32_t mantissa;
    uint32_t shift;
} scale_t;

static uint32_t exponent_of(uint32_t scale) {
    const uint32_t exponent = scale >> MANTISSA_BITS;
    return exponent == 0 ? 1 : exponent;
}

static scale_t scale_of(const matrix_t *m, uint32_t row) {
    const uint32_t bits = m->scales[row];
    const uint32_t fraction = bits & ((1U << MANTISSA_BITS) - 1);
    return (scale_t){bits >> MANTISSA_BITS == 0 ? fraction : fraction | 1U << MANTISSA_BITS,
                     exponent_of(bits) - m->exponent};
}

static uint32_t magnitude(int32_t code) { return (uint32_t)(code < 0 ? -code : code); }

static uint64_t key_of(scale_t scale, uint32_t code) { return (uint64_t)(scale.mantissa * code) << scale.shift; }

/* Positive and finite, and not too far apart. Sets `exponent`; returns the greatest shift, or UINT32_MAX. */
static uint32_t measure_scales(matrix_t *m) {
    uint32_t least = UINT32_MAX, most = 0;
    for (uint32_t row = 0; row < m->rows; row++) {
        const uint32_t bits = m->scales[row];
        if (bits == 0 || bits >= 0xffU << MANTISSA_BITS) {
            return UINT32_MAX;
        }
        const uint32_t exponent = exponent_of(bits);
        least = exponent < least ? exponent : least;
        most = exponent > most ? exponent : most;
    }
    m->exponent = least;
    return most - least <= MAX_SHIFT ? most - least : UINT32_MAX;
}

static uint32_t rows_of(const es_model_t *model, const es_node_t *node) {
    const uint8_t *params = model->params + node->params_off;
    return (uint32_t)(node->op == ES_OP_conv_2d ? ((const es_conv_params_t *)(const void *)params)->out_c
                                                : ((const es_fc_params_t *)(const void *)params)->out_c);
}

static bool has_scales(const es_node_t *node) { return node->op == ES_OP_conv_2d || node->op == ES_OP_fully_connected; }

static es_status_t find_matrix(const es_model_t *model, uint8_t *image, uint32_t index, matrix_t *m) {
    if (index >= model->node_count) {
        return ES_STATUS_bad_index;
    }
    const es_node_t *node = &model->nodes[index];
    const uint16_t encoding = es_kernel_find(node->kernel)->encoding;
    if (!has_scales(node) || (encoding != ES_ENCODING_bitmap && encoding != ES_ENCODING_dense)) {
        return ES_STATUS_bad_kernel;
    }
    uint64_t first = 0;
    for (uint32_t i = 0; i < index; i++) {
        first += has_scales(&model->nodes[i]) ? rows_of(model, &model->nodes[i]) : 0;
    }
    m->rows = rows_of(model, node);
    if (first + m->rows > model->scale_count) {
        return ES_STATUS_bad_params;
    }
    uint8_t *params = image + (model->params - model->image) + node->params_off;
    uint8_t *data = image + (model->data - model->image);
    uint32_t weights_off, channels_off;
    if (node->op == ES_OP_conv_2d) {
        es_conv_params_t *p = (void *)params;
        m->columns = (uint32_t)(p->kernel_h * p->kernel_w) * (uint32_t)p->in_c;
        m->bytes = &p->weights_bytes;
        weights_off = p->weights_off;
        channels_off = p->channels_off;
    } else {
        es_fc_params_t *p = (void *)params;
        m->columns = (uint32_t)p->in_c;
        m->bytes = &p->weights_bytes;
        weights_off = p->weights_off;
        channels_off = p->channels_off;
    }
    m->words = encoding == ES_ENCODING_bitmap ? m->columns / 32 + (m->columns % 32 != 0) : 0;
    m->bits = data + weights_off;
    m->weights = m->bits + 4 * m->rows * m->words;
    m->row_bytes = m->words == 0 ? (m->columns + 3U) & ~3U : 0;
    m->stored = m->words == 0 ? m->rows * m->columns : *m->bytes - 4 * m->rows * m->words;
    m->channels = (void *)(data + channels_off);
    m->scales = model->scales + first;
    m->zero_point = es_node_input(model, node, 0)->zero_point;
    return ES_STATUS_ok;
}

static uint32_t stored_in_row(const matrix_t *m, uint32_t row) {
    uint32_t count = m->words == 0 ? m->columns : 0;
    for (uint32_t word = 0; word < m->words; word++) {
        count += (uint32_t)__builtin_popcount(es_read_u32(m->bits + 4 * (row * m->words + word)));
    }
    return count;
}

/* Key of the `rank`-th smallest weight, digit by digit from the highest, each time among those that begin like it. Weights
 * that are not stored have key 0.
 */
static uint64_t find_key(const matrix_t *m, uint32_t rank, uint32_t max_shift) {
    const uint32_t bits = KEY_BITS - MAX_SHIFT + max_shift;
    uint64_t found = 0;
    for (uint32_t at = (bits + DIGIT_BITS - 1) / DIGIT_BITS * DIGIT_BITS; at > 0;) {
        uint32_t counts[DIGITS] = {found == 0 ? m->rows * m->columns - m->stored : 0};
        const uint8_t *weight = m->weights;
        at -= DIGIT_BITS;
        for (uint32_t row = 0; row < m->rows; row++) {
            const scale_t scale = scale_of(m, row);
            weight = m->row_bytes != 0 ? m->weights + row * m->row_bytes : weight;
            for (uint32_t left = stored_in_row(m, row); left > 0; left--) {
                const uint64_t key = key_of(scale, magnitude((int8_t)*weight++)) >> at;
                if (key >> DIGIT_BITS == found) {
                    counts[(uint32_t)key % DIGITS]++;
                }
            }
        }
        uint32_t digit = 0;
        while (rank > counts[digit] && digit < DIGITS - 1) {
            rank -= counts[digit++];
        }
        found = found << DIGIT_BITS | digit;
    }
    return found;
}

/* The greatest key that a double, 0 or more and finite, is not less than. */
static uint64_t key_below(const matrix_t *m, uint64_t limit) {
    const uint32_t exponent = (uint32_t)(limit >> DOUBLE_MANTISSA_BITS);
    if (exponent == 0) {
        return 0; /* less than the least f32 */
    }
    const uint64_t mantissa = (limit & ((1ULL << DOUBLE_MANTISSA_BITS) - 1)) | 1ULL << DOUBLE_MANTISSA_BITS;
    const int32_t shift = (int32_t)exponent - EXPONENTS_APART - (int32_t)m->exponent;
    if (shift > KEY_BITS - DOUBLE_MANTISSA_BITS - 1) {
        return UINT64_MAX; /* at least 2^63, which no key reaches */
    }
    if (shift >= 0) {
        return mantissa << shift;
    }
    return shift > -64 ? mantissa >> -shift : 0;
}

/* The greatest |code| of a row whose key is at most `key`. */
static uint32_t code_below(scale_t scale, uint64_t key) {
    const uint64_t product = key >> scale.shift;
    return product >= (uint64_t)scale.mantissa * MAX_CODE ? MAX_CODE : (uint32_t)product / scale.mantissa;
}

/* What goes of a row: weights up to a code. Their sum is modulo 2^32, as the bias that holds it. */
typedef struct {
    uint32_t most;
    uint32_t sum;
} drop_t;

static bool drops(drop_t *drop, uint8_t weight) {
    const int32_t code = (int8_t)weight;
    if (magnitude(code) > drop->most) {
        return false;
    }
    drop->sum += (uint32_t)code;
    return true;
}

/* Returns how many weights of the row are left. */
static uint32_t drop_dense(const matrix_t *m, uint32_t row, drop_t *drop) {
    uint8_t *weight = m->weights + row * m->row_bytes;
    uint32_t left = 0;
    for (uint32_t i = 0; i < m->columns; i++) {
        weight[i] = drops(drop, weight[i]) ? 0 : weight[i];
        left += weight[i] != 0;
    }
    return left;
}

/* The same in encoding bitmap: clears bits, and moves the weights that stay together. from, to: where the next one is, and
 * where it goes; no more than the image had are read, also where bits lie in what has been written.
 */
static uint32_t drop_bitmap(const matrix_t *m, uint32_t row, drop_t *drop, const uint8_t **from, uint8_t **to) {
    const uint8_t *end = m->weights + m->stored;
    uint8_t *const start = *to;
    uint8_t *bits = m->bits + 4 * row * m->words;
    for (uint32_t word = 0; word < m->words; word++, bits += 4) {
        uint32_t after = es_read_u32(bits);
        for (uint32_t left = after, bit; left != 0 && *from != end; left &= ~bit) {
            const uint8_t weight = *(*from)++;
            bit = 0x80000000U >> es_clz(left);
            if (drops(drop, weight)) {
                after &= ~bit;
            } else {
                *(*to)++ = weight;
            }
        }
        es_write_u32(bits, after);
    }
    return (uint32_t)(*to - start);
}

/* Drops the weights whose key is at most `key`, and takes them out of the sums that the biases hold. Returns how many are
 * left.
 */
static uint32_t drop_weights(const matrix_t *m, uint64_t key) {
    const uint8_t *from = m->weights;
    uint8_t *to = m->weights;
    uint32_t left = 0;
    for (uint32_t row = 0; row < m->rows; row++) {
        drop_t drop = {code_below(scale_of(m, row), key), 0};
        left += m->words == 0 ? drop_dense(m, row, &drop) : drop_bitmap(m, row, &drop, &from, &to);
        m->channels[row].bias = (int32_t)((uint32_t)m->channels[row].bias + (uint32_t)m->zero_point * drop.sum);
    }
    if (m->words != 0) {
        *m->bytes = (uint32_t)(to - m->bits);
    }
    return left;
}

es_status_t es_sparsify(const es_model_t *model, uint8_t *image, const es_sparsify_t *how, es_sparsified_t *done) {
    matrix_t m;
    ES_TRY(find_matrix(model, image, how->node, &m));
    const uint32_t max_shift = measure_scales(&m);
    const uint32_t weights = m.rows * m.columns;
    if (max_shift == UINT32_MAX || how->smallest > weights || how->limit >> DOUBLE_MANTISSA_BITS >= 0x7ff) {
        return ES_STATUS_bad_params;
    }
    const uint64_t key = how->smallest != 0 ? find_key(&m, how->smallest, max_shift) : key_below(&m, how->limit);
    done->node = how->node;
    done->layer = model->nodes[how->node].layer;
    done->weights = weights;
    done->zeros = weights - drop_weights(&m, key);
    return ES_STATUS_ok;
}
