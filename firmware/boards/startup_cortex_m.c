#include "cortex_m.h"
#include "es.h"
#include "es_paint.h"

#define BOOT_MAGIC 0x45534254u /* in .noinit after the first start since power-on */
#define PAINT_BELOW 128        /* bytes of stack that the start itself may use */

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define NVIC_ISER 0xE000E100u
#define NVIC_ICPR 0xE000E280u
#define SCB_AIRCR REGISTER(0xE000ED0Cu)
#define SCB_AIRCR_RESET 0x05FA0004u /* key, SYSRESETREQ */
#define SCB_CFSR REGISTER(0xE000ED28u)
#define SCB_HFSR REGISTER(0xE000ED2Cu)

/* From the linker script. Only their addresses mean anything. */
extern uint8_t __es_stack_bottom[], __es_stack_top[];
extern const uint32_t __es_data_load[];
extern uint32_t __es_data_start[], __es_data_end[], __es_bss_start[], __es_bss_end[];
extern uint8_t __es_arena_start[], __es_arena_end[], __es_batch_start[], __es_batch_end[];
extern const uint8_t __es_model_start[], __es_model_end[];

int main(void);
void es_reset_handler(void);
void es_fault_handler(uint32_t pc, uint32_t lr);

static struct {
    uint32_t magic;
    uint32_t count;
    uint32_t reset_reason; /* of the next start, as far as this one has brought it about */
} boot __attribute__((section(".noinit")));

/* All faults arrive as HardFault, since the others are never enabled. The stack may be what broke, so this takes
 * the interrupted pc and lr from it, if they can be there, and starts a new one.
 */
__attribute__((naked)) static void fault_entry(void) {
    __asm volatile("mrs r3, msp\n"
                   "movs r0, #0\n"
                   "movs r1, #0\n"
                   "ldr r2, =__es_stack_bottom\n"
                   "cmp r3, r2\n"
                   "blo 1f\n"
                   "ldr r0, [r3, #24]\n"
                   "ldr r1, [r3, #20]\n"
                   "1: ldr r2, =__es_stack_top\n"
                   "msr msp, r2\n"
                   "b es_fault_handler\n");
}

/* Reports the configurable fault status, or the hard fault status where that one says nothing. */
void es_fault_handler(uint32_t pc, uint32_t lr) {
    const uint32_t configurable = SCB_CFSR;
    boot.reset_reason = ES_RESET_fault;
    es_app_fault(configurable != 0 ? configurable : SCB_HFSR, pc, lr);
    es_port_reset();
}

/* Paints the stack below this function's own part of it. */
static void paint_stack(void) {
    const uint8_t *here = __builtin_frame_address(0);
    for (uint8_t *byte = __es_stack_bottom; byte < here - PAINT_BELOW; byte++) {
        *byte = ES_PAINT;
    }
}

void es_reset_handler(void) {
    __asm volatile("cpsid i");
    es_cortex_m_guard_stack();
    paint_stack();
    const uint32_t *load = __es_data_load;
    for (uint32_t *word = __es_data_start; word < __es_data_end; word++) {
        *word = *load++;
    }
    for (uint32_t *word = __es_bss_start; word < __es_bss_end; word++) {
        *word = 0;
    }
    (void)main();
    es_port_reset();
}

/* The processor's own exceptions: reset, then what can only be a fault here. Interrupts stay masked, so no further
 * vector is ever taken.
 */
static const struct {
    uint8_t *stack_top;
    void (*handlers[15])(void);
} vectors __attribute__((section(".vectors"), used)) = {
    .stack_top = __es_stack_top,
    .handlers = {[0] = es_reset_handler, [1 ... 14] = fault_entry},
};

static es_region_t region_between(uint8_t *start, const uint8_t *end) {
    const es_region_t region = {.base = start, .bytes = (uint32_t)((uintptr_t)end - (uintptr_t)start)};
    return region;
}

void es_cortex_m_describe(es_port_info_t *info) {
    if (boot.magic != BOOT_MAGIC) {
        boot.magic = BOOT_MAGIC;
        boot.count = 0;
        boot.reset_reason = ES_RESET_power_on;
    }
    if (boot.count < UINT16_MAX) {
        boot.count++;
    }
    info->board = ES_BOARD_NAME;
    info->cpu = ES_BOARD_CPU;
    info->isa = ES_BOARD_ISA;
    info->boot_count = (uint16_t)boot.count;
    info->reset_reason = (uint8_t)boot.reset_reason;
    boot.reset_reason = ES_RESET_unknown;
    info->stack = region_between(__es_stack_bottom, __es_stack_top);
    info->model = __es_model_start;
    info->model_bytes = (uint32_t)((uintptr_t)__es_model_end - (uintptr_t)__es_model_start);
    info->arena = region_between(__es_arena_start, __es_arena_end);
    info->batch = region_between(__es_batch_start, __es_batch_end);
}

void es_cortex_m_wait_irq(uint32_t irq) {
    const uint32_t word_off = irq / 32u * 4u;
    REGISTER(NVIC_ISER + word_off) = 1u << irq % 32u;
    REGISTER(NVIC_ICPR + word_off) = 1u << irq % 32u;
    __asm volatile("dsb\nwfi" ::: "memory");
}

void es_cortex_m_reset(void) {
    if (boot.reset_reason == ES_RESET_unknown) {
        boot.reset_reason = ES_RESET_software;
    }
    __asm volatile("dsb" ::: "memory");
    SCB_AIRCR = SCB_AIRCR_RESET;
    for (;;) {
        __asm volatile("dsb");
    }
}
