#!/usr/bin/env python3
"""viaduct-check on the plugin, against a real sshd: an instance without a server gives itself up, as
it should, and there would be nothing to check.
"""

import json
import os
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from harness import Failure, main  # noqa: E402  pylint: disable=wrong-import-position
from ssh_server import SshServer  # noqa: E402  pylint: disable=wrong-import-position


def example_is_sound(t):
    done = subprocess.run([t.build.program("viaduct-host"), "--config",
                           os.path.join(ROOT, "plugins", "rsync", "example.yaml"), "--check"],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0 or "warning" in done.stderr + done.stdout:
        raise Failure(f"example.yaml: {done.stdout} {done.stderr}")


def run(t):
    example_is_sound(t)
    server = SshServer(t).start()
    path = os.path.join(t.folder, "rsync.json")
    with open(path, "w") as f:
        json.dump(server.rsync_config(), f)
    done = subprocess.run([t.build.program("viaduct-check"), "--config", path,
                           os.path.join(t.build.plugins, "rsync.so")],
                          capture_output=True, text=True, check=False)
    print(done.stdout + done.stderr)
    if done.returncode != 0:
        raise Failure(f"viaduct-check: {done.returncode}")
    left = [name for _, _, names in os.walk(server.incoming) for name in names
            if name.startswith(".viaduct")]
    arrived = sum(len(names) for _, _, names in os.walk(server.incoming))
    print(f"{arrived} files arrived, parts of interrupted ones: {left}")
    if arrived == len(left):
        raise Failure("no file has arrived")


if __name__ == "__main__":
    main(run)
