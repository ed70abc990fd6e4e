#!/usr/bin/env python3
"""viaduct-check on both roles, against a real mosquitto: an instance without a broker gives itself
up, as it should, and there would be nothing to check.
"""

import json
import os
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from broker import Broker  # noqa: E402  pylint: disable=wrong-import-position
from harness import Failure, main  # noqa: E402  pylint: disable=wrong-import-position


def run(t):
    for role, more in (("client", {"ack_timeout": 0.2}), ("server", {})):
        # A broker each: what the client leaves there retained, the server would be asked to store.
        broker = Broker(t, f"broker-{role}").start()
        # Instances side by side would take one session from each other.
        config = {"role": role, "client_id": "check-{instance}",
                  "broker_url": f"127.0.0.1:{broker.port}", **more}
        path = os.path.join(t.folder, f"{role}.json")
        with open(path, "w") as f:
            json.dump(config, f)
        done = subprocess.run([t.build.program("viaduct-check"), "--config", path,
                               os.path.join(t.build.plugins, "mqtt.so")],
                              capture_output=True, text=True, check=False)
        print(done.stdout + done.stderr)
        if done.returncode != 0:
            raise Failure(f"viaduct-check, role {role}: {done.returncode}")


if __name__ == "__main__":
    main(run)
