/* Cortex-M7: two instructions a cycle, in order; docs/cycle-model.md says which pairs and why. */
#include "es_core.h"

#include <stddef.h>
#include <string.h>

#define FLAGS 16u /* as in ES_FLAGS_MASK */
#define REGISTERS 17u
#define LOAD_LATENCY 2u
#define MULTIPLY_LATENCY 2u

typedef struct {
    uint32_t cycle;            /* that is being filled */
    uint32_t filled;           /* instructions in it */
    const es_insn_t *first;    /* the one in its first slot */
    uint32_t ready[REGISTERS]; /* cycle from which a register can be read */
    uint32_t free;             /* cycle from which the pipes are free, after what occupies both */
} issue_t;

static bool multiplies(const es_insn_t *insn) { return insn->kind >= ES_KIND_MUL && insn->kind <= ES_KIND_DSP_MUL; }

static bool uses_shifter(const es_insn_t *insn) { return insn->shifts || insn->kind == ES_KIND_EXTEND; }

static bool blocks(const es_insn_t *insn) {
    switch (insn->kind) {
        case ES_KIND_DIV:
        case ES_KIND_LOAD_MULTIPLE:
        case ES_KIND_STORE_MULTIPLE:
        case ES_KIND_BRANCH_TABLE:
        case ES_KIND_BARRIER:
        case ES_KIND_SYSTEM:
        case ES_KIND_OTHER:
            return true;
        default:
            return false;
    }
}

static uint32_t blocked_cycles(const es_core_t *core, const es_insn_t *insn) {
    switch (insn->kind) {
        case ES_KIND_DIV:
            return core->div_cycles;
        case ES_KIND_LOAD_MULTIPLE:
        case ES_KIND_STORE_MULTIPLE:
            return insn->transfers == 0 ? 1 : insn->transfers;
        case ES_KIND_BRANCH_TABLE:
        case ES_KIND_SYSTEM:
            return 2;
        default:
            return 1;
    }
}

/* Words of different banks: the same base, and distances that differ in bit 2. Anything else is taken to collide. */
static bool banks_differ(const es_insn_t *a, const es_insn_t *b) {
    return a->has_offset && b->has_offset && a->base == b->base && (a->writes & b->base) == 0 &&
           ((a->offset ^ b->offset) & 4) != 0;
}

/* Whether the second slot beside `first` takes `second`, as far as the pipes are concerned. */
static bool may_pair(const es_insn_t *first, const es_insn_t *second) {
    const bool first_transfers = first->kind == ES_KIND_LOAD || first->kind == ES_KIND_STORE;
    const bool second_transfers = second->kind == ES_KIND_LOAD || second->kind == ES_KIND_STORE;
    if (blocks(first) || blocks(second) || first->branches) {
        return false;
    }
    if (second->kind == ES_KIND_DSP || second->kind == ES_KIND_EXTEND) { /* the first slot's alone */
        return false;
    }
    if ((uses_shifter(first) && uses_shifter(second)) || (multiplies(first) && multiplies(second))) {
        return false;
    }
    if (first_transfers && second_transfers) {
        return first->kind == ES_KIND_LOAD && second->kind == ES_KIND_LOAD && banks_differ(first, second);
    }
    return true;
}

/* The first cycle in which all that an instruction reads is there. */
static uint32_t operands_ready(const issue_t *issue, const es_insn_t *insn) {
    uint32_t cycle = issue->free;
    for (uint32_t r = 0; r < REGISTERS; r++) {
        const bool predicted = r == FLAGS && insn->branches;
        if ((insn->reads >> r & 1u) == 0 || predicted) {
            continue;
        }
        /* What is added to a product is needed a cycle later than its factors. */
        const bool late = (insn->accumulates >> r & 1u) != 0 && issue->ready[r] > 0;
        const uint32_t ready = issue->ready[r] - (late ? 1u : 0u);
        cycle = ready > cycle ? ready : cycle;
    }
    return cycle;
}

static uint32_t latency(const es_insn_t *insn) {
    return insn->kind == ES_KIND_LOAD ? LOAD_LATENCY : multiplies(insn) ? MULTIPLY_LATENCY : 1u;
}

static void place(issue_t *issue, const es_core_t *core, const es_insn_t *insn, uint32_t cycle) {
    if (cycle > issue->cycle || issue->filled == 0) {
        issue->cycle = cycle;
        issue->filled = 0;
        issue->first = insn;
    }
    issue->filled++;
    const uint32_t occupied = blocks(insn) ? blocked_cycles(core, insn) : 1u;
    issue->free = cycle + (blocks(insn) ? occupied : 0u);
    for (uint32_t r = 0; r < REGISTERS; r++) {
        if ((insn->writes >> r & 1u) != 0) {
            const bool is_result = (insn->results >> r & 1u) != 0;
            issue->ready[r] = cycle + (is_result ? latency(insn) + occupied - 1u : 1u);
        }
    }
}

void es_core_schedule_dual(const es_core_t *core, const es_insn_t *insns, uint32_t count, uint32_t *until) {
    issue_t issue;
    memset(&issue, 0, sizeof(issue));
    for (uint32_t i = 0; i < count; i++) {
        const es_insn_t *insn = &insns[i];
        uint32_t cycle = operands_ready(&issue, insn);
        if (issue.filled > 0 && cycle <= issue.cycle) {
            const bool fits = issue.filled < 2 && may_pair(issue.first, insn);
            cycle = fits ? issue.cycle : issue.cycle + 1u;
        }
        until[i] = cycle;
        place(&issue, core, insn, cycle);
    }
    until[count] = count == 0 ? 0 : (issue.free > issue.cycle + 1u ? issue.free : issue.cycle + 1u);
}
