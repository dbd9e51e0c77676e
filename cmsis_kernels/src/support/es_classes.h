/* Output positions by class: what each adds to the biases (conv_params, `classes`).
 *
 * Where the host has folded constant inputs into the biases, and their sums differ from place to place, as they do where
 * windows reach into the padding, positions of one class have the same amounts on top. They lie behind the channels.
 */
#ifndef ES_CLASSES_H
#define ES_CLASSES_H

#include <stdbool.h>

#include "es_intrin.h"
#include "es_parts.h"
#include "es_types.h"

typedef struct {
    const int16_t *amounts;   /* of class 0, one an output channel, then of class 1 and so on; NULL: none */
    const uint8_t *positions; /* the class of each */
    const int8_t *output;     /* of the first position */
    uint32_t rows;            /* output channels */
    uint32_t count;
} es_classes_t;

es_classes_t es_classes_of(const es_conv_params_t *params, const es_channel_t *channels, const int8_t *output);

/* Whether there are amounts. */
ES_INLINE bool es_classes_any(const es_classes_t *classes) { return ES_HAS_classes && classes->amounts != NULL; }

/* The classes of the position that an output belongs to and of those behind it; where there are amounts. */
const uint8_t *es_classes_at(const es_classes_t *classes, const int8_t *output);

/* Whether, where there are amounts, some class adds something to one of `rows` rows; many a row has no weights for the inputs that were folded. */
bool es_classes_matter(const es_classes_t *classes, uint32_t row, uint32_t rows);

/* What a class adds to row `row` and those behind it. */
ES_INLINE const int16_t *es_classes_amounts(const es_classes_t *classes, uint32_t of, uint32_t row) {
    return classes->amounts + of * classes->rows + row;
}

#endif
