// Found before the system's header in a build with ThreadSanitizer. Under TSan map_field.h gives
// MapFieldBase two members more; Debian's libprotobuf is built without, and code of both kinds
// works on the same objects (google.protobuf.Struct is one).
#pragma once

#pragma push_macro("__SANITIZE_THREAD__")
#undef __SANITIZE_THREAD__
#include_next <google/protobuf/map_field.h>
#pragma pop_macro("__SANITIZE_THREAD__")
