# The cycle model, a plugin for QEMU: es_cycles.so beside the native module. Included by host/native.cmake.
# QEMU's functions are found when QEMU loads it.
file(GLOB plugin_sources CONFIGURE_DEPENDS host/plugin/*.c)
add_library(es_cycles MODULE ${plugin_sources})
set_target_properties(es_cycles PROPERTIES PREFIX "" SUFFIX ".so" C_VISIBILITY_PRESET hidden)
target_link_libraries(es_cycles PRIVATE es_options)
install(TARGETS es_cycles DESTINATION edgesparse/_plugin)
