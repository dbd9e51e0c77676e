/* Stands in for the application: known sequences, and beside each the cycles that it must cost on each modelled core.
 *
 * Costs are those of the sequence alone, from the rules of docs/cycle-model.md worked out by hand; 0: the core has not
 * the instructions. Sequences find r0 = a buffer whose first word is its own address, r2 = 0, and may change r0 to r3
 * and r12. Each is followed by a barrier, which keeps it apart from the return, and crosses no page.
 */
#include <string.h>

#include "es_port.h"

#define SEQUENCES(X)                                                                                        \
    /* name, M3, M4, M7, instructions */                                                                    \
    X(nothing, 0, 0, 0, "")                                                                                 \
    X(nothing_again, 0, 0, 0, "")                                                                           \
    X(nop_8, 8, 8, 4, ".rept 8; nop; .endr")                                                                \
    X(add_chain_8, 8, 8, 8, ".rept 8; adds r1, #1; .endr")                                                  \
    X(add_apart_8, 8, 8, 4, ".rept 4; adds r1, #1; adds r3, #1; .endr")                                     \
    X(shift_apart_4, 4, 4, 4, ".rept 2; lsls r1, r2, #1; lsls r3, r2, #1; .endr")                           \
    X(mul_chain_4, 4, 4, 7, ".rept 4; muls r1, r2, r1; .endr")                                              \
    X(mla_accumulate_4, 8, 4, 4, ".rept 4; mla r1, r2, r3, r1; .endr")                                      \
    X(smull_4, 16, 4, 4, ".rept 4; smull r1, r3, r2, r12; .endr")                                           \
    X(smlal_4, 24, 4, 4, ".rept 4; smlal r1, r3, r2, r12; .endr")                                           \
    X(smlad_4, 0, 4, 4, ".rept 4; smlad r1, r2, r3, r1; .endr")                                             \
    X(sxtb16_4, 0, 4, 4, ".rept 2; sxtb16 r1, r2; sxtb16 r3, r2; .endr")                                    \
    X(udiv, 7, 7, 7, "udiv r1, r2, r0")                                                                     \
    X(load_1, 3, 3, 1, "ldr r1, [r0]; nop")                                                                 \
    X(load_4, 5, 5, 2, "ldr r1, [r0]; ldr r3, [r0, #4]; ldr r1, [r0, #8]; ldr r3, [r0, #12]")               \
    X(load_4_one_bank, 5, 5, 4, "ldr r1, [r0]; ldr r3, [r0, #8]; ldr r1, [r0, #16]; ldr r3, [r0, #24]")     \
    X(load_chain_4, 8, 8, 7, "ldr r1, [r0]; .rept 3; ldr r1, [r1]; .endr")                                  \
    X(load_use_2, 6, 6, 5, ".rept 2; ldr r1, [r0]; adds r1, #1; .endr")                                     \
    X(load_then_store, 3, 3, 3, "ldr r1, [r0, r2]; str r1, [r0, #20]")                                      \
    X(load_then_store_indexed, 3, 3, 2, "ldr r1, [r0, r2]; str r0, [r0, r2]")                               \
    X(load_3, 4, 4, 2, "ldr r1, [r0, r2]; ldr r3, [r0]; ldr r1, [r0, #4]")                                  \
    X(load_write_back_4, 5, 5, 4, "ldr r1, [r0], #4; ldr r3, [r0], #4; ldr r1, [r0], #4; ldr r3, [r0], #4") \
    X(store_4, 4, 4, 4, "str r1, [r0, #4]; str r1, [r0, #8]; str r1, [r0, #12]; str r1, [r0, #16]")         \
    X(store_indexed, 3, 3, 1, "str r0, [r0, r2]; nop")                                                      \
    X(load_double, 3, 3, 2, "ldrd r1, r3, [r0]")                                                            \
    X(store_double, 3, 3, 2, "strd r1, r3, [r0, #8]")                                                       \
    X(load_multiple_3, 4, 4, 3, "ldmia r0, {r1, r3, r12}")                                                  \
    X(store_multiple_3, 4, 4, 3, "stmia r0, {r0, r1, r3}")                                                  \
    X(push_pop_4, 10, 10, 8, "push {r4-r7}; pop {r4-r7}")                                                   \
    X(address_from_alu_2, 8, 8, 3, ".rept 2; adds r0, #0; ldr r1, [r0]; .endr")                             \
    X(it_folded, 3, 3, 3, "cmp r2, #0; it eq; moveq r1, r3; nop")                                           \
    X(wide_8, 8, 8, 4, ".rept 8; mov.w r1, r2; .endr")                                                      \
    X(wide_unaligned_2, 4, 4, 2, "nop; .rept 2; mov.w r1, r2; .endr; nop")                                  \
    X(wide_unaligned_3, 6, 6, 3, "nop; .rept 3; mov.w r1, r2; .endr; nop")                                  \
    X(wide_unaligned_store_3, 5, 5, 3, "nop; .rept 3; str.w r1, [r0, #4]; .endr; nop")                      \
    X(wide_unaligned_store_4, 7, 7, 4, "nop; .rept 4; str.w r1, [r0, #4]; .endr; nop")                      \
    X(branch, 4, 4, 2, "b 1f; nop; 1: nop; nop")                                                            \
    X(branch_to_unaligned_wide, 5, 5, 2, "b 1f; 1: mov.w r1, r2; nop")                                      \
    X(branch_not_taken, 4, 4, 2, "cmp r2, #0; bne 1f; 1: nop; nop")                                         \
    X(loop_8, 25, 25, 9, "movs r1, #8; nop; 1: subs r1, #1; bne 1b")                                        \
    X(compare_and_branch, 4, 4, 2, "cbz r2, 1f; nop; 1: nop; nop")                                          \
    X(call, 9, 9, 4, "mov r12, lr; nop; bl leaf; mov lr, r12; nop")                                         \
    X(branch_table, 6, 6, 3, "tbb [pc, r2]; .byte 1, 1; 1: nop; nop")

