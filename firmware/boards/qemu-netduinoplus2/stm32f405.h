/* The registers of the STM32F405 that this board uses (ST RM0090). */
#ifndef ES_STM32F405_H
#define ES_STM32F405_H

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

#define RCC_CR REGISTER(0x40023800u)
#define RCC_CR_PLL_ON (1u << 24)
#define RCC_CR_PLL_READY (1u << 25)
#define RCC_PLLCFGR REGISTER(0x40023804u)
#define RCC_CFGR REGISTER(0x40023808u)
#define RCC_CFGR_SW_PLL 2u
#define RCC_CFGR_SWS_MASK (3u << 2)
#define RCC_CFGR_SWS_PLL (2u << 2)
#define RCC_CFGR_APB1_BY_4 (5u << 10)
#define RCC_CFGR_APB2_BY_2 (4u << 13)
#define RCC_AHB1ENR REGISTER(0x40023830u)
#define RCC_AHB1ENR_GPIOA 1u
#define RCC_AHB1ENR_DMA2 (1u << 22)
#define RCC_APB1ENR REGISTER(0x40023840u)
#define RCC_APB1ENR_TIM2 1u
#define RCC_APB2ENR REGISTER(0x40023844u)
#define RCC_APB2ENR_USART1 (1u << 4)
#define RCC_CSR REGISTER(0x40023874u)
#define RCC_CSR_CLEAR (1u << 24)
#define RCC_CSR_BROWN_OUT (1u << 25)
#define RCC_CSR_PIN (1u << 26)
#define RCC_CSR_WATCHDOGS (3u << 29) /* independent, window */

#define FLASH_ACR REGISTER(0x40023C00u)
#define FLASH_ACR_LATENCY_MASK 7u
#define FLASH_ACR_LATENCY_5 5u
#define FLASH_ACR_CACHES (7u << 8) /* prefetch, instruction and data cache */

#define GPIOA_MODER REGISTER(0x40020000u)
#define GPIOA_PUPDR REGISTER(0x4002000Cu)
#define GPIOA_AFRH REGISTER(0x40020024u)

#define USART1_SR REGISTER(0x40011000u)
#define USART_SR_RX_FULL (1u << 5)
#define USART_SR_TX_DONE (1u << 6)
#define USART_SR_TX_EMPTY (1u << 7)
#define USART1_DR_ADDRESS 0x40011004u
#define USART1_DR REGISTER(USART1_DR_ADDRESS)
#define USART1_BRR REGISTER(0x40011008u)
#define USART1_CR1 REGISTER(0x4001100Cu)
#define USART_CR1_ON 0x202Cu /* enable, interrupt on receive, transmit, receive */
#define USART1_CR3 REGISTER(0x40011014u)
#define USART_CR3_TX_DMA (1u << 7)
#define USART1_IRQ 37u

/* Stream 7, whose channel 4 is USART1's transmitter. */
#define DMA2_HIFCR REGISTER(0x4002640Cu)
#define DMA2_HIFCR_STREAM_7 (0x3Du << 22)
#define DMA2_S7CR REGISTER(0x400264B8u)
#define DMA2_S7CR_ON 1u
#define DMA2_S7CR_TO_USART1 (4u << 25 | 1u << 10 | 1u << 6) /* channel, next byte each time, from memory */
#define DMA2_S7NDTR REGISTER(0x400264BCu)
#define DMA2_S7PAR REGISTER(0x400264C0u)
#define DMA2_S7M0AR REGISTER(0x400264C4u)

#define TIM2_CR1 REGISTER(0x40000000u)
#define TIM2_CR1_ON 1u
#define TIM2_EGR REGISTER(0x40000014u)
#define TIM2_EGR_UPDATE 1u
#define TIM2_CNT REGISTER(0x40000024u)
#define TIM2_PSC REGISTER(0x40000028u)

#define DEMCR REGISTER(0xE000EDFCu)
#define DEMCR_TRACE_ON (1u << 24)
#define DWT_CTRL REGISTER(0xE0001000u)
#define DWT_CTRL_CYCCNT_ON 1u
#define DWT_CYCCNT REGISTER(0xE0001004u)

#endif
