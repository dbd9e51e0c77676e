/* CPU intrinsics, each with its plain C fallback of equal results.
 *
 * The only header, besides the other es_intrin_*.h and es_port.h, that asks which instruction set it is compiled for.
 * Names are those of the Armv7E-M instructions with the prefix es_. Packed operands are uint32_t: two int16 lanes (low =
 * bits 0..15)
 * or four bytes (byte 0 = bits 0..7). Sums wrap; nothing here is undefined for any operand.
 *
 * Memory is little-endian. Multi-byte accesses to bytes go through es_read_u32, es_write_u32 (any alignment) and
 * es_load_u32, es_load_pair (multiple of 4): no pointer to wider types is ever made from one to bytes.
 */
#ifndef ES_INTRIN_H
#define ES_INTRIN_H

#include <stdint.h>
#include <string.h>

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "images and kernels are little-endian"
#endif

/* Part of its caller: loops are put together from these. */
#define ES_INLINE static inline __attribute__((always_inline))
/* A function of its own, so that its loop has all registers. */
#define ES_APART static __attribute__((noinline))
/* Out of the way of the code that runs. */
#define ES_RARE static __attribute__((noinline, cold, unused))
#define ES_UNLIKELY(condition) __builtin_expect(!!(condition), 0)

/* Four bytes from an address of any alignment. */
ES_INLINE uint32_t es_read_u32(const void *address) {
    uint32_t value;
    memcpy(&value, address, sizeof value);
    return value;
}

/* Four bytes to an address of any alignment. */
ES_INLINE void es_write_u32(void *address, uint32_t value) { memcpy(address, &value, sizeof value); }

/* Four bytes from an address that is a multiple of 4. */
ES_INLINE uint32_t es_load_u32(const void *address) { return es_read_u32(__builtin_assume_aligned(address, 4)); }

/* Two bytes from an address of any alignment. */
ES_INLINE uint32_t es_read_u16(const void *address) {
    uint16_t value;
    memcpy(&value, address, sizeof value);
    return value;
}

/* Leading zero bits; 32 for 0. */
ES_INLINE uint32_t es_clz(uint32_t x) { return x == 0 ? 32 : (uint32_t)__builtin_clz(x); }

/* Trailing zero bits, of other words than 0. */
ES_INLINE uint32_t es_ctz(uint32_t x) { return (uint32_t)__builtin_ctz(x); }

/* Below, in both forms. a and b are operands, all names but these are the instruction's:
 *
 *   es_sxtb16(a), es_sxtb16_ror8(a)   bytes 0 and 2, or 1 and 3, to two lanes
 *   es_sxtab16[_ror8](a, b)           the same of b, each added to a lane of a
 *   es_uxtab[_ror8|16|24](a, b)       a + byte 0, 1, 2 or 3 of b
 *   es_sxtab[_ror8|16|24](a, b)      a + byte 0, 1, 2 or 3 of b as int8
 *   es_pkhbt(a, b), es_pkhtb(a, b)    the lower lanes of both, or the upper ones; a's below
 *   es_load_step(p, step, x)          word at p, a multiple of 4, to x; p moves on by `step` bytes, a constant
 *   es_load_pair(p, step, x, y)       two words, likewise
 *   es_store_pair(p, step, x, y)      two words from x and y, likewise
 *   es_insert11(x, bits)              x with bits 0..10 of `bits` in the place of its own
 *   es_shift_out(x, n)                x << n, n up to 32
 *   es_add_product(a, b, sum)         sum + a * b, one after the other: compilers add products up first, which costs more
 *   es_lower24(acc), es_upper24(acc)  acc = upper * 2^24 + lower taken apart, lower in -2^23..2^23-1; upper wraps
 *   es_max8(a, b)                     the greater of two int8 in each byte
 *   es_count_word(word, key, sum)     sum plus 1 in each byte that word and key have in common
 *   es_count_words(&p, key, sum)      the same for 16 words from p on, a multiple of 4, which moves on behind
 *                                     them
 *   es_near_to_zero(word, &near)      word with near->zero in each byte that lies near it; counts, see es_near_t
 *   es_mark_word(word, sum)           sum plus 1 for each byte of word that is -128 and 129 for each that is 127
 *   es_mark_words(&p, sum)            the same for 32 words from p on, a multiple of 4, which moves on behind them
 */

