/* The rules that delta8 and group4 share: a table of counts, then blocks of four steps and four entries each. */
#ifndef ES_STEPS_H
#define ES_STEPS_H

#include <stdint.h>

enum {
    ES_STEPS = 4 /* of a block */
};

/* Checks a table of `rows` u16, padded with a 0 to whole words, and the blocks that it counts: four u8 steps, then four
 * entries of `entry_bytes`. A row's place starts at 0 and each step moves it on; it stays below `places`, and entries
 * that are not all 0 are at strictly increasing places. Returns the first offset against the rules, or -1.
 */
int32_t es_steps_check(const uint8_t *weights, uint32_t bytes, uint32_t rows, uint32_t places, uint32_t entry_bytes);

#endif
