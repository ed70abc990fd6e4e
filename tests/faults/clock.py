#!/usr/bin/env python3
"""Fault 8: the wall clock lies. Nodes start in 1970, jump +10 years and -1 day while they run, and
change their zone; messages wait in the spool meanwhile. Nothing expires, stalls or is lost by it.

Each node has a wall clock of its own (clock_shim.c); timed waits notice jumps as after
clock_settime.
"""

import time

import common_path  # noqa: F401
from harness import Failure, main, wait_for
from wall_clock import WallClock

MESSAGES = 200
DAY_S = 86400
TEN_YEARS_S = 3652 * DAY_S


def send(t, edge):
    loads = [t.http_load(edge.http_port, connections=2, messages=MESSAGES, seconds=30, retry=True),
             t.grpc_load(edge, messages=MESSAGES, frame=16, seconds=30, retry=True)]
    for load in loads:
        result = load.result()
        if result["accepted"] != MESSAGES:
            raise Failure(f"{load.name}: {result}")


def run(t):
    server = t.server()
    edge = t.edge(server.http_port, spool={"path": "spool.db",
                                           "time_to_live": {"detection": "1h", "health": "1h"}})
    edge_time, server_time = WallClock(t, "edge"), WallClock(t, "server")
    # The edge wakes in 1970 with no battery, the server lives ten years ahead.
    edge_time.set(10)
    server_time.jump(TEN_YEARS_S)
    edge.start(env=edge_time.env)
    send(t, edge)
    server.start(env=server_time.env)
    t.await_stored(server, 30)
    jumps = {"true time": 0, "+10 years": TEN_YEARS_S, "-1 day": -DAY_S,
             "1970": 10 - time.time(), "true time again": 0}
    for jump in jumps.values():
        # While traffic flows, and the server's clock jumps the other way.
        edge_time.jump(jump)
        server_time.jump(-jump if jump > 0 else 0)
        send(t, edge)
        t.await_stored(server, 30)
        # While messages wait in the spool: server away, accept, jump, accept, server back.
        server.kill()
        send(t, edge)
        edge_time.jump(jump + DAY_S)
        send(t, edge)
        edge_time.jump(jump - DAY_S if jump > DAY_S else jump)
        server.start(env=server_time.env)
        t.await_stored(server, 30)
    # A restart of the edge with messages in the spool, in another zone and another year.
    server.kill()
    send(t, edge)
    edge.kill()
    edge_time.jump(TEN_YEARS_S)
    edge.config["node"]["timezone"] = "Asia/Bangkok"
    edge.write_config()
    edge.start(env={**edge_time.env, "TZ": "Asia/Bangkok"})
    send(t, edge)
    edge_time.jump(-DAY_S)
    server.start()
    t.await_stored(server, 30)
    wait_for(lambda: edge.get("/api/test").status == 200, 5, "the edge to answer")
    t.figure(jumps=list(jumps))
    t.conclude(server, [edge])


if __name__ == "__main__":
    main(run)
