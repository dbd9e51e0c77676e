#include "es_core.h"

#include <stddef.h>
#include <string.h>

/* Where a manual gives a range, the middle: 3-5, 4-7 and 2-12 cycles by the size of the operands. */
static const es_core_t cores[] = {
    {.name = "cortex-m3",
     .mla_cycles = 2,
     .mull_cycles = 4,
     .mlal_cycles = 6,
     .div_cycles = 7,
     .refill_cycles = 1,
     .refill_register_cycles = 2,
     .unaligned_target_cycles = 1},
    {.name = "cortex-m4",
     .mla_cycles = 1,
     .mull_cycles = 1,
     .mlal_cycles = 1,
     .div_cycles = 7,
     .refill_cycles = 1,
     .refill_register_cycles = 2,
     .unaligned_target_cycles = 1},
    {.name = "cortex-m7", .dual_issue = true, .mla_cycles = 1, .mull_cycles = 1, .mlal_cycles = 1, .div_cycles = 7},
};

const es_core_t *es_core_find(const char *name) {
    for (size_t i = 0; i < sizeof(cores) / sizeof(cores[0]); i++) {
        if (strcmp(cores[i].name, name) == 0) {
            return &cores[i];
        }
    }
    return NULL;
}

void es_core_schedule(const es_core_t *core, const es_insn_t *insns, uint32_t count, uint32_t *until) {
    if (core->dual_issue) {
        es_core_schedule_dual(core, insns, count, until);
    } else {
        es_core_schedule_single(core, insns, count, until);
    }
}

uint32_t es_core_taken_cycles(const es_core_t *core, const es_insn_t *branch) {
    return branch->target_is_static ? core->refill_cycles : core->refill_register_cycles;
}
