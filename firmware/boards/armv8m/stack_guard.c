/* Stack guard of ARMv8-M Mainline: the processor's own limit of the stack pointer. */
#include <stdint.h>

#include "cortex_m.h"

extern uint8_t __es_stack_guard[];

/* The limit lies below the guard, so that a fault finds the stack pointer outside the stack, as with an MPU. */
void es_cortex_m_guard_stack(void) { __asm volatile("msr msplim, %0" ::"r"(__es_stack_guard) : "memory"); }