ES_INLINE int32_t es_lower24(int64_t acc) { return (int32_t)((uint32_t)(uint64_t)acc << 8) >> 8; }

/* What es_near_to_zero compares bytes with and becomes, four alike in a word each, and what it has counted. */
typedef struct {
    uint32_t zero;
    uint32_t low;    /* the least code that lies near it */
    uint32_t span;   /* from there to the greatest */
    uint32_t equal;  /* bytes that were `zero` */
    uint32_t within; /* bytes that are now */
} es_near_t;

/* In a block of several instructions an operand that is written before the last input is read has to be "+&r": the
 * compiler may else give it the register of an input that has the same value.
 */

#if defined(__thumb2__)

ES_INLINE uint32_t es_insert11(uint32_t x, int32_t bits) {
    __asm__("bfi %0, %1, #0, #11" : "+r"(x) : "r"(bits));
    return x;
}

ES_INLINE uint32_t es_shift_out(uint32_t x, uint32_t n) {
    uint32_t result;
    __asm__("lsl %0, %1, %2" : "=r"(result) : "r"(x), "r"(n));
    return result;
}

ES_INLINE uint32_t es_add_product(int32_t a, int32_t b, uint32_t sum) {
    __asm__("mla %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b));
    return sum;
}

#else

ES_INLINE uint32_t es_insert11(uint32_t x, int32_t bits) { return (x & ~0x7ffU) | ((uint32_t)bits & 0x7ffU); }

ES_INLINE uint32_t es_shift_out(uint32_t x, uint32_t n) { return n < 32 ? x << n : 0; }

ES_INLINE uint32_t es_add_product(int32_t a, int32_t b, uint32_t sum) { return sum + (uint32_t)a * (uint32_t)b; }

#endif

#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__)

#define ES_BINARY(name, type_out, type_a, type_b, text) \
    ES_INLINE type_out es_##name(type_a a, type_b b) {  \
        type_out result;                                \
        __asm__(text : "=r"(result) : "r"(a), "r"(b));  \
        return result;                                  \
    }
#define ES_MAC(name, text)                                                         \
    ES_INLINE int32_t es_##name(uint32_t a, uint32_t b, int32_t sum) {             \
        int32_t result;                                                            \
        __asm__(text " %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum)); \
        return result;                                                             \
    }
#define ES_UNARY(name, type_out, type_a, text) \
    ES_INLINE type_out es_##name(type_a a) {   \
        type_out result;                       \
        __asm__(text : "=r"(result) : "r"(a)); \
        return result;                         \
    }

