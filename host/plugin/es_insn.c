/* Encodings: Armv7-M Architecture Reference Manual (DDI 0403), chapter A5. */
#include "es_insn.h"

#include <string.h>

static uint32_t field(uint32_t word, uint32_t low, uint32_t bits) { return (word >> low) & ((1u << bits) - 1u); }

static uint32_t reg(uint32_t number) { return 1u << number; }

/* The register, or none where 15 says so. */
static uint32_t reg_or_none(uint32_t number) { return number == ES_PC ? 0 : reg(number); }

static int32_t sign_extend(uint32_t value, uint32_t bits) {
    const uint32_t sign = 1u << (bits - 1u);
    return (int32_t)((value ^ sign) - sign);
}

static void result(es_insn_t *insn, uint32_t registers) {
    insn->results |= registers;
    insn->writes |= registers;
}

static void alu(es_insn_t *insn, uint32_t kind, uint32_t writes, uint32_t reads) {
    insn->kind = (uint8_t)kind;
    result(insn, writes);
    insn->reads |= reads;
}

static void branch_to(es_insn_t *insn, int32_t offset) {
    insn->kind = ES_KIND_BRANCH;
    insn->branches = true;
    insn->target_is_static = true;
    insn->target = insn->address + 4u + (uint32_t)offset;
}

static void jump(es_insn_t *insn, uint32_t kind) {
    insn->kind = (uint8_t)kind;
    insn->branches = true;
    insn->always_branches = true;
}

/* A single load or store. `index` is a mask, 0 for a constant offset. */
static void transfer(es_insn_t *insn, bool load, uint32_t rt, uint32_t rn, uint32_t index, int32_t offset) {
    insn->kind = load ? ES_KIND_LOAD : ES_KIND_STORE;
    insn->base = reg_or_none(rn) | index;
    insn->reads |= insn->base | (load ? 0 : reg(rt));
    insn->has_offset = index == 0 && rn != ES_PC;
    insn->offset = offset;
    insn->transfers = 1;
    if (load) {
        result(insn, reg(rt));
        insn->branches = insn->always_branches = rt == ES_PC;
    }
}

static void transfer_many(es_insn_t *insn, bool load, uint32_t list, uint32_t rn, bool write_back) {
    insn->kind = load ? ES_KIND_LOAD_MULTIPLE : ES_KIND_STORE_MULTIPLE;
    insn->base = reg(rn);
    insn->reads |= insn->base | (load ? 0 : list);
    insn->transfers = (uint8_t)__builtin_popcount(list);
    if (load) {
        result(insn, list);
        insn->branches = insn->always_branches = (list & reg(ES_PC)) != 0;
    }
    insn->writes |= write_back ? reg(rn) : 0;
}

/* --- 16 bits ---------------------------------------------------------------------------- */

static void decode_register_operation(es_insn_t *insn, uint32_t code) {
    enum {
        TST = 8,
        CMP = 10,
        CMN = 11,
        MUL = 13,
        MVN = 15
    };
    const uint32_t operation = field(code, 6, 4);
    const uint32_t rd = reg(field(code, 0, 3));
    const uint32_t rm = reg(field(code, 3, 3));
    const bool compares = operation == TST || operation == CMP || operation == CMN;
    alu(insn, operation == MUL ? ES_KIND_MUL : ES_KIND_ALU, compares ? 0 : rd, operation == MVN ? rm : rd | rm);
    insn->shifts = operation == 2 || operation == 3 || operation == 4 || operation == 7;
    insn->writes |= ES_FLAGS_MASK;
    if (operation == 5 || operation == 6) { /* ADC, SBC */
        insn->reads |= ES_FLAGS_MASK;
    }
}

static void decode_high_register(es_insn_t *insn, uint32_t code) {
    const uint32_t rd = field(code, 0, 3) | (field(code, 7, 1) << 3);
    const uint32_t rm = field(code, 3, 4);
    switch (field(code, 8, 2)) {
        case 0:
            alu(insn, ES_KIND_ALU, reg(rd), reg(rd) | reg(rm));
            break;
        case 1:
            alu(insn, ES_KIND_ALU, ES_FLAGS_MASK, reg(rd) | reg(rm));
            return;
        case 2:
            alu(insn, ES_KIND_ALU, reg(rd), reg(rm));
            break;
        default:
            jump(insn, ES_KIND_BRANCH_REGISTER);
            insn->reads |= reg(rm);
            result(insn, field(code, 7, 1) != 0 ? reg(14) : 0); /* BLX */
            return;
    }
    if (rd == ES_PC) {
        jump(insn, ES_KIND_BRANCH_REGISTER);
    }
}

