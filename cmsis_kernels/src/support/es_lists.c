#include "es_lists.h"

#include "es_intrin_lists.h" /* defines es_lists_add */
