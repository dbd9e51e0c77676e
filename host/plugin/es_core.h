/* Models of cores: how many cycles straight-line code takes. docs/cycle-model.md has the rules and their sources. */
#ifndef ES_CORE_H
#define ES_CORE_H

#include "es_insn.h"

/* What tells one core from another. */
typedef struct {
    const char *name;
    bool dual_issue;
    uint8_t mla_cycles;
    uint8_t mull_cycles; /* SMULL, UMULL */
    uint8_t mlal_cycles; /* SMLAL, UMLAL */
    uint8_t div_cycles;
    uint8_t refill_cycles;          /* after a branch whose target the instruction says */
    uint8_t refill_register_cycles; /* after any other */
    uint8_t unaligned_target_cycles;
} es_core_t;

/* The core with this name, NULL if it is not modelled. */
const es_core_t *es_core_find(const char *name);

/* Schedules `count` instructions in a row, none of which branches but perhaps the last, which then falls through.
 *
 * Writes to until[i] the cycles before instruction i begins, to until[count] those of all.
 */
void es_core_schedule(const es_core_t *core, const es_insn_t *insns, uint32_t count, uint32_t *until);

/* What a branch costs more when it is taken, the alignment of its target aside. */
uint32_t es_core_taken_cycles(const es_core_t *core, const es_insn_t *branch);

/* For es_core_schedule alone. */
void es_core_schedule_single(const es_core_t *core, const es_insn_t *insns, uint32_t count, uint32_t *until);
void es_core_schedule_dual(const es_core_t *core, const es_insn_t *insns, uint32_t count, uint32_t *until);

#endif
