"""A wall clock of one node, settable while it runs (tests/faults/clock_shim.c). Python's standard
library only.
"""

import os
import struct
import time

from processes import CannotRun


class WallClock:
    def __init__(self, t, name):
        shim = os.path.join(t.build.folder, "tests", "clock_shim.so")
        if not os.path.exists(shim):
            raise CannotRun(f"{shim} is not built")
        path = os.path.join(t.folder, f"{name}.clock")
        with open(path, "wb") as f:
            f.write(bytes(8))
        self.file = open(path, "r+b", buffering=0)
        self.env = {"LD_PRELOAD": shim, "VIADUCT_TEST_CLOCK": path}

    def jump(self, seconds):
        """So many seconds from the true time on."""
        self.file.seek(0)
        self.file.write(struct.pack("=q", int(seconds * 1e9)))

    def set(self, epoch_s):
        self.jump(epoch_s - time.time())
