# The three ways a room makes a target. Names are <area>_<room>: core_spool, host_grpc, plugin_rest.
#
#   viaduct_library(core_spool SOURCES a.cc b.cc DEPS viaduct::core_base absl::status)
#   viaduct_executable(viaduct-host SOURCES main.cc DEPS ...)
#   viaduct_test(core_spool_test SOURCES a_test.cc DEPS viaduct::core_spool [LABELS fault] [TIMEOUT 60])

function(viaduct_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(viaduct_${name} STATIC ${ARG_SOURCES})
  add_library(viaduct::${name} ALIAS viaduct_${name})
  target_link_libraries(viaduct_${name} PUBLIC viaduct_options ${ARG_DEPS})
endfunction()

function(viaduct_executable name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE viaduct_options ${ARG_DEPS})
endfunction()

function(viaduct_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPS;LABELS;ENVIRONMENT" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 60)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
  target_link_libraries(${name} PRIVATE viaduct_options ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}"
                       ENVIRONMENT "${ARG_ENVIRONMENT}")
endfunction()
