/* Thumb instructions, as far as their timing depends on them. */
#ifndef ES_INSN_H
#define ES_INSN_H

#include <stdbool.h>
#include <stdint.h>

#define ES_PC 15u
#define ES_FLAGS_MASK (1u << 16) /* the flags as one more register */

enum {
    ES_KIND_OTHER, /* floating point and what else is not modelled */
    ES_KIND_ALU,
    ES_KIND_EXTEND, /* sign and zero extension, bit fields, saturation */
    ES_KIND_DSP,    /* parallel arithmetic, PKH, REV, CLZ */
    ES_KIND_MUL,
    ES_KIND_MLA,
    ES_KIND_MULL,
    ES_KIND_MLAL,
    ES_KIND_DSP_MUL, /* SMUAD, SMLABB, SMLALD, SMMLA: ARMv7E-M only */
    ES_KIND_DIV,
    ES_KIND_LOAD,
    ES_KIND_LOAD_MULTIPLE, /* LDRD too */
    ES_KIND_STORE,
    ES_KIND_STORE_MULTIPLE, /* STRD too */
    ES_KIND_BRANCH,
    ES_KIND_BRANCH_REGISTER,
    ES_KIND_BRANCH_TABLE,
    ES_KIND_NOP,
    ES_KIND_IT,
    ES_KIND_BARRIER,
    ES_KIND_SYSTEM,
};

/* One instruction. Register sets are masks, bit n for register n. */
typedef struct {
    uint32_t address;
    uint32_t reads;       /* all of them, ES_FLAGS_MASK among them */
    uint32_t writes;      /* all of them, a written-back base too */
    uint32_t results;     /* what a load brings or an ALU makes: writes without a written-back base */
    uint32_t base;        /* registers that an address is made of */
    uint32_t accumulates; /* what a multiplication adds to */
    uint32_t target;      /* of a direct branch */
    int32_t offset;       /* of the address, where has_offset */
    uint8_t bytes;        /* 2 or 4 */
    uint8_t kind;
    uint8_t transfers;     /* words of a multiple load or store */
    bool has_offset;       /* one base register and a constant */
    bool shifts;           /* its last operand goes through the shifter */
    bool branches;         /* may go elsewhere than to the next instruction */
    bool always_branches;  /* never falls through */
    bool target_is_static; /* `target` says where to */
} es_insn_t;

/* Decodes one instruction of 2 or 4 bytes; whatever is unknown becomes ES_KIND_OTHER. */
void es_insn_decode(es_insn_t *insn, uint32_t address, const uint8_t *code, uint32_t bytes);

/* A 32-bit instruction that does not begin on a word. */
static inline bool es_insn_is_unaligned_wide(const es_insn_t *insn) {
    return insn->bytes == 4 && (insn->address & 2u) != 0;
}

#endif
