"""For scripts that mount things: a mount namespace of their own. Python's standard library only."""

import os
import subprocess
import sys


def enter_namespace():
    """Runs this script again where mounts are private; as a plain user with root of its own."""
    if os.environ.get("VIADUCT_PRIVATE_MOUNTS") == "1":
        # Not possible in a chroot, whose root is no mount point; what is mounted here is unmounted
        # here in any case.
        subprocess.run(["mount", "--make-rprivate", "/"], stderr=subprocess.DEVNULL, check=False)
        return
    flags = "-m" if os.geteuid() == 0 else "-Urm"
    os.environ["VIADUCT_PRIVATE_MOUNTS"] = "1"
    os.execvp("unshare", ["unshare", flags, "--propagation", "unchanged", sys.executable,
                          *sys.argv])
