/* What every Cortex-M board shares: start, faults, reset, and the facts that the linker knows. */
#ifndef ES_CORTEX_M_H
#define ES_CORTEX_M_H

#include "es_port.h"

/* Fills in what board.json and the linker script say: names, instruction set, memory, boot_count; and as reset_reason
 * what is known of it without the board: unknown for a pin or a watchdog. Counts a start: call it once, from es_port_init(). Leaves the time base (unit, tick_rate_hz) alone.
 */
void es_cortex_m_describe(es_port_info_t *info);

/* Restarts the processor at once. Does not return. */
__attribute__((noreturn)) void es_cortex_m_reset(void);

/* Makes a stack that has grown too far fault instead of running into nothing. Called first after reset, before there
 * are variables. In the folder of the architecture, armv7m or armv8m, that board.json names.
 */
void es_cortex_m_guard_stack(void);

/* Sleeps until external interrupt `irq` is pending; returns at once if it is. No handler ever runs, since interrupts
 * stay masked: the peripheral must hold its line up until it has been served.
 */
void es_cortex_m_wait_irq(uint32_t irq);

#endif
