# The dashboard's page, where Node.js and what the page is made of are there: ./dev brings both.
# A node of a build without it answers as it does with `dashboard: {enabled: false}`.
include(GNUInstallDirs)
find_program(VIADUCT_NODE node)
set(VIADUCT_DASHBOARD_MODULES "${CMAKE_SOURCE_DIR}/build/npm-dashboard/node_modules")
set(VIADUCT_DASHBOARD OFF)
if(VIADUCT_NODE AND EXISTS "${VIADUCT_DASHBOARD_MODULES}/esbuild/package.json")
  set(VIADUCT_DASHBOARD ON)
endif()
if(NOT VIADUCT_DASHBOARD)
  message(STATUS "The dashboard's page is left out: no Node.js, or no build/npm-dashboard")
  return()
endif()

set(dashboard_source "${CMAKE_SOURCE_DIR}/dashboard")
file(GLOB_RECURSE dashboard_files CONFIGURE_DEPENDS
     "${dashboard_source}/src/*.js" "${dashboard_source}/styles/*.css"
     "${dashboard_source}/texts/*.json")
add_custom_command(OUTPUT "${CMAKE_BINARY_DIR}/dashboard/index.html"
  COMMAND "${VIADUCT_NODE}" "${dashboard_source}/build.mjs"
          "${VIADUCT_DASHBOARD_MODULES}" "${CMAKE_BINARY_DIR}/dashboard"
  DEPENDS ${dashboard_files} "${dashboard_source}/build.mjs" "${dashboard_source}/index.html"
          "${dashboard_source}/icon.svg" "${dashboard_source}/package-lock.json"
  COMMENT "Bundling the dashboard" VERBATIM)
add_custom_target(dashboard ALL DEPENDS "${CMAKE_BINARY_DIR}/dashboard/index.html")
install(DIRECTORY "${CMAKE_BINARY_DIR}/dashboard/"
        DESTINATION "${CMAKE_INSTALL_DATADIR}/viaduct/dashboard")
