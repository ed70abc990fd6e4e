# Builds a plugin outside of the tree from the installed package and runs its tests, by the commands of
# DOCUMENT, lets it live in a host (ONE_LIFE) with CONFIG, and lets viaduct-host (HOST) read its sample
# configuration:
#   cmake -DSOURCE=... -DDOCUMENT=... -DBUILD=... -DPREFIX=... -DC_COMPILER=... -DCXX_COMPILER=...
#         -DONE_LIFE=... -DHOST=... -DCONFIG=... -P BuildOutside.cmake
# BUILD is the folder in which Viaduct was built.
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

# The first commands of the document, for these folders. Those that install the SDK make one of their own.
file(READ "${DOCUMENT}" commands)
if(NOT commands MATCHES "\n```sh\n([^`]*ctest[^`]*)\n```\n")
  fail("${DOCUMENT} has lost its commands")
endif()
set(commands "${CMAKE_MATCH_1}")
set(place "${folder}/source")
set(built "${folder}/source/build")
if(commands MATCHES "cp -r")
  set(place "${folder}")
  set(built "${folder}/my_plugin/build")
  set(PREFIX "${folder}/sdk")
endif()
string(REPLACE "/opt/viaduct" "${PREFIX}" commands "${commands}")
string(REPLACE "build/release" "${BUILD}" commands "${commands}")
run("${DOCUMENT}" "${CMAKE_COMMAND}" -E chdir "${place}" "${CMAKE_COMMAND}" -E env
    "CC=${C_COMPILER}" "CXX=${CXX_COMPILER}" CMAKE_GENERATOR=Ninja CMAKE_EXPORT_COMPILE_COMMANDS=ON
    bash -euc "${commands}")
if(NOT output MATCHES "100% tests passed")
  fail("no test has run:\n${output}")
endif()

# Not one header may come from anywhere but the package and the plugin itself.
if(EXISTS "${built}/compile_commands.json")
  file(READ "${built}/compile_commands.json" commands)
  string(FIND "${commands}" "${TREE}/sdk" at)
  if(NOT at EQUAL -1)
    fail("the plugin was built with headers of the source tree ${TREE}")
  endif()
endif()

file(GLOB libraries "${built}/*.so")
list(LENGTH libraries count)
if(NOT count EQUAL 1)
  fail("one library was to be built, not ${count}: ${libraries}")
endif()
get_filename_component(plugin "${libraries}" NAME_WE)
run("life in a host" "${ONE_LIFE}" "${built}" "${plugin}" "${CONFIG}")
if(NOT output MATCHES "started: started\n" OR NOT output MATCHES "stopped: well\n")
  fail("the plugin does not live in a host:\n${output}")
endif()

if(EXISTS "${SOURCE}/example.yaml")
  file(READ "${SOURCE}/example.yaml" example)
  file(WRITE "${folder}/example.yaml"
       "${example}\nplugins:\n  path: [\"${built}\"]\n")
  run("sample configuration" "${HOST}" --config "${folder}/example.yaml" --check)
  if(output MATCHES "example.yaml:[0-9]")
    fail("the host has something to say to the sample configuration:\n${output}")
  endif()
endif()
file(REMOVE_RECURSE "${folder}")
