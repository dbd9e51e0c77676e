/* STM32F405, in QEMU and on silicon alike: the firmware finds out where it is by what answers.
 *
 * On silicon the PLL runs from the internal oscillator, so that no crystal matters, and cycles are counted. QEMU has
 * neither clock control (it reads 0 whatever is written) nor a cycle counter: there instructions are counted.
 */
#include <stdbool.h>
#include <string.h>

#include "cortex_m.h"
#include "es.h"
#include "stm32f405.h"

#define HSI_HZ 16000000u
#define PLL_HZ 168000000u
/* 16 MHz / 8 * 168 / 2; 7 makes 48 MHz for USB. 168 MHz need voltage scale 1, as it is after reset. */
#define PLL_8_168_2_7 (8u | 168u << 6 | 0u << 16 | 7u << 24)
#define POLLS_MAX 20000u /* the PLL locks within 300 us, 4800 cycles */
#define BAUD_HZ 115200u

/* With -icount shift=6 an instruction takes 64 ns, and QEMU has TIM2 run from 1 GHz. */
#define TIM2_PRESCALER 63u
#define INSTRUCTIONS_PER_SECOND 15625000u

static es_port_info_t info;
static uint8_t outgoing[256];            /* what the DMA is sending */
static bool has_dma;                     /* QEMU has none */
static const volatile uint32_t *counter; /* of cycles or instructions */
static uint64_t counted;                 /* since the start, as of the last reading */
static uint32_t last;                    /* reading of the counter */

static bool becomes(const volatile uint32_t *address, uint32_t mask, uint32_t value) {
    for (uint32_t polls = 0; polls < POLLS_MAX; polls++) {
        if ((*address & mask) == value) {
            return true;
        }
    }
    return false;
}

/* Returns the processor's clock. Stays with the internal oscillator where flash or PLL do not answer. */
static uint32_t start_clock(void) {
    FLASH_ACR = FLASH_ACR_CACHES | FLASH_ACR_LATENCY_5;
    if (!becomes(&FLASH_ACR, FLASH_ACR_LATENCY_MASK, FLASH_ACR_LATENCY_5)) {
        return HSI_HZ;
    }
    RCC_PLLCFGR = PLL_8_168_2_7;
    RCC_CR |= RCC_CR_PLL_ON;
    if (!becomes(&RCC_CR, RCC_CR_PLL_READY, RCC_CR_PLL_READY)) {
        return HSI_HZ;
    }
    RCC_CFGR = RCC_CFGR_APB1_BY_4 | RCC_CFGR_APB2_BY_2 | RCC_CFGR_SW_PLL;
    if (!becomes(&RCC_CFGR, RCC_CFGR_SWS_MASK, RCC_CFGR_SWS_PLL)) {
        RCC_CFGR = 0;
        return HSI_HZ;
    }
    return PLL_HZ;
}

/* PA9 sends, PA10 receives, pulled up. */
static void start_uart(uint32_t clock_hz) {
    const uint32_t uart_hz = clock_hz == PLL_HZ ? PLL_HZ / 2u : clock_hz;
    RCC_AHB1ENR |= RCC_AHB1ENR_GPIOA;
    RCC_APB2ENR |= RCC_APB2ENR_USART1;
    (void)RCC_APB2ENR; /* a peripheral answers two cycles after its clock has started */
    GPIOA_PUPDR = (GPIOA_PUPDR & ~(15u << 18)) | 1u << 20;
    GPIOA_AFRH = (GPIOA_AFRH & ~(255u << 4)) | 7u << 4 | 7u << 8;
    GPIOA_MODER = (GPIOA_MODER & ~(15u << 18)) | 2u << 18 | 2u << 20;
    USART1_BRR = (uart_hz + BAUD_HZ / 2u) / BAUD_HZ;
    USART1_CR1 = USART_CR1_ON;
    RCC_AHB1ENR |= RCC_AHB1ENR_DMA2;
    (void)RCC_AHB1ENR;
    DMA2_S7CR = DMA2_S7CR_TO_USART1;
    has_dma = DMA2_S7CR == DMA2_S7CR_TO_USART1;
    if (has_dma) {
        DMA2_S7PAR = USART1_DR_ADDRESS;
        USART1_CR3 |= USART_CR3_TX_DMA;
    }
}

