/* Makes C structs of the rows included next, as in tables/params.def: struct name becomes es_<name>_t, of the size that
 * its row promises. es_structs_end.h ends it. Has no include guard: each set of tables includes it once more.
 */
#define ES_STRUCT(name) typedef struct {
#define ES_FIELD(type, name, doc) es_##type##_t name;
#define ES_ARRAY(type, count, name, doc) es_##type##_t name[count];
#define ES_END(name, bytes) \
    }                       \
    es_##name##_t;          \
    static_assert(sizeof(es_##name##_t) == (bytes), "size of es_" #name "_t");
