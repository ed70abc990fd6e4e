#!/usr/bin/env python3
"""Fault 1 over websocket roads: kill -9 of the edge, the server, or both, while cameras send to the
edge and the edge carries everything to the server over Socket.IO; a second edge does so over plain
WebSocket, and its connections are reset in the middle of messages and answers. Every OK that was
read must be in the server's store once, unchanged.
Short: 8 rounds. Long: 200.
"""

import time

import common_path  # noqa: F401
from harness import Failure, main
from websocket_nodes import add_listener, use_road

SHORT_ROUNDS, LONG_ROUNDS = 8, 200
MIN_PAUSE_S, MAX_PAUSE_S = 0.05, 0.6
FOREVER_S = 7200


def run(t):
    server = t.server()
    port = add_listener(server)
    relay = t.relay(port)
    edge = t.edge(server.http_port)
    use_road(edge, f"ws://127.0.0.1:{port}", camera_id="CAM001", checkpoint_id="CP1")
    plain = t.edge(server.http_port, name="plain", node_id="CAM002")
    use_road(plain, f"ws://127.0.0.1:{relay.port}", form="raw")
    for node in (server, edge, plain):
        node.start()
    named = {"seconds": FOREVER_S, "retry": True, "drain_seconds": 60, "timeout_ms": 5000}
    small = t.picture("WS1", 20000, 320, 180)
    loads = [t.http_load(edge.http_port, rate=200, connections=4, **named),
             t.http_load(edge.http_port, form="array", batch=16, rate=300, connections=2, **named),
             t.http_load(edge.http_port, rate=20, connections=1, image=small, **named),
             t.http_load(plain.http_port, rate=100, connections=2, **named)]
    killed = {"edge": 0, "server": 0}
    for _ in range(LONG_ROUNDS if t.long else SHORT_ROUNDS):
        victims = t.random.choice([[edge], [server], [edge, server]])
        time.sleep(t.random.uniform(MIN_PAUSE_S, MAX_PAUSE_S))
        relay.say("reset")
        for node in victims:
            if not node.alive():
                raise Failure(f"{node.name} died by itself: {node.process.returncode}\n"
                              f"{node.tail()}")
            node.kill()
            killed[node.name] += 1
        for node in victims:
            node.start()
    for load in loads:
        load.stop()
    results = [load.result() for load in loads]
    if any(r["made"] == 0 or r["accepted"] < r["made"] for r in results):
        raise Failure(f"messages that were never accepted: {results}")
    t.figure(killed=killed, accepted=sum(r["accepted"] for r in results))
    t.conclude(server, [edge, plain], seconds=120 if t.long else 60)


main(run)
