#!/usr/bin/env python3
"""Fault 6, the part that a relay can do: the road between edge and server is cut silently, reset,
stalled or half open, in the middle of messages and of acknowledgements. A lost acknowledgement has
one effect.
Short: 12 cuts. Long: 200.
"""

import time

import common_path  # noqa: F401
from harness import Failure, main, wait_for

SHORT_CUTS, LONG_CUTS = 12, 200


def run(t):
    server = t.server()
    relay = t.relay(server.http_port)
    edge = t.edge(relay.port)
    for instance in edge.config["instances"]:
        if instance["name"] == "uplink":
            instance["config"].update({"timeout": 1, "connect_timeout": 1})
    edge.write_config()
    server.start()
    edge.start()
    loads = [t.http_load(edge.http_port, rate=200, connections=4, seconds=7200, retry=True),
             t.grpc_load(edge, rate=800, frame=16, seconds=7200, retry=True)]
    for _ in range(LONG_CUTS if t.long else SHORT_CUTS):
        direction = t.random.choice(["", " up", " down"])
        cut = t.random.choice(["drop", "stall"]) + direction
        if t.random.random() < 0.3:
            cut = t.random.choice(["reset", "refuse"])
        # A few bytes later: in the middle of a request or of an answer.
        relay.say(f"budget {t.random.randint(1, 40000)} {cut}")
        time.sleep(t.random.uniform(0.05, 1.2))
        relay.say("pass")
        before = server.total_detections()
        wait_for(lambda: server.total_detections() > before, 20, "messages to flow after a cut")
    for load in loads:
        load.stop()
    for load in loads:
        result = load.result()
        if result["accepted"] != result["made"]:
            raise Failure(f"{load.name}: the edge refused while the road was cut: {result}")
    t.figure(relay=relay.say("stats"))
    t.conclude(server, [edge], seconds=60)


main(run)