static void decode_16_memory(es_insn_t *insn, uint32_t code) {
    const uint32_t top = code >> 11;
    const uint32_t rt = field(code, 0, 3);
    const uint32_t rn = field(code, 3, 3);
    if (top == 9) {
        transfer(insn, true, field(code, 8, 3), ES_PC, 0, 0);
    } else if (top < 12) { /* register offset: the stores are 0, 1 and 2 */
        transfer(insn, field(code, 9, 3) > 2, rt, rn, reg(field(code, 6, 3)), 0);
    } else if (top < 18) {
        static const uint32_t scale[] = {4, 1, 2};
        const uint32_t offset = field(code, 6, 5) * scale[(top - 12u) >> 1];
        transfer(insn, (top & 1u) != 0, rt, rn, 0, (int32_t)offset);
    } else {
        transfer(insn, (top & 1u) != 0, field(code, 8, 3), 13, 0, (int32_t)(4u * field(code, 0, 8)));
    }
}

static void decode_miscellaneous(es_insn_t *insn, uint32_t code) {
    const uint32_t rd = reg(field(code, 0, 3));
    const uint32_t rm = reg(field(code, 3, 3));
    const uint32_t group = field(code, 8, 4);
    if ((code & 0xF500u) == 0xB100u) { /* CBZ, CBNZ */
        branch_to(insn, (int32_t)((field(code, 9, 1) << 6) | (field(code, 3, 5) << 1)));
        insn->reads |= rd;
    } else if (group == 0) {
        alu(insn, ES_KIND_ALU, reg(13), reg(13));
    } else if (group == 2) {
        alu(insn, ES_KIND_EXTEND, rd, rm);
    } else if (group == 4 || group == 5) {
        transfer_many(insn, false, field(code, 0, 8) | (field(code, 8, 1) << 14), 13, true);
    } else if (group == 12 || group == 13) {
        transfer_many(insn, true, field(code, 0, 8) | (field(code, 8, 1) << 15), 13, true);
    } else if (group == 10) {
        alu(insn, ES_KIND_DSP, rd, rm);
    } else if (group == 15) {
        insn->kind = field(code, 0, 4) == 0 ? ES_KIND_NOP : ES_KIND_IT;
        insn->reads |= insn->kind == ES_KIND_IT ? ES_FLAGS_MASK : 0;
    } else {
        insn->kind = ES_KIND_SYSTEM;
    }
}

static void decode_16(es_insn_t *insn, uint32_t code) {
    const uint32_t top = code >> 11;
    const uint32_t rd = reg(field(code, 0, 3));
    const uint32_t rn = reg(field(code, 3, 3));
    const uint32_t wide_rd = reg(field(code, 8, 3));
    if (top < 3) {
        alu(insn, ES_KIND_ALU, rd | ES_FLAGS_MASK, rn);
        insn->shifts = code >> 6 != 0; /* else MOVS */
    } else if (top == 3) {
        alu(insn, ES_KIND_ALU, rd | ES_FLAGS_MASK, rn | (field(code, 10, 1) != 0 ? 0 : reg(field(code, 6, 3))));
    } else if (top < 8) { /* MOV, CMP, ADD, SUB with 8 bits */
        alu(insn, ES_KIND_ALU, (top == 5 ? 0 : wide_rd) | ES_FLAGS_MASK, top == 4 ? 0 : wide_rd);
    } else if (top == 8 && field(code, 10, 1) == 0) {
        decode_register_operation(insn, code);
    } else if (top == 8) {
        decode_high_register(insn, code);
    } else if (top < 20) {
        decode_16_memory(insn, code);
    } else if (top < 22) {
        alu(insn, ES_KIND_ALU, wide_rd, top == 20 ? 0 : reg(13));
    } else if (top < 24) {
        decode_miscellaneous(insn, code);
    } else if (top < 26) {
        const uint32_t base = field(code, 8, 3);
        const uint32_t list = field(code, 0, 8);
        transfer_many(insn, top == 25, list, base, top == 24 || (list & reg(base)) == 0);
    } else if (top < 28 && field(code, 8, 4) < 14) {
        branch_to(insn, sign_extend(field(code, 0, 8), 8) * 2);
        insn->reads |= ES_FLAGS_MASK;
    } else if (top == 28) {
        branch_to(insn, sign_extend(field(code, 0, 11), 11) * 2);
        insn->always_branches = true;
    } else {
        insn->kind = ES_KIND_SYSTEM;
    }
}

/* --- 32 bits: a, b are the halves --------------------------------------------------------- */

