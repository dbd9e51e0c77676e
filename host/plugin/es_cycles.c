/* A QEMU TCG plugin that counts modelled cycles: docs/cycle-model.md.
 *
 * Every translated block is scheduled once and its cost added whenever it runs. A block is counted when it begins;
 * with -icount an access to a device ends it early, and what it did not do is taken off again.
 *
 * A run is a call of one function (`gate`). In it, the device access of `start` begins the count and that of each call
 * of `ticks` ends a node; a further one of `start` leaves out all since the last `ticks`: the very places in which the firmware starts and reads its own counter, so that cycles
 * cover what the instruction counts cover, and the firmware needs nothing that it does not have anyway.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "es_core.h"
#include "es_lines.h"
#include "es_profile.h"
#include "es_qemu_plugin.h"

#define Q8 256u /* stalls are fractions of a cycle */
#define NODES_MAX 4096u
#define WATCHES_MAX 16u
#define BLOCK_MAX 512u

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_API_VERSION;

typedef struct {
    uint32_t base;
    uint32_t end;
} range_t;

/* A translated block. `until` has count + 1 entries. */
typedef struct block {
    uint32_t count;
    uint32_t first;
    uint32_t function; /* that it begins in, by number; 0 without a profile */
    uint32_t end;      /* where it falls through to */
    uint32_t target;   /* of its branch, where that is known */
    uint32_t taken_cycles;
    uint32_t entry_cycles; /* more when it is branched to */
    bool branches;
    bool always_branches;
    bool target_is_static;
    bool says_when_done; /* its branch may lead to its own middle, which looks like an early end */
    uint32_t *until;
    es_insn_t *insns;
    const struct block *joined; /* the block of which it was the continuation last, */
    uint32_t joined_count;      /* after so many instructions of it, */
    uint64_t joined_cycles;     /* and what that changed, modulo 2^64 */
} block_t;

typedef struct {
    uint64_t instructions;
    uint64_t cycles;
    uint64_t stall_q8;
} count_t;

/* What to model, from the arguments. */
static struct {
    const es_core_t *core;
    FILE *out;
    uint32_t gate;
    uint32_t start;
    uint32_t ticks;
    uint32_t nodes;
    range_t watches[WATCHES_MAX]; /* functions that may access the counter */
    uint32_t watch_count;
    range_t flash;
    range_t weights;
    uint32_t wait_states; /* of the flash */
    uint32_t sequential_wait_states;
    uint32_t line_bytes;
    uint32_t code_lines;
    uint32_t data_lines;
    uint32_t weight_q8; /* cycles that a byte of weights costs more, in Q8; 0: as any other data */
} model;

enum {
    OUTSIDE,
    ENTERED,
    STARTING,
    COUNTING,
    READING,
    RESTARTING
};

static struct {
    count_t now;
    const block_t *last;
    bool last_is_done;
    es_lines_t code;
    es_lines_t data;
    uint32_t last_code_line;
    int state;
    uint64_t run;
    uint32_t marks;
    count_t origin;
    count_t pauses; /* between a reading and the start that followed it, all together */
    count_t mark[NODES_MAX + 1];
} state;

static bool within(range_t range, uint32_t address) { return address >= range.base && address < range.end; }

/* --- Runs --------------------------------------------------------------------------------- */

static uint64_t cycles_of(const count_t *count) { return count->cycles + count->stall_q8 / Q8; }

static void print_run(void) {
    const count_t *before = &state.origin;
    fprintf(model.out, "{\"run\": %llu, \"nodes\": [", (unsigned long long)state.run);
    for (uint32_t i = 0; i < model.nodes; i++) {
        const count_t *after = &state.mark[i];
        fprintf(model.out, "%s[%llu, %llu]", i == 0 ? "" : ", ",
                (unsigned long long)(after->instructions - before->instructions),
                (unsigned long long)(cycles_of(after) - cycles_of(before)));
        before = after;
    }
    const count_t *end = &state.mark[model.nodes];
    fprintf(model.out, "], \"instructions\": %llu, \"cycles\": %llu",
            (unsigned long long)(end->instructions - state.origin.instructions),
            (unsigned long long)(cycles_of(end) - cycles_of(&state.origin)));
    if (es_profile_is_on()) {
        fputs(", \"functions\": [", model.out);
        es_profile_print(model.out);
        fputs("]", model.out);
    }
    fputs("}\n", model.out);
    fflush(model.out);
    state.run++;
}

