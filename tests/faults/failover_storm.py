#!/usr/bin/env python3
"""Fault 7: three roads to the server go down and up in random order, silently or with a reset, now and
then all at once, while cameras send. Nothing is lost or doubled, the edge refuses nothing, it
changes the road no more often than roads have failed, and after the storm it returns to the best.
Short: 15 s. Long: 30 minutes, compressed to three.
"""

import time

import common_path  # noqa: F401
from broker import Broker
from harness import Failure, main, monotonic, wait_for
from processes import SLOW
from relayed_roads import add_roads

SHORT_S, LONG_S = 15, 180
MIN_STAY_S, MAX_STAY_S = 0.1, 1.2
DELAY_MS = {"rest": 2, "websocket": 20, "mqtt": 40}  # Each way: the first is the best.
BEST = "rest"
RETURN_S = 60  # A preference stays 30 s; then the best one must have shown that it is well.
STEADY_LOOKS = 20
PATIENCE_S = 60
# Silence is found out by these.
OPTIONS = {"rest": {"timeout": 1, "connect_timeout": 1},
           "websocket": {"answer_timeout": 1, "connect_timeout": 1},
           "mqtt": {"ack_timeout": 1, "keepalive": 5, "connect_timeout": 2}}


class Storm:
    def __init__(self, t, relays):
        self.random, self.relays = t.random, relays
        self.up = {name: True for name in relays}
        self.failures = 0  # Of a road that was up.
        self.all_down = 0
        for name in relays:
            self.rise(name)

    def rise(self, name):
        relay = self.relays[name]
        relay.say("pass")
        relay.say(f"delay {DELAY_MS[name]}")
        relay.say("reset")  # What fell silent has lost bytes; no connection outlives that.
        self.up[name] = True

    def fall(self, name):
        self.relays[name].say(self.random.choice(["refuse", "refuse", "drop", "stall", "drop down"]))
        self.up[name] = False
        self.failures += 1

    def turn(self):
        name = self.random.choice(list(self.relays))
        (self.fall if self.up[name] else self.rise)(name)
        if not any(self.up.values()):
            self.all_down += 1

    def blow(self, seconds):
        end = monotonic() + seconds
        while monotonic() < end:
            self.turn()
            time.sleep(self.random.uniform(MIN_STAY_S, MAX_STAY_S))

    def end(self):
        for name, up in self.up.items():
            if not up:
                self.rise(name)


def await_best(edge):
    """Until the best road is the edge's choice, and goes on being it; the seconds."""
    begin, in_a_row = monotonic(), 0

    def best():
        nonlocal in_a_row
        link = edge.ctl("gateway", "explain", "--bytes", "600").get("link")
        in_a_row = in_a_row + 1 if link == BEST else 0
        return in_a_row >= STEADY_LOOKS
    wait_for(best, RETURN_S, f"the edge to return to {BEST}", 0.1)
    return round(monotonic() - begin, 1)


def judge_switches(edge, storm):
    """Away from a road that fails, and back at most; and the first choice, and the return."""
    switched = int(edge.ctl("stats", "show")["snapshot"].get("switched", 0))
    if not 1 < switched <= 2 * storm.failures + 2:
        raise Failure(f"{switched} changes of the road for {storm.failures} failures")
    return switched


def run(t):
    broker = Broker(t).start()
    server = t.server()
    edge = t.edge(1)
    relays = add_roads(t, server, edge, broker, OPTIONS)
    edge.config["gateway"]["probe"] = {"interval": "2s", "retry_interval": "1s",
                                       "timeout": "1s"}
    edge.write_config()
    storm = Storm(t, relays)
    server.start()
    edge.start()
    loads = [t.http_load(edge.http_port, rate=100, connections=4, seconds=7200, retry=True),
             t.grpc_load(edge, rate=200, frame=8, seconds=7200, retry=True)]
    wait_for(lambda: server.total_detections() > 100, PATIENCE_S, "messages before the storm")
    storm.blow((LONG_S if t.long else SHORT_S) * SLOW)
    storm.end()
    before = server.total_detections()
    wait_for(lambda: server.total_detections() > before, PATIENCE_S, "messages after the storm")
    returned = await_best(edge)
    switched = judge_switches(edge, storm)
    for load in loads:
        load.stop()
    for load in loads:
        result = load.result()
        if result["accepted"] != result["made"]:
            raise Failure(f"{load.name}: the edge refused in the storm: {result}")
    t.figure(failures=storm.failures, all_down=storm.all_down, returned_after_s=returned,
             switched=switched)
    t.conclude(server, [edge], seconds=PATIENCE_S)
    broker.kill()


main(run, limit=600)
