# The ways a room makes a target. Names are <area>_<room>: core_spool, host_grpc, plugin_rest.
#
#   viaduct_library(core_spool SOURCES a.cc b.cc DEPS viaduct::core_base absl::status)
#   viaduct_executable(viaduct-host SOURCES main.cc DEPS ...)
#   viaduct_test(core_spool_test SOURCES a_test.cc DEPS viaduct::core_spool [LABELS fault] [TIMEOUT 60])
#   viaduct_fuzzer(fuzz_envelope SOURCES a_fuzz.cc DEPS viaduct::core_message [CORPUS corpus/envelope])
#
# tools/check_layers.py reads these calls: a DEPS that the arrows do not allow fails the checks.

function(viaduct_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(viaduct_${name} STATIC ${ARG_SOURCES})
  add_library(viaduct::${name} ALIAS viaduct_${name})
  target_link_libraries(viaduct_${name} PUBLIC viaduct_options ${ARG_DEPS})
endfunction()

function(viaduct_executable name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE viaduct_options viaduct_sanitizer_defaults ${ARG_DEPS})
endfunction()

# Without VIADUCT_TESTS the target still exists for whoever names it, but "all" leaves it out.
function(viaduct_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPS;LABELS;ENVIRONMENT" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 60)
  endif()
  if(VIADUCT_SANITIZE)
    math(EXPR ARG_TIMEOUT "${ARG_TIMEOUT} * 5")
  endif()
  add_executable(${name} ${ARG_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
  target_link_libraries(${name} PRIVATE viaduct_options viaduct_sanitizer_defaults ${ARG_DEPS}
                                        GTest::gmock GTest::gtest_main)
  if(NOT VIADUCT_TESTS)
    set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL ON)
  endif()
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}"
                       ENVIRONMENT "${ARG_ENVIRONMENT}")
endfunction()

# A source with LLVMFuzzerTestOneInput. With VIADUCT_FUZZ (clang) it becomes a libFuzzer program;
# in every other build a test that replays the corpus, so that a finding stays found.
function(viaduct_fuzzer name)
  cmake_parse_arguments(ARG "" "CORPUS" "SOURCES;DEPS" ${ARGN})
  if(ARG_CORPUS)
    get_filename_component(corpus "${ARG_CORPUS}" ABSOLUTE BASE_DIR "${CMAKE_CURRENT_SOURCE_DIR}")
  endif()
  if(VIADUCT_FUZZ)
    add_executable(${name} ${ARG_SOURCES})
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    file(GENERATE OUTPUT "${CMAKE_BINARY_DIR}/fuzz/${name}.corpus" CONTENT "${corpus}\n")
  else()
    add_executable(${name} ${ARG_SOURCES} "${CMAKE_SOURCE_DIR}/tools/fuzz/replay_main.cc")
    add_test(NAME ${name} COMMAND ${name} ${corpus})
    set_tests_properties(${name} PROPERTIES TIMEOUT 60 LABELS fuzz)
    if(NOT VIADUCT_TESTS)
      set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL ON)
    endif()
  endif()
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/fuzz")
  target_link_libraries(${name} PRIVATE viaduct_options viaduct_sanitizer_defaults ${ARG_DEPS})
endfunction()
