#!/usr/bin/env python3
"""A day without a road. An edge has websocket, REST and MQTT uplinks (a real mosquitto at the server)
over emulated roads, which are all cut. Each hour cameras hand messages of high, normal and low
priority to the edge, which is killed with -9 twice in the middle of it and whose disk is full once;
then the roads are there again, and in the middle of the drain the edge is killed once more.
Everything that was accepted arrives once, unchanged and with its capture time, and high priority
goes before normal, normal before low, but for the tenth that the backlog has in any case.

The wall clock of the edge lives the day, an hour at a time, and capture times are of that day. What
counts monotonic time (time to live, back-off) lives the minutes of the trial: the time to live is
set to an hour, so that a wall clock that counted for it would expire everything.
Short: 20,000 messages. Long: 2,000,000.
"""

import hashlib
import json
import math
import os
import sqlite3
import subprocess
import time

import common_path  # noqa: F401
from disk_full import USE_ALL, Filler, enter_namespace, must_refuse, room, same_process, tmpfs
from emulated_network import URBAN, EmulatedNetwork
from harness import Failure, main, monotonic, say, wait_for
from uplinks import PROTOCOLS, Site
from wall_clock import WallClock

SHORT_MESSAGES, LONG_MESSAGES = 20_000, 2_000_000
HOURS = 24
HOUR_S = 3600
KILLED_IN = (7, 15)
FULL_IN = 11
SHARES = {"high": 0.1, "normal": 0.6, "low": 0.3}
RANKS = {priority: rank for rank, priority in enumerate(SHARES)}
DISK_BYTES = 2000  # Of a message in the spool, and what else there is.
WINDOW = 256  # Of each link. So much may be under way, and arrive in another order than it was sent.
UNDER_WAY = WINDOW * len(PROTOCOLS)
BACKLOG_SHARE = 0.1  # Of what goes is of the backlog in any case (docs/GATEWAY.md).
KILLED_AFTER = 0.4  # Of the drain.
PATIENCE_S = 900
LIMIT_S = 600
KIB = 1024


def prefix_of(load):
    return load.arguments[load.arguments.index("--prefix") + 1]


class Expected:
    """What each load has sent, by the head of its message ids (message_source.cc)."""

    def __init__(self):
        self.loads = {}

    def add(self, load, priority, start_ms):
        digest = hashlib.sha256(prefix_of(load).encode()).hexdigest()
        head = f"{digest[:8]}-{digest[8:12]}-7{digest[12:15]}-8{digest[15:18]}-"
        self.loads[head] = (priority, start_ms)

    def arrivals(self, path):
        """(priority, capture time wanted, capture time stored) in the order of arrival."""
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
            for message_id, captured in db.execute(
                    "SELECT message_id, captured_at FROM detections ORDER BY id"):
                head, number = message_id[:24], message_id[24:]
                if head in self.loads:
                    priority, start_ms = self.loads[head]
                    yield priority, start_ms + int(number, 16), captured


def one_hour(t, edge, expected, hour, messages, day_ms):
    """The loads of one hour, under way."""
    loads = []
    for priority, share in SHARES.items():
        start_ms = day_ms + hour * HOUR_S * 1000
        load = t.grpc_load(edge, priority=priority, messages=math.ceil(messages * share), retry=True,
                           start_unix_ms=start_ms, frame=64, window=2048, seconds=PATIENCE_S,
                           drain_seconds=PATIENCE_S)
        expected.add(load, priority, start_ms)
        loads.append(load)
    return loads


def disk_full(t, edge, disk):
    filler = Filler(disk)
    pid = edge.process.pid
    filler.fill()
    with edge.inside():
        answers = must_refuse(t, edge, "envelope")
    filler.empty()
    same_process(edge, pid)
    return answers


