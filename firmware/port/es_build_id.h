/* Which sources a build was made from; firmware/build_id.py says how. The definition is generated. */
#ifndef ES_BUILD_ID_H
#define ES_BUILD_ID_H

#include <stdint.h>

extern const uint8_t es_build_id[16];

/* CRC-32 of all .def tables, in the order of their paths: host and device agree on every id and record. */
extern const uint32_t es_tables_crc;

#endif