/* A function begins. */
static void enter(uint32_t address) {
    if (address == model.gate) {
        state.state = ENTERED;
    } else if (address == model.start && state.state == ENTERED) {
        state.state = STARTING;
    } else if (address == model.start && state.state == COUNTING) {
        state.state = RESTARTING;
    } else if (address == model.ticks && state.state != OUTSIDE && state.state != ENTERED) {
        state.state = READING;
    }
}

static count_t difference(const count_t *a, const count_t *b) {
    const count_t result = {a->instructions - b->instructions, a->cycles - b->cycles, a->stall_q8 - b->stall_q8};
    return result;
}

/* The counter is accessed, at a certain count. */
static void access_counter(const count_t *at) {
    if (state.state == STARTING) { /* the last access before the first reading starts it */
        state.origin = *at;
        state.pauses = (count_t){0, 0, 0};
        state.marks = 0;
        if (es_profile_is_on()) {
            es_profile_begin(cycles_of(at));
        }
    } else if (state.state == READING) {
        state.state = COUNTING;
        if (es_profile_is_on()) {
            es_profile_charge(state.marks, state.last->function, cycles_of(at));
        }
        state.mark[state.marks++] = difference(at, &state.pauses);
        if (state.marks == model.nodes + 1u) {
            print_run();
            state.state = OUTSIDE;
        }
    } else if (state.state == RESTARTING) { /* the clock stood still since the last reading */
        state.pauses = difference(at, &state.mark[state.marks - 1u]);
    }
}

/* --- Blocks ------------------------------------------------------------------------------- */

/* Takes off what a block did not do from its instruction `index` on. */
static count_t without_rest(const block_t *block, uint32_t index) {
    count_t count = state.now;
    count.instructions -= block->count - index;
    count.cycles -= block->until[block->count] - block->until[index];
    return count;
}

/* The instruction at an address; count where the block has none there. */
static uint32_t index_of(const block_t *block, uint32_t address) {
    uint32_t i = 0;
    while (i < block->count && block->insns[i].address != address) {
        i++;
    }
    return i;
}

/* Where QEMU cuts straight code in two is its own affair: both parts together cost what they cost in one piece. */
static void join(const block_t *before, uint32_t count, block_t *next) {
    static es_insn_t insns[2 * BLOCK_MAX];
    static uint32_t until[2 * BLOCK_MAX + 1];
    if (next->joined != before || next->joined_count != count) {
        memcpy(insns, before->insns, count * sizeof(*insns));
        memcpy(&insns[count], next->insns, next->count * sizeof(*insns));
        es_core_schedule(model.core, insns, count + next->count, until);
        next->joined = before;
        next->joined_count = count;
        next->joined_cycles = (uint64_t)until[count + next->count] - before->until[count] - next->until[next->count];
    }
    state.now.cycles += next->joined_cycles;
}

/* What came of the block before, now that it is known where it led. */
static void settle(const block_t *before, block_t *next) {
    const bool went_on = next->first == before->end && !before->always_branches;
    const bool is_target = before->branches && (!before->target_is_static || next->first == before->target);
    if (before->says_when_done ? !state.last_is_done : !went_on && !is_target) {
        const uint32_t index = index_of(before, next->first);
        state.now = without_rest(before, index);
        if (index < before->count) {
            join(before, index, next);
        }
    } else if (!went_on && before->branches) {
        state.now.cycles += before->taken_cycles + next->entry_cycles;
    } else if (!before->branches && went_on) {
        join(before, before->count, next);
    }
}

static void fetch(const block_t *block) {
    if (!within(model.flash, block->first)) {
        return;
    }
    const uint32_t last = (block->end - 1u) / model.line_bytes;
    for (uint32_t line = block->first / model.line_bytes; line <= last; line++) {
        if (!es_lines_touch(&state.code, line)) {
            const bool follows = line == state.last_code_line + 1u;
            state.now.stall_q8 += Q8 * (follows ? model.sequential_wait_states : model.wait_states);
        }
        state.last_code_line = line;
    }
}

