#!/usr/bin/env python3
"""Fault 6, the part that a relay can do, over each road: the way between edge and server is cut
silently, reset, stalled, half open or flaps, in the middle of messages and of acknowledgements. A
lost acknowledgement has one effect. (Names: false_names.py.)
Short: 6 cuts of each road. Long: 100.
"""

import time

import common_path  # noqa: F401
from broker import Broker
from harness import Failure, main, say, wait_for
from relayed_roads import ROADS, add_roads

SHORT_CUTS, LONG_CUTS = 6, 100
PATIENCE_S = 40
FLAPS, FLAP_S = 15, 0.05
# Silence is found out by these.
OPTIONS = {"rest": {"timeout": 1, "connect_timeout": 1},
           "websocket": {"answer_timeout": 1, "connect_timeout": 1},
           "mqtt": {"ack_timeout": 1, "keepalive": 5, "connect_timeout": 2}}


class Way:
    """An edge with one road, which leads through a relay."""

    def __init__(self, t, road, name):
        self.t = t
        self.broker = Broker(t, f"broker-{name}").start()
        self.server = t.server(f"server-{name}")
        self.edge = t.edge(1, f"edge-{name}")
        self.relay = add_roads(t, self.server, self.edge, self.broker, {road: OPTIONS[road]})[road]
        self.server.start()
        self.edge.start()

    def send(self, messages):
        result = self.t.http_load(self.edge.http_port, connections=1, messages=messages,
                                  seconds=20, drain_seconds=20).result()
        if result["accepted"] != messages:
            raise Failure(f"{self.edge.name}: {result}")

    def conclude(self):
        self.t.conclude(self.server, [self.edge], seconds=PATIENCE_S)
        figures = self.t.figures.pop("ledger")["sqlite"]
        self.broker.kill()
        self.t.nodes.clear()
        self.t.logs.clear()
        return figures


def flap(relay):
    for _ in range(FLAPS):
        relay.say("refuse")
        time.sleep(FLAP_S)
        relay.say("pass")
        time.sleep(FLAP_S)


def cut(t, relay):
    """Somewhere in a request or an answer, and for a while."""
    direction = t.random.choice(["", " up", " down"])
    kind = t.random.choice(["drop", "drop", "stall", "stall", "reset", "refuse", "flap"])
    if kind == "flap":
        return flap(relay)
    words = kind + direction if kind in ("drop", "stall") else kind
    relay.say(f"budget {t.random.randint(1, 40000)} {words}")
    time.sleep(t.random.uniform(0.05, 1.2))
    return relay.say("pass")


def cuts(t, road):
    way = Way(t, road, f"cuts-{road}")
    loads = [t.http_load(way.edge.http_port, rate=200, connections=4, seconds=7200, retry=True),
             t.grpc_load(way.edge, rate=800, frame=16, seconds=7200, retry=True)]
    for _ in range(LONG_CUTS if t.long else SHORT_CUTS):
        cut(t, way.relay)
        before = way.server.total_detections()
        wait_for(lambda b=before: way.server.total_detections() > b, PATIENCE_S,
                 "messages to flow after a cut")
    for load in loads:
        load.stop()
    for load in loads:
        result = load.result()
        if result["accepted"] != result["made"]:
            raise Failure(f"{load.name}: the edge refused while the road was cut: {result}")
    passed = way.relay.say("stats")
    return {"relay": passed, "stored": way.conclude()}


def lost_acknowledgement(t, road):
    """The server has the message, its answer never comes: the edge keeps it, sends it again, and the
    server has it once."""
    way = Way(t, road, f"ack-{road}")
    way.send(1)
    wait_for(lambda: way.edge.spool_messages() == 0, PATIENCE_S, "a confirmed message")
    way.relay.say("drop down")
    way.send(1)
    wait_for(lambda: way.server.total_detections() == 2, PATIENCE_S, "the message on the server")
    if way.edge.spool_messages() != 1:
        raise Failure(f"{road}: the edge keeps {way.edge.spool_messages()} messages, one was not acknowledged")
    way.relay.say("pass")
    way.relay.say("reset")
    wait_for(lambda: way.edge.spool_messages() == 0, PATIENCE_S, "the message to be confirmed")
    if way.server.total_detections() != 2:
        raise Failure(f"{road}: {way.server.total_detections()} detections of 2 messages")
    return {"stored": way.conclude()}


def run(t):
    for road in ROADS:
        for part in (lost_acknowledgement, cuts):
            figures = part(t, road)
            t.figure(**{f"{road}, {part.__name__}": figures})
            say(f"{road}, {part.__name__}: {figures}")


main(run)
