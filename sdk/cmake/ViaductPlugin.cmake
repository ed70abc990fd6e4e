# How a plugin is built, in Viaduct's own tree and outside of it (find_package(Viaduct)).
#
#   viaduct_add_plugin(name
#     SOURCES plugin.cc ...          # C or C++
#     [SCHEMA config.schema.json]    # its text becomes a header, see below
#     [LIBS ...]                     # static libraries must be position independent
#     [INCLUDES ...])
#
# Makes the module `name`.so (no "lib" before it: the host finds a plugin by this name), in
# ${VIADUCT_PLUGIN_OUTPUT_DIRECTORY} where that is set. Its one exported symbol is vd_module_entry:
# whatever else a C++ library exports by itself (inline functions, STB_GNU_UNIQUE data) ties it to
# other libraries of the process and keeps dlclose from unloading it.
#
# SCHEMA is checked to be JSON and made into "<name>_config_schema.h", with
#   static const char <name>_config_schema[];      the text, ended by NUL; constexpr in C++
#   #define <NAME>_CONFIG_SCHEMA_SIZE              its size without the NUL
# A C++ plugin passes `<name>_config_schema` to Describe(...).Schema().

function(viaduct_add_plugin name)
  cmake_parse_arguments(ARG "" "SCHEMA" "SOURCES;LIBS;INCLUDES" ${ARGN})
  if(NOT name MATCHES "^[a-z][a-z0-9_]*$")
    message(FATAL_ERROR "viaduct_add_plugin: \"${name}\" is no plugin name, [a-z][a-z0-9_]* is")
  endif()
  if(NOT ARG_SOURCES OR ARG_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "viaduct_add_plugin(${name}): SOURCES missing or unknown arguments: "
                        "${ARG_UNPARSED_ARGUMENTS}")
  endif()

  add_library(${name} MODULE ${ARG_SOURCES})
  set_target_properties(${name} PROPERTIES
    PREFIX "" SUFFIX ".so"
    POSITION_INDEPENDENT_CODE ON
    C_VISIBILITY_PRESET hidden
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON)
  if(VIADUCT_PLUGIN_OUTPUT_DIRECTORY)
    set_target_properties(${name} PROPERTIES
      LIBRARY_OUTPUT_DIRECTORY "${VIADUCT_PLUGIN_OUTPUT_DIRECTORY}")
  endif()
  target_link_libraries(${name} PRIVATE viaduct::sdk ${ARG_LIBS})
  target_include_directories(${name} PRIVATE ${ARG_INCLUDES})
  if(TARGET viaduct_options)
    target_link_libraries(${name} PRIVATE viaduct_options)
  endif()
  _viaduct_plugin_link_options(${name})
  if(ARG_SCHEMA)
    _viaduct_plugin_schema(${name} "${ARG_SCHEMA}")
  endif()
endfunction()

function(_viaduct_plugin_link_options name)
  set(script "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/plugin_exports.map")
  target_link_options(${name} PRIVATE
    "LINKER:--version-script=${script}"
    LINKER:-Bsymbolic
    LINKER:--exclude-libs,ALL)
  set_property(TARGET ${name} APPEND PROPERTY LINK_DEPENDS "${script}")
  # Clang links the sanitizer runtime into programs only, so a plugin has open symbols there.
  if(NOT (CMAKE_CXX_COMPILER_ID STREQUAL "Clang"
          AND "${VIADUCT_SANITIZE}${CMAKE_CXX_FLAGS}${CMAKE_C_FLAGS}" MATCHES "address|thread"))
    target_link_options(${name} PRIVATE LINKER:-z,defs)
  endif()
endfunction()

function(_viaduct_plugin_schema name schema)
  get_filename_component(schema "${schema}" ABSOLUTE BASE_DIR "${CMAKE_CURRENT_SOURCE_DIR}")
  set(folder "${CMAKE_CURRENT_BINARY_DIR}/${name}_schema")
  set(header "${folder}/${name}_config_schema.h")
  add_custom_command(
    OUTPUT "${header}"
    COMMAND "${CMAKE_COMMAND}" "-DNAME=${name}" "-DSCHEMA=${schema}" "-DHEADER=${header}"
            -P "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/EmbedSchema.cmake"
    DEPENDS "${schema}" "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/EmbedSchema.cmake"
    COMMENT "Embedding ${name}'s config schema"
    VERBATIM)
  # Of its own, so that the header alone can be made: that of the plugin waits for its libraries.
  add_custom_target(${name}_schema DEPENDS "${header}")
  target_sources(${name} PRIVATE "${header}")
  target_include_directories(${name} PRIVATE "${folder}")
endfunction()

# A test that runs the conformance tool on a plugin (docs/WRITE_A_PLUGIN.md):
#
#   viaduct_add_check(name [TEST name] [CONFIG config.json] [LEVEL load|lifecycle|data|all]
#                     [TIMEOUT seconds])
#
# TEST tells the tests of one plugin with several configurations apart; it is the plugin's name.
function(viaduct_add_check name)
  cmake_parse_arguments(ARG "" "TEST;CONFIG;LEVEL;TIMEOUT" "" ${ARGN})
  if(NOT ARG_TEST)
    set(ARG_TEST "${name}")
  endif()
  if(NOT ARG_LEVEL)
    set(ARG_LEVEL all)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  set(options --level "${ARG_LEVEL}")
  if(ARG_CONFIG)
    get_filename_component(config "${ARG_CONFIG}" ABSOLUTE BASE_DIR "${CMAKE_CURRENT_SOURCE_DIR}")
    list(APPEND options --config "${config}")
  endif()
  add_test(NAME check_${ARG_TEST} COMMAND $<TARGET_FILE:viaduct::check> ${options}
                                          $<TARGET_FILE:${name}>)
  set_tests_properties(check_${ARG_TEST} PROPERTIES TIMEOUT "${ARG_TIMEOUT}" LABELS plugin)
endfunction()
