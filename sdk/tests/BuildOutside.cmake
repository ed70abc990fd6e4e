# Builds a plugin outside of the tree from the installed package, runs its tests, lets it live in a
# host (ONE_LIFE) with CONFIG, and lets viaduct-host (HOST) read its sample configuration:
#   cmake -DSOURCE=... -DPREFIX=... -DC_COMPILER=... -DCXX_COMPILER=... -DONE_LIFE=... -DHOST=...
#         -DCONFIG=... -P BuildOutside.cmake
string(RANDOM LENGTH 12 name)
set(folder "/tmp/viaduct-outside-${name}")
file(COPY "${SOURCE}/" DESTINATION "${folder}/source")

function(fail why)
  file(REMOVE_RECURSE "${folder}")
  message(FATAL_ERROR "${why}")
endfunction()

function(run what)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output
                  ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    fail("${what} failed (${result}):\n${output}")
  endif()
  message(STATUS "${what}: ok")
  set(output "${output}" PARENT_SCOPE)
endfunction()

run("configure" "${CMAKE_COMMAND}" -G Ninja -S "${folder}/source" -B "${folder}/build"
    "-DCMAKE_PREFIX_PATH=${PREFIX}" "-DCMAKE_C_COMPILER=${C_COMPILER}"
    "-DCMAKE_CXX_COMPILER=${CXX_COMPILER}" -DCMAKE_EXPORT_COMPILE_COMMANDS=ON)
run("build" "${CMAKE_COMMAND}" --build "${folder}/build")
run("test" "${CMAKE_CTEST_COMMAND}" --test-dir "${folder}/build" --output-on-failure
    --no-tests=error)

# Not one header may come from anywhere but the package and the plugin itself.
if(EXISTS "${folder}/build/compile_commands.json")
  file(READ "${folder}/build/compile_commands.json" commands)
  string(FIND "${commands}" "${TREE}/sdk" at)
  if(NOT at EQUAL -1)
    fail("the plugin was built with headers of the source tree ${TREE}")
  endif()
endif()

file(GLOB libraries "${folder}/build/*.so")
list(LENGTH libraries count)
if(NOT count EQUAL 1)
  fail("one library was to be built, not ${count}: ${libraries}")
endif()
get_filename_component(plugin "${libraries}" NAME_WE)
run("life in a host" "${ONE_LIFE}" "${folder}/build" "${plugin}" "${CONFIG}")
if(NOT output MATCHES "started: started\n" OR NOT output MATCHES "stopped: well\n")
  fail("the plugin does not live in a host:\n${output}")
endif()

if(EXISTS "${SOURCE}/example.yaml")
  file(READ "${SOURCE}/example.yaml" example)
  file(WRITE "${folder}/example.yaml"
       "${example}\nplugins:\n  path: [\"${folder}/build\"]\n")
  run("sample configuration" "${HOST}" --config "${folder}/example.yaml" --check)
  if(output MATCHES "example.yaml:[0-9]")
    fail("the host has something to say to the sample configuration:\n${output}")
  endif()
endif()
file(REMOVE_RECURSE "${folder}")
