#include "es_pair_words.h"

enum {
    COLUMN_WORDS = 4,
    COLUMN_BYTES = 16
};

/* Four rows, which make two words of each column. */
typedef struct {
    const uint8_t *row0, *row1, *row2, *row3;
} rows_t;

static void two_words(uint32_t *words, rows_t rows, uint32_t groups) {
    const uint32_t top = 0xff000000U;
    for (; groups != 0; groups--) {
        uint32_t a, b, c, d;
        es_load_step(rows.row0, 4, a);
        es_load_step(rows.row1, 4, b);
        es_load_step(rows.row2, 4, c);
        es_load_step(rows.row3, 4, d);
        es_store_pair(words, COLUMN_BYTES, es_sxtab(b << 24, a), es_sxtab(d << 24, c));
        es_store_pair(words, COLUMN_BYTES, es_sxtab_ror8(b << 16 & top, a), es_sxtab_ror8(d << 16 & top, c));
        es_store_pair(words, COLUMN_BYTES, es_sxtab_ror16(b << 8 & top, a), es_sxtab_ror16(d << 8 & top, c));
        es_store_pair(words, COLUMN_BYTES, es_sxtab_ror24(b & top, a), es_sxtab_ror24(d & top, c));
    }
}

void es_pair_words(uint32_t *words, const uint8_t *rows, uint32_t row_bytes, uint32_t present, uint32_t groups) {
    const uint8_t *row[2 * COLUMN_WORDS];
    for (uint32_t i = 0; i < 2 * COLUMN_WORDS; i++) {
        row[i] = rows + (i < present ? i : present - 1) * row_bytes;
    }
    two_words(words, (rows_t){row[0], row[1], row[2], row[3]}, groups);
    two_words(words + 2, (rows_t){row[4], row[5], row[6], row[7]}, groups);
}
