# Makes a header of a JSON Schema: cmake -DNAME=... -DSCHEMA=... -DHEADER=... -P EmbedSchema.cmake
# An array of characters rather than a string literal: C promises only 4095 of those.
file(READ "${SCHEMA}" text)
string(JSON kind ERROR_VARIABLE problem TYPE "${text}")
if(problem)
  message(FATAL_ERROR "${SCHEMA}: not JSON, ${problem}")
endif()
if(NOT kind STREQUAL "OBJECT")
  message(FATAL_ERROR "${SCHEMA}: a JSON Schema is an object, not ${kind}")
endif()

file(READ "${SCHEMA}" octets HEX)
string(LENGTH "${octets}" digits)
math(EXPR size "${digits} / 2")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," octets "${octets}")
string(REPLACE "'\\x0a'," "'\\x0a',\n  " octets "${octets}")
string(TOUPPER "${NAME}" upper)
file(WRITE "${HEADER}.new"
"/* Made from the plugin's JSON Schema by viaduct_add_plugin. */
#ifndef ${upper}_CONFIG_SCHEMA_H_
#define ${upper}_CONFIG_SCHEMA_H_
#define ${upper}_CONFIG_SCHEMA_SIZE ${size}
#ifdef __cplusplus
constexpr char ${NAME}_config_schema[${size} + 1] = {
#else
static const char ${NAME}_config_schema[${size} + 1] = {
#endif
  ${octets}0};
#endif
")
file(RENAME "${HEADER}.new" "${HEADER}")
