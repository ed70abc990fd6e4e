/* Linked with gRPC. */
#include "bad_plugin.h"

BAD_MODULE("needs_grpc", .max_lanes = 1)