static void decode_data_processing(es_insn_t *insn, uint32_t a, uint32_t b, bool has_rm) {
    enum {
        AND = 0,
        ORR = 2,
        ORN = 3,
        EOR = 4,
        PKH = 6,
        ADD = 8,
        ADC = 10,
        SBC = 11,
        SUB = 13
    };
    const uint32_t operation = field(a, 5, 4);
    const uint32_t rd = field(b, 8, 4);
    const bool sets_flags = field(a, 4, 1) != 0;
    const bool is_move = field(a, 0, 4) == ES_PC && (operation == ORR || operation == ORN);
    alu(insn, operation == PKH ? ES_KIND_DSP : ES_KIND_ALU, sets_flags ? reg_or_none(rd) : reg(rd),
        (is_move ? 0 : reg(field(a, 0, 4))) | (has_rm ? reg(field(b, 0, 4)) : 0));
    insn->writes |= sets_flags ? ES_FLAGS_MASK : 0;
    insn->reads |= operation == ADC || operation == SBC ? ES_FLAGS_MASK : 0;
    insn->shifts = has_rm && (field(b, 4, 4) != 0 || field(b, 12, 3) != 0) && (operation != PKH || (b & 0x70C0u) != 0);
}

static void decode_plain_immediate(es_insn_t *insn, uint32_t a, uint32_t b) {
    enum {
        MOVW = 4,
        MOVT = 12,
        FIRST_BIT_FIELD = 16,
        BFI = 22
    };
    const uint32_t operation = field(a, 4, 5);
    const uint32_t rd = reg(field(b, 8, 4));
    const uint32_t rn = reg_or_none(field(a, 0, 4));
    const uint32_t reads = operation == MOVW ? 0 : operation == MOVT ? rd : operation == BFI ? rd | rn : rn;
    alu(insn, operation >= FIRST_BIT_FIELD ? ES_KIND_EXTEND : ES_KIND_ALU, rd, reads);
}

static void decode_branch_or_control(es_insn_t *insn, uint32_t a, uint32_t b) {
    const uint32_t sign = field(a, 10, 1);
    const uint32_t j1 = field(b, 13, 1);
    const uint32_t j2 = field(b, 11, 1);
    const uint32_t low = field(b, 0, 11) << 1;
    if ((b & 0x1000u) != 0) { /* B and BL without condition */
        const uint32_t i1 = (j1 ^ sign) ^ 1u;
        const uint32_t i2 = (j2 ^ sign) ^ 1u;
        branch_to(insn, sign_extend((sign << 24) | (i1 << 23) | (i2 << 22) | (field(a, 0, 10) << 12) | low, 25));
        insn->always_branches = true;
        result(insn, (b & 0x4000u) != 0 ? reg(14) : 0);
    } else if (field(a, 7, 3) != 7) {
        branch_to(insn, sign_extend((sign << 20) | (j2 << 19) | (j1 << 18) | (field(a, 0, 6) << 12) | low, 21));
        insn->reads |= ES_FLAGS_MASK;
    } else {
        insn->kind = a == 0xF3BFu ? ES_KIND_BARRIER : a == 0xF3AFu ? ES_KIND_NOP : ES_KIND_SYSTEM;
    }
}

static void decode_dual_or_exclusive(es_insn_t *insn, uint32_t a, uint32_t b) {
    const bool load = field(a, 4, 1) != 0;
    const uint32_t rn = field(a, 0, 4);
    const uint32_t rt = field(b, 12, 4);
    if ((a & 0x0120u) != 0) { /* indexed or written back: LDRD, STRD */
        transfer_many(insn, load, reg(rt) | reg(field(b, 8, 4)), rn, field(a, 5, 1) != 0);
        insn->transfers = 2;
    } else if ((a & 0xFFF0u) == 0xE8D0u && (b & 0xFFE0u) == 0xF000u) {
        jump(insn, ES_KIND_BRANCH_TABLE);
        insn->base = reg_or_none(rn) | reg(field(b, 0, 4));
        insn->reads |= insn->base;
    } else {
        transfer(insn, load, rt, rn, 0, 0);
    }
}