static void begin_block(const block_t *block) {
    if (model.wait_states > 0) {
        fetch(block);
    }
    if (block->first == model.gate || block->first == model.start || block->first == model.ticks) {
        enter(block->first);
    }
    state.now.instructions += block->count;
    state.now.cycles += block->until[block->count];
    state.last = block;
    state.last_is_done = false;
}

static void on_block(unsigned int vcpu, void *userdata) {
    (void)vcpu;
    if (state.last != NULL) {
        settle(state.last, userdata);
    }
    begin_block(userdata);
}

/* All that was counted since a block began is its function's, stalls and what settled it among it. */
static void on_profiled_block(unsigned int vcpu, void *userdata) {
    (void)vcpu;
    if (state.last != NULL) {
        settle(state.last, userdata);
        es_profile_charge(state.marks, state.last->function, cycles_of(&state.now));
    }
    begin_block(userdata);
}

static void on_last_insn(unsigned int vcpu, void *userdata) {
    (void)vcpu;
    (void)userdata;
    state.last_is_done = true;
}

/* A load or store in one of the functions that may access the counter. `userdata` is its address. */
static void on_watched(unsigned int vcpu, qemu_plugin_meminfo_t info, uint64_t vaddr, void *userdata) {
    (void)vcpu;
    const struct qemu_plugin_hwaddr *place = qemu_plugin_get_hwaddr(info, vaddr);
    if (place == NULL || !qemu_plugin_hwaddr_is_io(place) || state.last == NULL) {
        return;
    }
    const uint32_t index = index_of(state.last, (uint32_t)(uintptr_t)userdata);
    if (index < state.last->count) {
        const count_t count = without_rest(state.last, index + 1u);
        access_counter(&count);
    }
}

static void on_load(unsigned int vcpu, qemu_plugin_meminfo_t info, uint64_t vaddr, void *userdata) {
    (void)vcpu;
    (void)userdata;
    const uint32_t address = (uint32_t)vaddr;
    if (model.weight_q8 > 0 && within(model.weights, address)) {
        state.now.stall_q8 += (uint64_t)model.weight_q8 << qemu_plugin_mem_size_shift(info);
    } else if (within(model.flash, address) && !es_lines_touch(&state.data, address / model.line_bytes)) {
        state.now.stall_q8 += Q8 * model.wait_states;
    }
}

/* --- Translation ---------------------------------------------------------------------------- */

static void *allocate(size_t count, size_t size) {
    void *memory = calloc(count, size);
    if (memory == NULL) {
        fputs("es_cycles: out of memory\n", stderr);
        abort();
    }
    return memory;
}

static bool is_watched(uint32_t address) {
    for (uint32_t i = 0; i < model.watch_count; i++) {
        if (within(model.watches[i], address)) {
            return true;
        }
    }
    return false;
}

/* QEMU keeps the block as long as it runs. */
static block_t *make_block(const es_insn_t *insns, uint32_t count) {
    const es_insn_t *last = &insns[count - 1u];
    block_t *block = allocate(1, sizeof(*block));
    block->count = count;
    block->first = insns[0].address;
    block->function = es_profile_find(block->first);
    block->end = last->address + last->bytes;
    block->branches = last->branches;
    block->always_branches = last->always_branches;
    block->target = last->target;
    block->target_is_static = last->target_is_static;
    block->taken_cycles = last->branches ? es_core_taken_cycles(model.core, last) : 0;
    block->entry_cycles = es_insn_is_unaligned_wide(&insns[0]) ? model.core->unaligned_target_cycles : 0;
    block->until = allocate(count + 1u, sizeof(*block->until));
    block->insns = allocate(count, sizeof(*block->insns));
    memcpy(block->insns, insns, count * sizeof(*insns));
    es_core_schedule(model.core, insns, count, block->until);
    const bool may_return = !last->target_is_static || (last->target > block->first && last->target < block->end);
    block->says_when_done = last->branches && may_return;
    return block;
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
    static es_insn_t insns[BLOCK_MAX];
    (void)id;
    const size_t count = qemu_plugin_tb_n_insns(tb);
    if (count == 0 || count > BLOCK_MAX) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        const uint32_t address = (uint32_t)qemu_plugin_insn_vaddr(insn);
        es_insn_decode(&insns[i], address, qemu_plugin_insn_data(insn), (uint32_t)qemu_plugin_insn_size(insn));
        const bool transfers = insns[i].kind >= ES_KIND_LOAD && insns[i].kind <= ES_KIND_STORE_MULTIPLE;
        if (transfers && is_watched(address)) {
            qemu_plugin_register_vcpu_mem_cb(insn, on_watched, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW,
                                             (void *)(uintptr_t)address);
        }
        /* QEMU 7.2 takes MEM_R for stores alone, so that instructions are chosen here and not by it. */
        if (model.wait_states > 0 && (insns[i].kind == ES_KIND_LOAD || insns[i].kind == ES_KIND_LOAD_MULTIPLE)) {
            qemu_plugin_register_vcpu_mem_cb(insn, on_load, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW, NULL);
        }
    }
    block_t *block = make_block(insns, (uint32_t)count);
    qemu_plugin_register_vcpu_tb_exec_cb(tb, es_profile_is_on() ? on_profiled_block : on_block, QEMU_PLUGIN_CB_NO_REGS,
                                         block);
    if (block->says_when_done) {
        qemu_plugin_register_vcpu_insn_exec_cb(qemu_plugin_tb_get_insn(tb, count - 1u), on_last_insn,
                                               QEMU_PLUGIN_CB_NO_REGS, NULL);
    }
}

