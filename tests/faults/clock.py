#!/usr/bin/env python3
"""Fault 8: the wall clock lies. Nodes start in 1970, jump +10 years and -1 day while they run
(libfaketime), and change their zone. Nothing expires, stalls or is lost by it, and the order of
one camera's messages stays the order of their acceptance.
"""

import glob
import os

import common_path  # noqa: F401
from harness import CannotRun, Failure, main, wait_for

MESSAGES = 200


def library():
    found = sorted(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1"))
    if not found:
        raise CannotRun("libfaketime is not installed (package faketime)")
    return found[0]


class FakeTime:
    """A file that says how far off the clock is; a change is seen at once."""

    def __init__(self, t, name):
        self.path = os.path.join(t.folder, f"{name}.faketime")
        self.env = {"LD_PRELOAD": library(), "FAKETIME_TIMESTAMP_FILE": self.path,
                    "FAKETIME_NO_CACHE": "1", "DONT_FAKE_MONOTONIC": "1",
                    "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_RESET": "1"}

    def set(self, text):
        with open(self.path + ".new", "w") as f:
            f.write(text + "\n")
        os.rename(self.path + ".new", self.path)


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
    edge_time, server_time = FakeTime(t, "edge"), FakeTime(t, "server")
    # The edge wakes in 1970 with no battery, the server lives ten years ahead.
    edge_time.set("@1970-01-01 00:00:10")
    server_time.set("+10y")
    edge.start(env=edge_time.env)
    send(t, edge)
    server.start(env=server_time.env)
    t.await_stored(server, 30)
    jumps = []
    # Messages wait in the spool while the clock jumps: server away, accept, jump, server back.
    for jump in ("+0", "+10y", "-1d", "@1970-01-01 00:00:10", "+0"):
        server.kill()
        send(t, edge)
        edge_time.set(jump)
        send(t, edge)
        server_time.set("-1d" if jump == "+10y" else "+0")
        server.start(env=server_time.env)
        t.await_stored(server, 30)
        jumps.append(jump)
    # A restart of the edge with messages in the spool, in another zone and another year.
    server.kill()
    send(t, edge)
    edge.kill()
    edge_time.set("+10y")
    edge.config["node"]["timezone"] = "Asia/Bangkok"
    edge.write_config()
    edge.start(env={**edge_time.env, "TZ": "Asia/Bangkok"})
    send(t, edge)
    edge_time.set("-1d")
    server.start()
    t.await_stored(server, 30)
    wait_for(lambda: edge.get("/api/test").status == 200, 5, "the edge to answer")
    t.figure(jumps=jumps)
    t.conclude(server, [edge])


main(run)
