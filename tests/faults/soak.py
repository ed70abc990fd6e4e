#!/usr/bin/env python3
"""Fault 9: traffic and outages, cycle after cycle. At the end of each, when the edge has delivered
all, it is looked at what edge and server hold: resident memory, descriptors, threads.

How it is judged, after a warm-up that has one outage with a large backlog:
memory: the median of the slopes between any two cycles (Theil and Sen), times the time, is at most
2 MiB; descriptors and threads: no more in the last third than in the first, but for 2; spool: the
files are back at what they were before the backlog, but for what it keeps to write into.
Short: 40 s of cycles. Long: 120 minutes, or --minutes.
"""

import itertools
import os
import statistics
import time

import common_path  # noqa: F401
from broker import Broker
from harness import Failure, main, monotonic, say, wait_for
from processes import SLOW
from relayed_roads import add_roads

SHORT_S, LONG_MINUTES = 40, 120
BACKLOG_PICTURES = 300
BACKLOG_BYTES = 24 << 20  # So large is the spool's file at least by the backlog.
KEPT_BYTES = 9 << 20      # Free pages that are not worth the work, and the reserve.
LOG_BYTES = 24 << 20      # Checkpoints come every 16 MiB of log.
SPOOL_S = 70              # The spool looks every minute.
GROWTH_KIB = 2 << 10 if SLOW == 1 else 1 << 20  # A sanitizer keeps what was freed.
MORE_ALLOWED = 2
OUTAGE_S, FLOW_S = 0.7, 0.7
WARM_CYCLES, WARM_TIMES = 6, 6  # Caches that are bounded are full afterwards.
LEAST_CYCLES = 6
PATIENCE_S = 60
OPTIONS = {"rest": {"timeout": 1, "connect_timeout": 1},
           "websocket": {"answer_timeout": 1, "connect_timeout": 1},
           "mqtt": {"ack_timeout": 1, "keepalive": 5, "connect_timeout": 2}}


def spool_bytes(edge):
    """Of the database, and of its log."""
    path = os.path.join(edge.data_dir, "spool.db")
    log = path + "-wal"
    return os.path.getsize(path), os.path.getsize(log) if os.path.exists(log) else 0


def await_empty(edge):
    wait_for(lambda: edge.spool_messages() == 0, PATIENCE_S, "an empty spool", 0.05)


class Soak:
    def __init__(self, t):
        self.t = t
        self.broker = Broker(t).start()
        self.server = t.server()
        self.edge = t.edge(1)
        self.relays = add_roads(t, self.server, self.edge, self.broker, OPTIONS)
        self.nodes = (self.edge, self.server)
        self.samples = []  # (seconds, node -> (KiB, descriptors, threads))
        self.accepted = 0
        for node in (self.server, self.edge):
            node.start()

    def send(self, **named):
        load = self.t.http_load(self.edge.http_port, retry=True, drain_seconds=20,
                                connections=2, **{"seconds": 60, **named})
        return load

    def finish(self, load):
        result = load.result()
        if result["accepted"] != result["made"] or not result["made"]:
            raise Failure(f"{load.name}: the edge refused: {result}")
        self.accepted += result["accepted"]

    def backlog(self):
        """The spool's file grows far beyond what it needs."""
        self.finish(self.send(messages=100))
        await_empty(self.edge)
        base = spool_bytes(self.edge)[0]
        for relay in self.relays.values():
            relay.say("refuse")
        self.finish(self.send(messages=BACKLOG_PICTURES, image=self.t.picture("SK1", 100000)))
        grown = sum(spool_bytes(self.edge))
        if grown < BACKLOG_BYTES:
            raise Failure(f"the backlog has only {grown} bytes")
        for relay in self.relays.values():
            relay.say("pass")
        await_empty(self.edge)
        return base, grown

    def cycle(self, times=1):
        """Some roads are away, or all, for a moment; then all is delivered."""
        loads = [self.send(rate=150 * times, seconds=OUTAGE_S + FLOW_S),
                 self.t.grpc_load(self.edge, rate=300 * times, frame=8, retry=True,
                                  drain_seconds=20, seconds=OUTAGE_S + FLOW_S)]
        away = [r for r in self.relays.values() if self.t.random.random() < 0.7]
        for relay in away:
            relay.say(self.t.random.choice(["refuse", "drop", "stall", "reset"]))
        time.sleep(OUTAGE_S)
        for relay in away:
            relay.say("pass")
            relay.say("reset")
        for load in loads:
            self.finish(load)
        await_empty(self.edge)

    def look(self):
        self.samples.append((monotonic(), {
            node.name: (node.rss_kib(), node.descriptors(), node.threads())
            for node in self.nodes}))


def growth(samples, name):
    """KiB over all the time, by the median slope."""
    points = [(at, held[name][0]) for at, held in samples]
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in itertools.combinations(points, 2)]
    return round(statistics.median(slopes) * (points[-1][0] - points[0][0]))


def judge(samples, name):
    grown = growth(samples, name)
    third = max(1, len(samples) // 3)
    figures = {"cycles": len(samples), "kib": [samples[0][1][name][0], samples[-1][1][name][0]],
               "growth_kib": grown}
    if grown > GROWTH_KIB:
        raise Failure(f"{name}: grows by {grown} KiB in {len(samples)} cycles: "
                      f"{[held[name][0] for _, held in samples]}")
    for place, what in ((1, "descriptors"), (2, "threads")):
        first = max(held[name][place] for _, held in samples[:third])
        last = max(held[name][place] for _, held in samples[-third:])
        figures[what] = [first, last]
        if last > first + MORE_ALLOWED:
            raise Failure(f"{name}: {first} {what} at first, {last} in the end")
    return figures


def await_spool(edge, base):
    def small():
        database, log = spool_bytes(edge)
        return database <= base + KEPT_BYTES and log <= LOG_BYTES
    wait_for(small, SPOOL_S, f"the spool's files to be small, {base} bytes at first, now "
             f"{spool_bytes(edge)}", 0.2)
    return spool_bytes(edge)


def run(t):
    soak = Soak(t)
    base, grown = soak.backlog()
    say(f"backlog: the spool's files have grown from {base} to {grown} bytes")
    for _ in range(WARM_CYCLES):
        soak.cycle(WARM_TIMES)
    end = monotonic() + ((t.minutes * 60) if t.long else SHORT_S * SLOW)
    while monotonic() < end or len(soak.samples) < LEAST_CYCLES:
        soak.cycle()
        soak.look()
    t.figure(accepted=soak.accepted, spool={"base": base, "backlog": grown,
                                            "end": await_spool(soak.edge, base)},
             **{node.name: judge(soak.samples, node.name) for node in soak.nodes})
    t.conclude(soak.server, [soak.edge], seconds=PATIENCE_S)
    soak.broker.kill()


main(run, minutes=LONG_MINUTES)
