# Language level, warnings, hardening, sanitizers and output folders of the whole tree.
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
set(VIADUCT_PLUGIN_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/plugins")

option(VIADUCT_TEST_HOOKS "Compile named crash points and fault hooks (test builds only)" OFF)
option(VIADUCT_TESTS "Build unit tests as part of the default target" ON)
option(VIADUCT_FUZZ "Build the fuzz_* programs with libFuzzer (clang only)" OFF)
set(VIADUCT_SANITIZE "" CACHE STRING "Sanitizers: empty, 'address,undefined' or 'thread'")

add_library(viaduct_options INTERFACE)
target_compile_options(viaduct_options INTERFACE
  -Wall -Wextra -Werror=unused-result -Wno-missing-field-initializers
  $<$<COMPILE_LANGUAGE:CXX>:-Wold-style-cast -Woverloaded-virtual -Wnon-virtual-dtor>
  -fno-omit-frame-pointer)
target_include_directories(viaduct_options INTERFACE "${CMAKE_SOURCE_DIR}")
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(viaduct_options INTERFACE
    -Wthread-safety -Werror=thread-safety -Wno-unused-command-line-argument)
endif()
if(VIADUCT_TEST_HOOKS)
  target_compile_definitions(viaduct_options INTERFACE VIADUCT_TEST_HOOKS=1)
endif()

# Sanitizers go on globally: a half-instrumented C++ process reports nonsense.
if(VIADUCT_SANITIZE)
  add_compile_options(-fsanitize=${VIADUCT_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${VIADUCT_SANITIZE})
  if(VIADUCT_SANITIZE MATCHES "thread")
    include_directories(BEFORE "${CMAKE_SOURCE_DIR}/tests/sanitizers/tsan_include")
  endif()
  if(VIADUCT_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)
  endif()
else()
  add_compile_options($<$<CONFIG:Release>:-D_FORTIFY_SOURCE=2> -fstack-protector-strong)
  add_link_options(LINKER:-z,relro LINKER:-z,now)
endif()

find_program(VIADUCT_MOLD mold)
if(VIADUCT_MOLD AND NOT CMAKE_CROSSCOMPILING AND NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  add_link_options(-fuse-ld=mold)
endif()
find_program(VIADUCT_CCACHE ccache)
if(VIADUCT_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER "${VIADUCT_CCACHE}")
  set(CMAKE_CXX_COMPILER_LAUNCHER "${VIADUCT_CCACHE}")
endif()

# Every executable links this; tests/sanitizers fills it in a sanitizer build.
add_library(viaduct_sanitizer_defaults INTERFACE)