static bool start_cycle_counter(void) {
    DEMCR |= DEMCR_TRACE_ON;
    DWT_CTRL |= DWT_CTRL_CYCCNT_ON;
    const uint32_t first = DWT_CYCCNT;
    return DWT_CYCCNT != first;
}

static void start_timer(void) {
    RCC_APB1ENR |= RCC_APB1ENR_TIM2;
    TIM2_PSC = TIM2_PRESCALER;
    TIM2_EGR = TIM2_EGR_UPDATE;
    TIM2_CR1 = TIM2_CR1_ON;
}

/* The flags tell on silicon what the memory of the start before cannot; in QEMU they read 0. */
static void refine_reset_reason(void) {
    const uint32_t flags = RCC_CSR;
    RCC_CSR = RCC_CSR_CLEAR;
    if (info.reset_reason != ES_RESET_unknown) {
        return;
    }
    if ((flags & RCC_CSR_WATCHDOGS) != 0) {
        info.reset_reason = ES_RESET_watchdog;
    } else if ((flags & RCC_CSR_BROWN_OUT) != 0) {
        info.reset_reason = ES_RESET_brown_out;
    } else if ((flags & RCC_CSR_PIN) != 0) {
        info.reset_reason = ES_RESET_pin;
    }
}

const es_port_info_t *es_port_init(void) {
    const uint32_t clock_hz = start_clock();
    start_uart(clock_hz);
    es_cortex_m_describe(&info);
    refine_reset_reason();
    if (start_cycle_counter()) {
        counter = &DWT_CYCCNT;
        info.unit = ES_UNIT_cycles;
        info.tick_rate_hz = clock_hz;
    } else {
        start_timer();
        counter = &TIM2_CNT;
        info.unit = ES_UNIT_instructions;
        info.tick_rate_hz = INSTRUCTIONS_PER_SECOND;
    }
    es_port_ticks_start();
    return &info;
}

static uint32_t write_polled(const uint8_t *data, uint32_t bytes) {
    uint32_t taken = 0;
    while (taken < bytes && (USART1_SR & USART_SR_TX_EMPTY) != 0) {
        USART1_DR = data[taken++];
    }
    return taken;
}

/* The DMA goes on while inferences run, one byte in 87 us, without a turn of the processor. */
uint32_t es_port_write(const uint8_t *data, uint32_t bytes) {
    if (!has_dma) {
        return write_polled(data, bytes);
    }
    if ((DMA2_S7CR & DMA2_S7CR_ON) != 0 || bytes == 0) {
        return 0;
    }
    const uint32_t taken = bytes < sizeof(outgoing) ? bytes : (uint32_t)sizeof(outgoing);
    memcpy(outgoing, data, taken);
    DMA2_HIFCR = DMA2_HIFCR_STREAM_7;
    DMA2_S7M0AR = (uint32_t)(uintptr_t)outgoing;
    DMA2_S7NDTR = taken;
    USART1_SR = ~USART_SR_TX_DONE; /* until the last bit of these has left */
    __asm volatile("dsb" ::: "memory");
    DMA2_S7CR = DMA2_S7CR_TO_USART1 | DMA2_S7CR_ON;
    return taken;
}

uint32_t es_port_read(uint8_t *data, uint32_t capacity_bytes) {
    uint32_t bytes = 0;
    while (bytes < capacity_bytes && (USART1_SR & USART_SR_RX_FULL) != 0) {
        data[bytes++] = (uint8_t)USART1_DR;
    }
    return bytes;
}

void es_port_ticks_start(void) {
    counted = 0;
    last = *counter;
}

/* Either counter makes one tick a unit, so that differences are exact in any phase. */
uint64_t es_port_ticks(void) {
    const uint32_t now = *counter;
    counted += (uint32_t)(now - last);
    last = now;
    return counted;
}

/* Time asleep does not count. */
void es_port_idle(void) {
    (void)es_port_ticks();
    es_cortex_m_wait_irq(USART1_IRQ);
    last = *counter;
}

void es_port_reset(void) {
    while ((DMA2_S7CR & DMA2_S7CR_ON) != 0) {
    }
    while ((USART1_SR & USART_SR_TX_DONE) == 0) {
    }
    es_cortex_m_reset();
}
