/* Cortex-M3 and M4: three stages, one instruction at a time. DDI 0337 and 0439, chapters on instruction timing. */
#include "es_core.h"

#include <stddef.h>

#define RUN_OF_WIDE 3u        /* the third unaligned 32-bit instruction in a row finds the prefetch buffer empty */
#define RUN_OF_WIDE_STORES 4u /* stores leave it more time */

static bool is_transfer(const es_insn_t *insn) {
    return insn->kind >= ES_KIND_LOAD && insn->kind <= ES_KIND_STORE_MULTIPLE;
}

/* Single loads overlap with the load or store behind them, unless that needs their result as address. */
static bool overlaps(const es_insn_t *before, const es_insn_t *insn) {
    return before != NULL && before->kind == ES_KIND_LOAD && (before->results & insn->base) == 0;
}

/* An address is made one stage before results are. */
static uint32_t address_stall(const es_insn_t *before, const es_insn_t *insn) {
    if (before == NULL || is_transfer(before) || !is_transfer(insn)) {
        return 0;
    }
    return (before->results & insn->base) != 0 ? 1 : 0;
}

static uint32_t own_cycles(const es_core_t *core, const es_insn_t *before, const es_insn_t *insn) {
    switch (insn->kind) {
        case ES_KIND_MLA:
            return core->mla_cycles;
        case ES_KIND_MULL:
            return core->mull_cycles;
        case ES_KIND_MLAL:
            return core->mlal_cycles;
        case ES_KIND_DIV:
            return core->div_cycles;
        case ES_KIND_LOAD:
            return overlaps(before, insn) ? 1 : 2;
        case ES_KIND_STORE: /* its data need no cycle of their own with a constant offset */
            return insn->has_offset || overlaps(before, insn) ? 1 : 2;
        case ES_KIND_LOAD_MULTIPLE:
        case ES_KIND_STORE_MULTIPLE:
            return 1u + insn->transfers;
        case ES_KIND_BRANCH_TABLE:
            return 2;
        case ES_KIND_IT: /* executes together with a 16-bit instruction before it */
            return before != NULL && before->bytes == 2 ? 0 : 1;
        case ES_KIND_SYSTEM:
            return 2;
        default:
            return 1;
    }
}

void es_core_schedule_single(const es_core_t *core, const es_insn_t *insns, uint32_t count, uint32_t *until) {
    const es_insn_t *before = NULL;
    uint32_t cycles = 0;
    uint32_t run = 0;
    bool only_stores = true;
    for (uint32_t i = 0; i < count; i++) {
        const es_insn_t *insn = &insns[i];
        until[i] = cycles;
        cycles += address_stall(before, insn) + own_cycles(core, before, insn);
        if (es_insn_is_unaligned_wide(insn)) {
            run++;
            only_stores = only_stores && insn->kind == ES_KIND_STORE;
            cycles += run == (only_stores ? RUN_OF_WIDE_STORES : RUN_OF_WIDE) ? 1 : 0;
        } else {
            run = 0;
            only_stores = true;
        }
        before = insn;
    }
    until[count] = cycles;
}