/* --- Arguments ------------------------------------------------------------------------------ */

static bool parse_range(const char *text, range_t *range) {
    char *end = NULL;
    range->base = (uint32_t)strtoull(text, &end, 0);
    if (*end != ':') {
        return false;
    }
    range->end = (uint32_t)strtoull(end + 1, &end, 0);
    return *end == '\0';
}

static bool parse_number(const char *text, uint32_t *number) {
    char *end = NULL;
    *number = (uint32_t)strtoull(text, &end, 0);
    return end != text && *end == '\0';
}

static bool parse(const char *key, const char *value) {
    const struct {
        const char *key;
        uint32_t *number;
    } numbers[] = {
        {"gate", &model.gate},
        {"start", &model.start},
        {"ticks", &model.ticks},
        {"nodes", &model.nodes},
        {"wait_states", &model.wait_states},
        {"sequential_wait_states", &model.sequential_wait_states},
        {"line_bytes", &model.line_bytes},
        {"code_lines", &model.code_lines},
        {"data_lines", &model.data_lines},
        {"weight_q8", &model.weight_q8},
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (strcmp(key, numbers[i].key) == 0) {
            return parse_number(value, numbers[i].number);
        }
    }
    if (strcmp(key, "core") == 0) {
        model.core = es_core_find(value);
        return model.core != NULL;
    }
    if (strcmp(key, "out") == 0) {
        model.out = fopen(value, "we");
        return model.out != NULL;
    }
    if (strcmp(key, "watch") == 0) {
        return model.watch_count < WATCHES_MAX && parse_range(value, &model.watches[model.watch_count++]);
    }
    if (strcmp(key, "flash") == 0) {
        return parse_range(value, &model.flash);
    }
    if (strcmp(key, "functions") == 0) {
        return es_profile_read(value);
    }
    return strcmp(key, "weights") == 0 && parse_range(value, &model.weights);
}

static bool lines_are_valid(uint32_t lines) { return lines >= 1 && lines <= ES_LINES_MAX; }

static bool is_complete(void) {
    const bool has_flash = model.wait_states > 0;
    return model.core != NULL && model.out != NULL && model.nodes <= NODES_MAX &&
           (!has_flash ||
            (model.line_bytes > 0 && lines_are_valid(model.code_lines) && lines_are_valid(model.data_lines)));
}

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv) {
    (void)info;
    for (int i = 0; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (value != NULL) {
            *value++ = '\0';
        }
        if (value == NULL || !parse(argv[i], value)) {
            fprintf(stderr, "es_cycles: bad argument %s\n", argv[i]);
            return -1;
        }
    }
    if (!is_complete()) {
        fputs("es_cycles: arguments are missing or out of range\n", stderr);
        return -1;
    }
    if (es_profile_is_on() && !es_profile_init(model.nodes)) {
        fputs("es_cycles: out of memory\n", stderr);
        return -1;
    }
    es_lines_init(&state.code, model.code_lines);
    es_lines_init(&state.data, model.data_lines);
    state.last_code_line = ES_LINES_NONE - 1u;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    return 0;
}
