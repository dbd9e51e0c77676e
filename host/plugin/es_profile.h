/* Cycles by node and function: which function each cycle of a run was spent in. */
#ifndef ES_PROFILE_H
#define ES_PROFILE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Reads where functions start: a file of ascending addresses, one a line, the first at 0. */
bool es_profile_read(const char *path);

/* Makes room for a run's nodes, and for what follows the last one; false where there is no memory. */
bool es_profile_init(uint32_t nodes);

/* Whether functions were read. */
bool es_profile_is_on(void);

/* The function that an address lies in or behind. */
uint32_t es_profile_find(uint32_t address);

/* A run begins, at a certain count of cycles. */
void es_profile_begin(uint64_t cycles);

/* What was counted since the last call belongs to a function. Nodes that there is no room for are passed over. */
void es_profile_charge(uint32_t node, uint32_t function, uint64_t cycles);

/* Prints [node, function, cycles] of all that took some, with commas between. */
void es_profile_print(FILE *out);

#endif
