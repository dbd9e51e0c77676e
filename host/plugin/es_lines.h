/* The lines of flash that a core has at hand: a line buffer or a small cache, least recently used line goes first. */
#ifndef ES_LINES_H
#define ES_LINES_H

#include <stdbool.h>
#include <stdint.h>

#define ES_LINES_MAX 256u
#define ES_LINES_NONE UINT32_MAX
#define ES_LINES_GUESSES 1024u

typedef struct {
    uint32_t capacity;              /* lines, 1 to ES_LINES_MAX */
    uint32_t count;                 /* of them in use */
    uint32_t latest;                /* the line asked for last */
    uint32_t lines[ES_LINES_MAX];   /* their numbers */
    uint64_t used_at[ES_LINES_MAX]; /* when each was asked for last */
    uint64_t now;
    uint8_t guess[ES_LINES_GUESSES]; /* by the line's lowest bits: where it may be */
} es_lines_t;

void es_lines_init(es_lines_t *lines, uint32_t capacity);

/* Asks for a line; true if it was there. It is there afterwards. */
bool es_lines_touch(es_lines_t *lines, uint32_t line);

#endif