static void decode_32_transfer(es_insn_t *insn, uint32_t a, uint32_t b) {
    const bool load = field(a, 4, 1) != 0;
    const uint32_t rn = field(a, 0, 4);
    const uint32_t rt = field(b, 12, 4);
    if (load && rt == ES_PC && field(a, 5, 2) < 2) {
        insn->kind = ES_KIND_NOP; /* PLD */
    } else if (rn == ES_PC || field(a, 7, 1) != 0) {
        transfer(insn, load, rt, rn, 0, (int32_t)field(b, 0, 12));
    } else if (field(b, 11, 1) != 0) {
        const int32_t distance = (int32_t)field(b, 0, 8) * (field(b, 9, 1) != 0 ? 1 : -1);
        transfer(insn, load, rt, rn, 0, field(b, 10, 1) != 0 ? distance : 0);
        insn->writes |= field(b, 8, 1) != 0 ? reg(rn) : 0;
    } else {
        transfer(insn, load, rt, rn, reg(field(b, 0, 4)), 0);
    }
}

static void decode_register_32(es_insn_t *insn, uint32_t a, uint32_t b) {
    const uint32_t rd = reg(field(b, 8, 4));
    const uint32_t rn = field(a, 0, 4);
    const uint32_t rm = reg(field(b, 0, 4));
    if (field(a, 7, 1) != 0) { /* parallel arithmetic, REV, CLZ and the like */
        alu(insn, ES_KIND_DSP, rd, reg(rn) | rm);
    } else if (field(b, 7, 1) != 0) { /* extension, with or without addition */
        alu(insn, ES_KIND_EXTEND, rd, reg_or_none(rn) | rm);
    } else {
        alu(insn, ES_KIND_ALU, rd, reg(rn) | rm);
        insn->writes |= field(a, 4, 1) != 0 ? ES_FLAGS_MASK : 0;
        insn->shifts = true;
    }
}

static void decode_multiply(es_insn_t *insn, uint32_t a, uint32_t b) {
    const uint32_t operation = field(a, 4, 3);
    insn->accumulates = reg_or_none(field(b, 12, 4));
    const uint32_t kind = operation != 0 ? ES_KIND_DSP_MUL : insn->accumulates != 0 ? ES_KIND_MLA : ES_KIND_MUL;
    alu(insn, kind, reg(field(b, 8, 4)), reg(field(a, 0, 4)) | reg(field(b, 0, 4)) | insn->accumulates);
}

static void decode_long_multiply(es_insn_t *insn, uint32_t a, uint32_t b) {
    const uint32_t operation = field(a, 4, 3);
    const uint32_t low = reg(field(b, 12, 4));
    const uint32_t high = reg(field(b, 8, 4));
    const uint32_t operands = reg(field(a, 0, 4)) | reg(field(b, 0, 4));
    if (operation == 1 || operation == 3) {
        alu(insn, ES_KIND_DIV, high, operands);
    } else if (operation == 0 || operation == 2) {
        alu(insn, ES_KIND_MULL, low | high, operands);
    } else {
        insn->accumulates = low | high;
        alu(insn, field(b, 4, 4) == 0 ? ES_KIND_MLAL : ES_KIND_DSP_MUL, low | high, low | high | operands);
    }
}

static void decode_32(es_insn_t *insn, uint32_t a, uint32_t b) {
    if ((a & 0xFE40u) == 0xE800u) {
        transfer_many(insn, field(a, 4, 1) != 0, b & 0xFFFFu, field(a, 0, 4), field(a, 5, 1) != 0);
    } else if ((a & 0xFE40u) == 0xE840u) {
        decode_dual_or_exclusive(insn, a, b);
    } else if ((a & 0xFE00u) == 0xEA00u) {
        decode_data_processing(insn, a, b, true);
    } else if ((a & 0xF800u) == 0xF000u && (b & 0x8000u) != 0) {
        decode_branch_or_control(insn, a, b);
    } else if ((a & 0xFA00u) == 0xF000u) {
        decode_data_processing(insn, a, b, false);
    } else if ((a & 0xFA00u) == 0xF200u) {
        decode_plain_immediate(insn, a, b);
    } else if ((a & 0xFE00u) == 0xF800u) {
        decode_32_transfer(insn, a, b);
    } else if ((a & 0xFF00u) == 0xFA00u) {
        decode_register_32(insn, a, b);
    } else if ((a & 0xFF80u) == 0xFB00u) {
        decode_multiply(insn, a, b);
    } else if ((a & 0xFF80u) == 0xFB80u) {
        decode_long_multiply(insn, a, b);
    }
}

void es_insn_decode(es_insn_t *insn, uint32_t address, const uint8_t *code, uint32_t bytes) {
    memset(insn, 0, sizeof(*insn));
    insn->address = address;
    insn->bytes = (uint8_t)bytes;
    const uint32_t first = code[0] | ((uint32_t)code[1] << 8);
    if (bytes == 2) {
        decode_16(insn, first);
    } else {
        decode_32(insn, first, code[2] | ((uint32_t)code[3] << 8));
    }
}
