#!/usr/bin/env python3
"""Fault 1: kill -9 after 5 to 500 ms of mixed traffic, of the edge, the server, or both, and with
--store postgresql of the database server, too.

Cameras send to the edge over REST and gRPC and to the server over REST, all the time and with
retries. Every OK that was read must be in the server's store once, unchanged.
Short: 15 rounds. Long: 200.
"""

import time

import common_path  # noqa: F401
from harness import Failure, main

SHORT_ROUNDS, LONG_ROUNDS = 15, 200
MIN_PAUSE_S, MAX_PAUSE_S = 0.005, 0.5
FOREVER_S = 7200


def start_traffic(t, server, edge):
    named = {"seconds": FOREVER_S, "retry": True, "drain_seconds": 60, "timeout_ms": 5000}
    small = t.picture("KL1", 20000, 320, 180)
    return [
        t.http_load(edge.http_port, rate=300, connections=8, **named),
        t.http_load(edge.http_port, form="array", batch=16, rate=600, connections=4, **named),
        t.http_load(server.http_port, rate=300, connections=8, **named),
        t.http_load(server.http_port, rate=30, connections=2, image=small, **named),
        t.http_load(edge.http_port, rate=30, connections=2, image=small, **named),
        t.grpc_load(edge, rate=600, frame=32, window=1024, **named),
        t.grpc_load(edge, "--unary", rate=100, threads=4, **named),
    ]


def run(t):
    server = t.server()
    edge = t.edge(server.http_port)
    server.start()
    edge.start()
    loads = start_traffic(t, server, edge)
    rounds = LONG_ROUNDS if t.long else SHORT_ROUNDS
    killed = {"edge": 0, "server": 0}
    choices = [[edge], [server], [edge, server]]
    database = None
    if t.store == "postgresql":
        database = t.postgres()
        killed["database"] = 0
        # The database alone, and in the middle of a kill of those that write into it.
        choices += [[], [], [server]]
    starts = []
    for _ in range(rounds):
        place = t.random.randrange(len(choices))
        victims = choices[place]
        time.sleep(t.random.uniform(MIN_PAUSE_S, MAX_PAUSE_S))
        for node in victims:
            if not node.alive():
                raise Failure(f"{node.name} died by itself: {node.process.returncode}\n"
                              f"{node.tail()}")
            node.kill()
            killed[node.name] += 1
        if place >= 3:
            database.kill()
            killed["database"] += 1
        time.sleep(t.random.uniform(0, 0.2))
        if place >= 3:
            database.start()
        for node in victims:
            starts.append(node.start())
    results = []
    for load in loads:
        load.stop()
    for load in loads:
        results.append(load.result())
        if results[-1]["made"] == 0 or results[-1]["accepted"] < results[-1]["made"]:
            raise Failure(f"{load.name} ended with messages that were never accepted: "
                          f"{results[-1]}")
    starts.sort()
    t.figure(rounds=rounds, killed=killed, retried=sum(r["retried"] for r in results),
             accepted=sum(r["accepted"] for r in results),
             ready_ms={"median": round(starts[len(starts) // 2], 1), "max": round(starts[-1], 1)})
    t.conclude(server, [edge], seconds=120 if t.long else 40)


main(run)
