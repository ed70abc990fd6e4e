#!/usr/bin/env python3
"""The generator, the relay and the sink together: nothing that the generator claims as accepted is
missing at the sink, however often the relay breaks the connections."""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Failure, die_with_parent, main, wait_for  # noqa: E402


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


main(run)
