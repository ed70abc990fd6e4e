/*
 * viaduct/abi/abi.h - the whole plugin ABI. Begin reading at base.h, then module.h, lifecycle.h.
 */
#ifndef VIADUCT_ABI_ABI_H_
#define VIADUCT_ABI_ABI_H_

#include "base.h"
#include "call.h"
#include "config.h"
#include "deliver.h"
#include "file.h"
#include "frame.h"
#include "host.h"
#include "lifecycle.h"
#include "module.h"
#include "probe.h"
#include "services.h"
#include "submit.h"

#endif /* VIADUCT_ABI_ABI_H_ */