def the_day(t, edge, clock, disk, messages):
    """Hour by hour; what was sent, and figures."""
    expected, figures = Expected(), {}
    day_ms = int(time.time() * 1000)
    begin, accepted = monotonic(), 0
    for hour in range(HOURS):
        clock.jump(hour * HOUR_S)
        if hour == FULL_IN:
            figures["refusals"] = disk_full(t, edge, disk)
        before = accepted_in(t, edge)
        loads = one_hour(t, edge, expected, hour, messages / HOURS, day_ms)
        if hour in KILLED_IN:
            wait_for(lambda: accepted_in(t, edge) > before, PATIENCE_S, "traffic")
            edge.kill()  # In the middle of it.
            figures.setdefault("ready_ms", []).append(round(edge.start(env=clock.env), 1))
        for load in loads:
            result = load.result(PATIENCE_S)
            if result["accepted"] != result["made"]:
                raise Failure(f"hour {hour}: {load.name} {result}")
            accepted += result["accepted"]
    seconds = monotonic() - begin
    figures.update(accepted=accepted, accept_per_second=round(accepted / seconds),
                   spool_mib=round(spool_bytes(edge) / KIB / KIB, 1),
                   edge_rss_mib=round(edge.rss_kib() / KIB, 1))
    return expected, figures


def spool_bytes(edge):
    """The database and its log."""
    path = os.path.join(edge.data_dir, "spool.db")
    return os.path.getsize(path) + os.path.getsize(path + "-wal")


def accepted_in(t, edge):
    done = subprocess.run([t.build.program("viaductctl"), "-s", edge.control[len("unix:"):], "-j",
                           "stats", "show"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"viaductctl stats: {done.stderr}")
    return int(json.loads(done.stdout)["snapshot"]["spool"]["accepted"])


def check_order(expected, path, accepted):
    """Priorities first, capture times kept; how many of a lower one came before the last of high and
    of normal priority."""
    seen, before_last = dict.fromkeys(RANKS, 0), {}
    for priority, wanted, captured in expected.arrivals(path):
        if captured != wanted:
            raise Failure(f"captured at {wanted}, stored as {captured}")
        seen[priority] += 1
        before_last[priority] = dict(seen)
    if sum(seen.values()) != accepted:
        raise Failure(f"{seen} of {accepted} stored")
    early = {}
    for priority, others in before_last.items():
        early[priority] = sum(n for other, n in others.items() if RANKS[other] > RANKS[priority])
        if early[priority] > BACKLOG_SHARE * sum(others.values()) + UNDER_WAY:
            raise Failure(f"lower priority before {priority}: {early[priority]} of {others}")
    return early


def drain(site, clock, owed):
    """The roads are there; the edge is killed in the middle of it."""
    edge, server = site.edge, site.server
    begin, most, ready_ms = monotonic(), 0, None
    site.network.heal()

    def look():
        nonlocal most, ready_ms
        most = max(most, edge.rss_kib())
        stored = server.total_detections()
        if ready_ms is None and stored >= owed * KILLED_AFTER:
            edge.kill()
            ready_ms = round(edge.start(env=clock.env), 1)
        return stored >= owed
    wait_for(look, PATIENCE_S, f"{owed} detections (has {server.total_detections()})", 0.2)
    seconds = monotonic() - begin
    return {"drain_seconds": round(seconds, 1), "drain_per_second": round(owed / seconds),
            "drain_ready_ms": ready_ms, "edge_rss_most_mib": round(most / KIB, 1),
            "server_rss_mib": round(server.rss_kib() / KIB, 1)}


def run(t):
    messages = LONG_MESSAGES if t.long else SHORT_MESSAGES
    disk = os.path.join(t.folder, "disk")
    tmpfs(t, disk, room(t, 24, *PROTOCOLS) + messages * DISK_BYTES)
    network = EmulatedNetwork(t, dict.fromkeys(PROTOCOLS, URBAN))
    site = Site(t, network, {name: name for name in PROTOCOLS}, gateway={"window": WINDOW},
                folder=disk, spool={
                    **USE_ALL, "time_to_live": {"detection": "1h", "health": "1h"}})
    clock = WallClock(t, "edge")
    site.start(env=clock.env)
    network.cut()
    expected, figures = the_day(t, site.edge, clock, disk, messages)
    t.figure(**figures)
    say(f"after the day: {figures}")
    figures = drain(site, clock, len(t.obligations()))
    t.figure(**figures, share={name: n for name, n in site.confirmed().items()})
    say(f"drained: {figures}")
    t.conclude(site.server, [site.edge], seconds=PATIENCE_S)
    t.figure(early=check_order(expected, site.server.store_path, t.figures["accepted"]))


if __name__ == "__main__":
    enter_namespace()
    main(run, limit=LIMIT_S)