#define CODE(name, m3, m4, m7, code)                                                                             \
    __attribute__((naked, noinline, aligned(64))) static void name(uint32_t *buffer, uint32_t r1, uint32_t r2) { \
        __asm volatile(code "\ndmb\nbx lr");                                                                     \
    }
SEQUENCES(CODE)

__asm(".pushsection .text.leaf, \"ax\", %progbits; .balign 64; .thumb_func; leaf: bx lr; .popsection");

typedef struct {
    const char *name;
    uint32_t cycles[3]; /* M3, M4, M7 */
    void (*code)(uint32_t *buffer, uint32_t r1, uint32_t r2);
} sequence_t;

#define ROW(name, m3, m4, m7, code) {#name, {m3, m4, m7}, name},
static const sequence_t sequences[] = {SEQUENCES(ROW)};

#define COUNT (sizeof(sequences) / sizeof(sequences[0]))

static uint32_t buffer[16];
static uint64_t ends[COUNT + 1];

static void send(const uint8_t *data, uint32_t bytes) {
    for (uint32_t sent = 0; sent < bytes;) {
        sent += es_port_write(data + sent, bytes - sent);
    }
}

static void send_text(const char *text) { send((const uint8_t *)text, (uint32_t)strlen(text)); }

static void send_number(uint64_t value) {
    char digits[24];
    uint32_t at = sizeof(digits) - 1;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    send_text(&digits[at]);
    send_text(" ");
}

void es_app_fault(uint32_t detail, uint32_t pc, uint32_t lr) {
    send_text("fault ");
    send_number(detail);
    send_number(pc);
    send_number(lr);
    send_text("\n");
    for (;;) {
        es_port_idle();
    }
}

/* A run as the cycle model sees it: each sequence in place of a node. */
__attribute__((noinline)) static void measure(void) {
    es_port_ticks_start();
    for (uint32_t i = 0; i < COUNT; i++) {
        buffer[0] = (uint32_t)(uintptr_t)buffer;
        sequences[i].code(buffer, 0, 0);
        ends[i] = es_port_ticks();
    }
    ends[COUNT] = es_port_ticks();
}

int main(void) {
    (void)es_port_init();
    for (uint32_t i = 0; i < COUNT; i++) {
        send_text(sequences[i].name);
        for (uint32_t core = 0; core < 3; core++) {
            send_text(" ");
            send_number(sequences[i].cycles[core]);
        }
        send_text("\n");
    }
    send_text("end\n");
    for (;;) {
        uint8_t command;
        if (es_port_read(&command, 1) == 1) {
            measure();
            for (uint32_t i = 0; i <= COUNT; i++) {
                send_number(ends[i]);
            }
            send_text("\n");
        } else {
            es_port_idle();
        }
    }
}
