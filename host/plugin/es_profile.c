#include "es_profile.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FUNCTIONS_MAX 8192u

static struct {
    uint32_t starts[FUNCTIONS_MAX];
    uint32_t count;
    uint32_t nodes;
    int64_t *cycles; /* [node][function] of the run; joined blocks may cost less than they were charged */
    uint64_t charged;
} profile;

bool es_profile_read(const char *path) {
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    uint32_t start = 0;
    bool ascends = true;
    profile.count = 0;
    while (ascends && profile.count < FUNCTIONS_MAX && fscanf(file, "%" SCNu32, &start) == 1) {
        ascends = profile.count == 0 ? start == 0 : start > profile.starts[profile.count - 1u];
        profile.starts[profile.count++] = start;
    }
    const bool is_whole = feof(file) != 0;
    fclose(file);
    return ascends && is_whole && profile.count > 0;
}

bool es_profile_init(uint32_t nodes) {
    profile.nodes = nodes + 1u;
    profile.cycles = calloc((size_t)profile.nodes * profile.count, sizeof(*profile.cycles));
    return profile.cycles != NULL;
}

bool es_profile_is_on(void) { return profile.count > 0; }

uint32_t es_profile_find(uint32_t address) {
    uint32_t low = 0;
    uint32_t high = profile.count;
    while (high - low > 1u) {
        const uint32_t middle = (low + high) / 2u;
        if (profile.starts[middle] <= address) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

void es_profile_begin(uint64_t cycles) {
    memset(profile.cycles, 0, (size_t)profile.nodes * profile.count * sizeof(*profile.cycles));
    profile.charged = cycles;
}

void es_profile_charge(uint32_t node, uint32_t function, uint64_t cycles) {
    if (node < profile.nodes) {
        profile.cycles[(size_t)node * profile.count + function] += (int64_t)(cycles - profile.charged);
    }
    profile.charged = cycles;
}

void es_profile_print(FILE *out) {
    const char *comma = "";
    for (uint32_t node = 0; node < profile.nodes; node++) {
        for (uint32_t function = 0; function < profile.count; function++) {
            const int64_t cycles = profile.cycles[(size_t)node * profile.count + function];
            if (cycles != 0) {
                fprintf(out, "%s[%" PRIu32 ", %" PRIu32 ", %" PRId64 "]", comma, node, function, cycles);
                comma = ", ";
            }
        }
    }
}
