#include "es_lines.h"

#include <string.h>

void es_lines_init(es_lines_t *lines, uint32_t capacity) {
    memset(lines, 0, sizeof(*lines));
    lines->capacity = capacity;
    lines->latest = ES_LINES_NONE;
}

bool es_lines_touch(es_lines_t *lines, uint32_t line) {
    if (line == lines->latest) {
        return true;
    }
    lines->latest = line;
    lines->now++;
    uint8_t *guess = &lines->guess[line % ES_LINES_GUESSES];
    if (*guess < lines->count && lines->lines[*guess] == line) {
        lines->used_at[*guess] = lines->now;
        return true;
    }
    uint32_t oldest = 0;
    for (uint32_t i = 0; i < lines->count; i++) {
        if (lines->lines[i] == line) {
            lines->used_at[i] = lines->now;
            *guess = (uint8_t)i;
            return true;
        }
        oldest = lines->used_at[i] < lines->used_at[oldest] ? i : oldest;
    }
    const uint32_t slot = lines->count < lines->capacity ? lines->count++ : oldest;
    lines->lines[slot] = line;
    *guess = (uint8_t)slot;
    lines->used_at[slot] = lines->now;
    return false;
}
