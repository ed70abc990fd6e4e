# What packages hold (debian/ divides it): programs, plugins, licence. The SDK installs itself (sdk/CMakeLists.txt).
include(GNUInstallDirs)

foreach(program IN ITEMS viaduct-host viaduct-probe viaductctl)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
  endif()
endforeach()
# A plugin's target bears the name of its folder.
foreach(room IN LISTS VIADUCT_ROOMS)
  get_filename_component(plugin "${room}" NAME)
  if(room MATCHES "^plugins/" AND TARGET ${plugin})
    install(TARGETS ${plugin} LIBRARY DESTINATION lib/viaduct/plugins)
  endif()
endforeach()
install(FILES LICENSE README.md CHANGELOG.md DESTINATION "${CMAKE_INSTALL_DOCDIR}")