ES_UNARY(sxtb16, uint32_t, uint32_t, "sxtb16 %0, %1")
ES_UNARY(sxtb16_ror8, uint32_t, uint32_t, "sxtb16 %0, %1, ror #8")
ES_UNARY(uxtb16, uint32_t, uint32_t, "uxtb16 %0, %1")
ES_UNARY(uxtb16_ror8, uint32_t, uint32_t, "uxtb16 %0, %1, ror #8")
ES_BINARY(sxtab16, uint32_t, uint32_t, uint32_t, "sxtab16 %0, %1, %2")
ES_BINARY(sxtab16_ror8, uint32_t, uint32_t, uint32_t, "sxtab16 %0, %1, %2, ror #8")
ES_BINARY(uxtab, uint32_t, uint32_t, uint32_t, "uxtab %0, %1, %2")
ES_BINARY(uxtab_ror8, uint32_t, uint32_t, uint32_t, "uxtab %0, %1, %2, ror #8")
ES_BINARY(uxtab_ror16, uint32_t, uint32_t, uint32_t, "uxtab %0, %1, %2, ror #16")
ES_BINARY(uxtab_ror24, uint32_t, uint32_t, uint32_t, "uxtab %0, %1, %2, ror #24")
ES_BINARY(sxtab, uint32_t, uint32_t, uint32_t, "sxtab %0, %1, %2")
ES_BINARY(sxtab_ror8, uint32_t, uint32_t, uint32_t, "sxtab %0, %1, %2, ror #8")
ES_BINARY(sxtab_ror16, uint32_t, uint32_t, uint32_t, "sxtab %0, %1, %2, ror #16")
ES_BINARY(sxtab_ror24, uint32_t, uint32_t, uint32_t, "sxtab %0, %1, %2, ror #24")
ES_BINARY(pkhbt, uint32_t, uint32_t, uint32_t, "pkhbt %0, %1, %2, lsl #16")
ES_BINARY(pkhtb, uint32_t, uint32_t, uint32_t, "pkhtb %0, %2, %1, asr #16")
ES_BINARY(uqsub8, uint32_t, uint32_t, uint32_t, "uqsub8 %0, %1, %2")
ES_UNARY(ssat8, int32_t, int32_t, "ssat %0, #8, %1")

