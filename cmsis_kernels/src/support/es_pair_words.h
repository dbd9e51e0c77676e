/* Dense rows to words of two weights each, as es_lists_add multiplies them. */
#ifndef ES_PAIR_WORDS_H
#define ES_PAIR_WORDS_H

#include "es_intrin.h"

/* Eight rows of `groups` * 4 int8 each, `row_bytes` apart, to groups * 4 columns of four words: word j of a column is
 * w[2j + 1] * 2^24 + w[2j]. Rows after the first `present` of them are that last one once more: their sums are for nobody.
 */
void es_pair_words(uint32_t *words, const uint8_t *rows, uint32_t row_bytes, uint32_t present, uint32_t groups);

#endif
