/* Stack guard of ARMv7-M: an MPU region below the stack that nothing may touch. */
#include <stdint.h>

#include "cortex_m.h"

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define MPU_TYPE REGISTER(0xE000ED90u)
#define MPU_CTRL REGISTER(0xE000ED94u)
#define MPU_CTRL_ON 5u /* enable; all that no region covers stays as it is */
#define MPU_RNR REGISTER(0xE000ED98u)
#define MPU_RBAR REGISTER(0xE000ED9Cu)
#define MPU_RASR REGISTER(0xE000EDA0u)
#define MPU_RASR_GUARD 0x1000000Fu /* no access, no execution; 256 bytes, as in the linker script */

extern uint8_t __es_stack_guard[];

/* Cores without MPU go without. */
void es_cortex_m_guard_stack(void) {
    if (MPU_TYPE == 0) {
        return;
    }
    MPU_RNR = 0;
    MPU_RBAR = (uint32_t)(uintptr_t)__es_stack_guard;
    MPU_RASR = MPU_RASR_GUARD;
    MPU_CTRL = MPU_CTRL_ON;
    __asm volatile("dsb\nisb" ::: "memory");
}