/* a * b / 2^32 rounded half up, plus sum. */
ES_INLINE int32_t es_smmlar(int32_t a, int32_t b, int32_t sum) {
    int32_t result;
    __asm__("smmlar %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
}

/* Bit 23, the sign of the lower sum, leaves the shift as carry. */
ES_INLINE int32_t es_upper24(int64_t acc) {
    const uint32_t low = (uint32_t)(uint64_t)acc, high = (uint32_t)((uint64_t)acc >> 32);
    int32_t result;
    __asm__("lsrs %0, %1, #24\n\tadc %0, %0, %2, lsl #8" : "=&r"(result) : "r"(low), "r"(high) : "cc");
    return result;
}

ES_MAC(smlad, "smlad")
ES_MAC(smlabb, "smlabb")
ES_MAC(smlatb, "smlatb")
ES_MAC(smlatt, "smlatt")

#define es_load_step(pointer, step_bytes, value) \
    __asm__("ldr %0, [%1], %2"                   \
            : "=r"(value), "+r"(pointer)         \
            : "i"(step_bytes), "m"(*(const uint8_t (*)[4])(const void *)(pointer)))

#define es_load_pair(pointer, step_bytes, low, high) \
    __asm__("ldrd %0, %1, [%2], %3"                  \
            : "=r"(low), "=r"(high), "+r"(pointer)   \
            : "i"(step_bytes), "m"(*(const uint8_t (*)[8])(const void *)(pointer)))

#define es_store_pair(pointer, step_bytes, low, high)                 \
    __asm__("strd %2, %3, [%0], %4"                                   \
            : "+r"(pointer), "=m"(*(uint8_t (*)[8])(void *)(pointer)) \
            : "r"(low), "r"(high), "i"(step_bytes))

ES_INLINE uint32_t es_max8(uint32_t a, uint32_t b) {
    uint32_t result;
    __asm__("ssub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(result) : "r"(a), "r"(b) : "cc");
    return result;
}

/* The exclusive or of equal bytes is 0, and 1 - x saturates to 0 for all others. */
ES_INLINE uint32_t es_count_word(uint32_t word, uint32_t key, uint32_t sum) {
    return sum + es_uqsub8(0x01010101U, word ^ key);
}

#define ES_COUNT_WORD(word)             \
    "eor " word ", " word ", %2\n\t"    \
    "uqsub8 " word ", %3, " word "\n\t" \
    "add %0, %0, " word "\n\t"
#define ES_COUNT_WORDS                                                                              \
    "ldm %1!, {r4-r6, r8-r11, r12}\n\t" ES_COUNT_WORD("r4") ES_COUNT_WORD("r5") ES_COUNT_WORD("r6") \
        ES_COUNT_WORD("r8") ES_COUNT_WORD("r9") ES_COUNT_WORD("r10") ES_COUNT_WORD("r11") ES_COUNT_WORD("r12")

ES_INLINE uint32_t es_count_words(const int8_t **data, uint32_t key, uint32_t sum) {
    __asm__(ES_COUNT_WORDS ES_COUNT_WORDS
            : "+&r"(sum), "+&r"(*data)
            : "r"(key), "r"(0x01010101U), "m"(*(const uint8_t (*)[64]) * data)
            : "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12");
    return sum;
}

ES_INLINE uint32_t es_near_to_zero(uint32_t word, es_near_t *near) {
    uint32_t other;
    __asm__("eor %1, %0, %4\n\tuqsub8 %1, %7, %1\n\tusada8 %2, %1, %8, %2\n\t"
            "usub8 %1, %0, %5\n\tusub8 %1, %6, %1\n\tsel %1, %7, %8\n\tsel %0, %4, %0\n\tusada8 %3, %1, %8, %3"
            : "+&r"(word), "=&r"(other), "+&r"(near->equal), "+&r"(near->within)
            : "r"(near->zero), "r"(near->low), "r"(near->span), "r"(0x01010101U), "r"(0)
            : "cc");
    return word;
}

/* Half of x - 127 is at least -127 unless x is -128, and 0 only where x is 127; taken from 129 without sign, the ends
 * leave 1 and 129, and all others nothing.
 */
#define ES_MARK_WORD(word, ends, sum)         \
    "shadd8 " word ", " word ", " ends "\n\t" \
    "uqsub8 " word ", " ends ", " word "\n\t" \
    "usada8 " sum ", " word ", %[zero], " sum "\n\t"

ES_INLINE uint32_t es_mark_word(uint32_t word, uint32_t sum) {
    __asm__(ES_MARK_WORD("%0", "%[ends]", "%1") : "+&r"(word), "+&r"(sum) : [ends] "r"(0x81818181U), [zero] "r"(0));
    return sum;
}

#define ES_MARK_WORDS                                                                   \
    "ldm %[data]!, {r4, r5, r6, r8}\n\t" ES_MARK_WORD("r4", "%[ends]", "%[sum]")        \
        ES_MARK_WORD("r5", "%[ends]", "%[sum]") ES_MARK_WORD("r6", "%[ends]", "%[sum]") \
            ES_MARK_WORD("r8", "%[ends]", "%[sum]")

ES_INLINE uint32_t es_mark_words(const int8_t **data, uint32_t sum) {
    uint32_t left = 2;
    __asm__("1:\n\t" ES_MARK_WORDS ES_MARK_WORDS ES_MARK_WORDS ES_MARK_WORDS "subs %[left], %[left], #1\n\t"
            "bne 1b"
            : [sum] "+&r"(sum), [data] "+&r"(*data), [left] "+&r"(left)
            : [ends] "r"(0x81818181U), [zero] "r"(0), "m"(*(const uint8_t (*)[128]) * data)
            : "r4", "r5", "r6", "r8", "cc");
    return sum;
}

/* Keeps the compiler from seeing where a value comes from, so that it stays in a register of its own. */
#define es_opaque(variable) __asm__("" : "+r"(variable))

#else

ES_INLINE int32_t es_upper24(int64_t acc) {
    return (int32_t)((uint32_t)((uint64_t)acc >> 24) + ((uint32_t)(uint64_t)acc >> 23 & 1U));
}

ES_INLINE int32_t es_low16(uint32_t x) { return (int16_t)(x & 0xffffU); }

ES_INLINE int32_t es_high16(uint32_t x) { return (int16_t)(x >> 16); }

ES_INLINE uint32_t es_lanes(uint32_t low, uint32_t high) { return (low & 0xffffU) | (high << 16); }

ES_INLINE uint32_t es_sxtb16(uint32_t a) {
    return es_lanes((uint32_t)(int8_t)(a & 0xffU), (uint32_t)(int8_t)(a >> 16 & 0xffU));
}

ES_INLINE uint32_t es_sxtb16_ror8(uint32_t a) { return es_sxtb16(a >> 8); }

ES_INLINE uint32_t es_uxtb16(uint32_t a) { return a & 0x00ff00ffU; }

ES_INLINE uint32_t es_uxtb16_ror8(uint32_t a) { return a >> 8 & 0x00ff00ffU; }

ES_INLINE uint32_t es_sxtab16(uint32_t a, uint32_t b) {
    return es_lanes(a + es_sxtb16(b), (a >> 16) + (es_sxtb16(b) >> 16));
}

ES_INLINE uint32_t es_sxtab16_ror8(uint32_t a, uint32_t b) { return es_sxtab16(a, b >> 8); }

ES_INLINE uint32_t es_uxtab(uint32_t a, uint32_t b) { return a + (b & 0xffU); }

ES_INLINE uint32_t es_uxtab_ror8(uint32_t a, uint32_t b) { return a + (b >> 8 & 0xffU); }

ES_INLINE uint32_t es_uxtab_ror16(uint32_t a, uint32_t b) { return a + (b >> 16 & 0xffU); }

ES_INLINE uint32_t es_uxtab_ror24(uint32_t a, uint32_t b) { return a + (b >> 24); }

ES_INLINE uint32_t es_sxtab(uint32_t a, uint32_t b) {
    const int32_t byte = (int8_t)(b & 0xffU);
    return a + (uint32_t)byte;
}

ES_INLINE uint32_t es_sxtab_ror8(uint32_t a, uint32_t b) { return es_sxtab(a, b >> 8); }

ES_INLINE uint32_t es_sxtab_ror16(uint32_t a, uint32_t b) { return es_sxtab(a, b >> 16); }

ES_INLINE uint32_t es_sxtab_ror24(uint32_t a, uint32_t b) { return es_sxtab(a, b >> 24); }

ES_INLINE uint32_t es_pkhbt(uint32_t a, uint32_t b) { return es_lanes(a, b); }

ES_INLINE uint32_t es_pkhtb(uint32_t a, uint32_t b) { return es_lanes(a >> 16, b >> 16); }

/* |a * b| <= 2^62, so the product does not overflow. */
ES_INLINE int32_t es_smmlar(int32_t a, int32_t b, int32_t sum) {
    return (int32_t)(((uint64_t)((int64_t)a * b) + ((uint64_t)(uint32_t)sum << 32 | 0x80000000U)) >> 32);
}

#if defined(__ARM_FEATURE_SAT) && defined(__thumb2__)
ES_INLINE int32_t es_ssat8(int32_t a) {
    int32_t result;
    __asm__("ssat %0, #8, %1" : "=r"(result) : "r"(a));
    return result;
}
#else
ES_INLINE int32_t es_ssat8(int32_t a) { return a < -128 ? -128 : a > 127 ? 127 : a; }
#endif

/* A product of two int16 is at most 2^30 in size. */
ES_INLINE int32_t es_mac(int32_t a, int32_t b, int32_t sum) { return (int32_t)((uint32_t)sum + (uint32_t)(a * b)); }

ES_INLINE int32_t es_smlabb(uint32_t a, uint32_t b, int32_t sum) { return es_mac(es_low16(a), es_low16(b), sum); }

ES_INLINE int32_t es_smlatb(uint32_t a, uint32_t b, int32_t sum) { return es_mac(es_high16(a), es_low16(b), sum); }

ES_INLINE int32_t es_smlatt(uint32_t a, uint32_t b, int32_t sum) { return es_mac(es_high16(a), es_high16(b), sum); }

ES_INLINE int32_t es_smlad(uint32_t a, uint32_t b, int32_t sum) { return es_smlatt(a, b, es_smlabb(a, b, sum)); }

ES_INLINE uint32_t es_max8(uint32_t a, uint32_t b) {
    uint32_t result = 0;
    for (uint32_t bit = 0; bit < 32; bit += 8) {
        const int32_t x = (int8_t)(a >> bit & 0xffU), y = (int8_t)(b >> bit & 0xffU);
        result |= ((uint32_t)(x > y ? x : y) & 0xffU) << bit;
    }
    return result;
}

/* A byte's upper bit is set by adding 0x7f to its lower ones, unless they are all 0. */
ES_INLINE uint32_t es_count_word(uint32_t word, uint32_t key, uint32_t sum) {
    const uint32_t upper = 0x80808080U;
    const uint32_t x = word ^ key;
    return sum + ((upper & ~(((x & ~upper) + ~upper) | x)) >> 7);
}

ES_INLINE uint32_t es_count_words(const int8_t **data, uint32_t key, uint32_t sum) {
    for (uint32_t i = 0; i < 64; i += 16) {
        sum = es_count_word(es_load_u32(*data + i), key, sum);
        sum = es_count_word(es_load_u32(*data + i + 4), key, sum);
        sum = es_count_word(es_load_u32(*data + i + 8), key, sum);
        sum = es_count_word(es_load_u32(*data + i + 12), key, sum);
    }
    *data += 64;
    return sum;
}

/* Bytes are compared, and subtracted, with their upper bits apart, which a borrow would have to pass. */
ES_INLINE uint32_t es_near_to_zero(uint32_t word, es_near_t *near) {
    const uint32_t upper = 0x80808080U;
    const uint32_t above = ((word | upper) - (near->low & ~upper)) ^ (~(word ^ near->low) & upper);
    const uint32_t below = (near->span | upper) - (above & ~upper);
    const uint32_t ones = (((near->span & ~above) | (~(near->span ^ above) & below)) & upper) >> 7;
    near->equal += (es_count_word(word, near->zero, 0) * 0x01010101U) >> 24;
    near->within += (ones * 0x01010101U) >> 24;
    return word ^ ((word ^ near->zero) & ((ones << 8) - ones));
}

/* An end and its neighbour by the other end, x ^ 0x7f, are 0 and 255 but for the upper bit of each byte. */
ES_INLINE uint32_t es_mark_word(uint32_t word, uint32_t sum) {
    const uint32_t upper = 0x80808080U;
    const uint32_t folded = (word ^ (word >> 7 & 0x01010101U) * 0x7fU) & ~upper; /* 127 for both ends */
    const uint32_t ends = (folded + 0x01010101U) & upper;
    const uint32_t high = ends & ~word;
    const uint32_t low = (ends & word) >> 7;
    sum += (low * 0x01010101U) >> 24;
    return sum + 129U * ((high >> 7) * 0x01010101U >> 24);
}

ES_INLINE uint32_t es_mark_words(const int8_t **data, uint32_t sum) {
    for (uint32_t i = 0; i < 128; i += 4) {
        sum = es_mark_word(es_load_u32(*data + i), sum);
    }
    *data += 128;
    return sum;
}

#define es_load_step(pointer, step_bytes, value)                                             \
    do {                                                                                     \
        (value) = es_load_u32(pointer);                                                      \
        (pointer) = (const void *)((const uint8_t *)(const void *)(pointer) + (step_bytes)); \
    } while (0)

#define es_load_pair(pointer, step_bytes, low, high)                                         \
    do {                                                                                     \
        (low) = es_load_u32(pointer);                                                        \
        (high) = es_load_u32((const uint8_t *)(const void *)(pointer) + 4);                  \
        (pointer) = (const void *)((const uint8_t *)(const void *)(pointer) + (step_bytes)); \
    } while (0)

#define es_store_pair(pointer, step_bytes, low, high)                      \
    do {                                                                   \
        es_write_u32(pointer, low);                                        \
        es_write_u32((uint8_t *)(void *)(pointer) + 4, high);              \
        (pointer) = (void *)((uint8_t *)(void *)(pointer) + (step_bytes)); \
    } while (0)

#define es_opaque(variable) ((void)(variable))

#endif

#endif
