# The native port: Python module _native, made by cffi over runtime, kernels, application and host/*.c.
# Included by the top CMakeLists.txt.
find_package(Python REQUIRED COMPONENTS Interpreter Development.Module)
if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release)
endif()

file(GLOB app_sources CONFIGURE_DEPENDS firmware/app/*.c)
list(FILTER app_sources EXCLUDE REGEX "/main\\.c$")
file(GLOB host_sources CONFIGURE_DEPENDS host/*.c)
add_library(es_native STATIC ${runtime_sources} ${app_sources} ${host_sources} "${build_id_source}")
add_dependencies(es_native es_build_id)
set_target_properties(es_native PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)
target_include_directories(es_native PUBLIC host)
target_link_libraries(es_native PUBLIC es_options)

# The generated file is cffi's: our warnings are not for it.
set(module_source "${PROJECT_BINARY_DIR}/_native.c")
file(GLOB_RECURSE module_inputs CONFIGURE_DEPENDS
    host/*.py host/*.h firmware/*.h firmware/*.def cmsis_kernels/*.h cmsis_kernels/*.def)
add_custom_command(OUTPUT "${module_source}"
    COMMAND "${Python_EXECUTABLE}" "${PROJECT_SOURCE_DIR}/host/build_native.py" "${module_source}"
    DEPENDS ${module_inputs} VERBATIM)
python_add_library(_native MODULE WITH_SOABI "${module_source}")
set_target_properties(_native PROPERTIES C_VISIBILITY_PRESET hidden)
target_include_directories(_native PRIVATE
    host cmsis_kernels/include cmsis_kernels/tables firmware/runtime firmware/port firmware/app)
target_link_libraries(_native PRIVATE $<TARGET_FILE:es_native> m)
add_dependencies(_native es_native)
install(TARGETS _native DESTINATION edgesparse)

include(host/plugin/plugin.cmake)

if(SKBUILD_STATE STREQUAL "wheel")
    include(host/wheel.cmake)
endif()
