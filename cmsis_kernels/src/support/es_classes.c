#include "es_classes.h"

es_classes_t es_classes_of(const es_conv_params_t *params, const es_channel_t *channels, const int8_t *output) {
    es_classes_t classes = {NULL, NULL, output, (uint32_t)params->out_c, params->classes};
    if (ES_HAS_classes && classes.count != 0) {
        classes.amounts = (const int16_t *)(const void *)(channels + classes.rows);
        classes.positions = (const uint8_t *)(classes.amounts + classes.count * classes.rows);
    }
    return classes;
}

const uint8_t *es_classes_at(const es_classes_t *classes, const int8_t *output) {
    return classes->positions + (uint32_t)(output - classes->output) / classes->rows;
}

bool es_classes_matter(const es_classes_t *classes, uint32_t row, uint32_t rows) {
    for (uint32_t of = 0; of < classes->count; of++) {
        const int16_t *amount = es_classes_amounts(classes, of, row);
        for (uint32_t i = 0; i < rows; i++) {
            if (amount[i] != 0) {
                return true;
            }
        }
    }
    return false;
}
