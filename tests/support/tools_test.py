#!/usr/bin/env python3
"""The generator, the relay and the sink together: nothing that the generator claims as accepted is
missing at the sink, however often the relay breaks the connections. Then the ledger judges a store as
docs/TESTING.md says."""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from documents import claimed_blocks  # noqa: E402
from harness import Failure, die_with_parent, main, wait_for  # noqa: E402


def ledger_judges(t):
    server = t.server()
    server.start()
    load = t.http_load(server.http_port, messages=50, seconds=30)
    accepted = load.result()["accepted"]
    server.stop()
    for name, path in (("data", server.data_dir), ("traffic.ledger", load.log_path)):
        os.symlink(path, os.path.join(t.folder, name))
    for line in claimed_blocks(__file__, ["docs/TESTING.md"])[0].text.splitlines():
        done = subprocess.run(["bash", "-c", line.replace("build/dev", t.build.folder)], cwd=t.folder,
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failure(f"{line}\n{done.stdout}{done.stderr}")
    if f"{accepted}" not in done.stdout:
        raise Failure(f"{accepted} accepted, judged: {done.stdout}")


def run(t):
    sink = subprocess.Popen([t.build.program("sink"), "--count-ids"], stdout=subprocess.PIPE,
                            text=True, preexec_fn=die_with_parent)
    relay = t.relay(int(sink.stdout.readline().split()[1]))
    loads = [t.http_load(relay.port, seconds=60, retry=True, rate=1000, form=form)
             for form in ("envelope", "array")]
    connections = lambda: json.loads(relay.say("stats"))["connections"]  # noqa: E731
    wait_for(lambda: connections() >= len(loads), 10, "all generators to connect")
    for _ in range(10):
        before = connections()
        relay.say(t.random.choice(["reset", "budget 5000 reset", "delay 3"]))
        relay.say("reset")
        wait_for(lambda b=before: connections() >= b + len(loads), 10,
                 "all generators to connect anew after a reset")
    relay.say("pass")
    accepted = 0
    for load in loads:
        load.stop()
        result = load.result()
        if result["made"] == 0 or result["made"] != result["accepted"]:
            raise Failure(f"{load.name}: {result}")
        if result["disconnects"] == 0:
            raise Failure("the relay has broken nothing")
        accepted += result["accepted"]
    sink.terminate()
    seen = json.loads(sink.stdout.read())
    if seen["distinct_ids"] != accepted:
        raise Failure(f"accepted {accepted}, the sink has {seen}")
    if len(t.obligations()) != accepted:
        raise Failure(f"accepted {accepted}, the logs have {len(t.obligations())}")
    t.figure(accepted=accepted, sink=seen)
    ledger_judges(t)


main(run)
