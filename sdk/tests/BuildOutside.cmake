# Builds a plugin outside of the tree from the installed package, and runs its tests:
#   cmake -DSOURCE=... -DPREFIX=... -DC_COMPILER=... -DCXX_COMPILER=... -P BuildOutside.cmake
string(RANDOM LENGTH 12 name)
set(folder "/tmp/viaduct-outside-${name}")
file(COPY "${SOURCE}/" DESTINATION "${folder}/source")

function(run what)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output
                  ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    file(REMOVE_RECURSE "${folder}")
    message(FATAL_ERROR "${what} failed (${result}):\n${output}")
  endif()
  message(STATUS "${what}: ok")
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
    file(REMOVE_RECURSE "${folder}")
    message(FATAL_ERROR "the plugin was built with headers of the source tree ${TREE}")
  endif()
endif()
file(REMOVE_RECURSE "${folder}")
