#!/usr/bin/env python3
"""Fault 10: a peer that takes everything and acknowledges after 30 s or never, over each protocol.

Alone, the edge goes on accepting: its memory stays within what its windows hold. Beside a good road
the edge leaves the slow one: every message, the urgent ones too, is on the server within twice the
time-out of the road that fell silent (what its connections had, then what waited for them) and what
that allows for the bytes under way; from then on all go as fast as if it were not there. When the
peer is well again it has each once.
Short: each protocol once. Long: three times, with five times the traffic.
"""

import hashlib
import json
import sqlite3
import threading
import time
import uuid

import common_path  # noqa: F401
from broker import Broker
from harness import Failure, main, monotonic, say, wait_for
from processes import SLOW
from relayed_roads import ROADS, add_roads

# Above that of the quiet node: two copies of what a window holds, and a claim. The traffic has half
# as much again.
MEMORY_KIB = 40 << 10 if SLOW == 1 else 1 << 20  # A sanitizer keeps what was freed.
WINDOW = 64  # Messages under way on a slow road.
PICTURES, SMALL = 250, 10000
PATIENCE_S = 60
ROAD_TIMEOUT_S = 2  # Of the road that falls silent.
ROAD_TIMEOUTS = 2
BYTES_S = 4 * SLOW  # A second for each 8 KiB that may be under way.
WARM_MESSAGES = 20
SILENT_S = 8
SETTLED_S = ROAD_TIMEOUTS * ROAD_TIMEOUT_S + 1  # From then on nothing is under way on the slow road by mistake.
SETTLED_P90_S = 0.5 * SLOW
EVERY_S = 0.05


class Messages:
    """Hands envelopes of one priority to a node at a steady pace; they carry the time."""

    def __init__(self, t, node, priority):
        self.node, self.priority = node, priority
        self.path, self.prefix = t._new_log(priority)  # pylint: disable=protected-access
        self.going = True
        self.handed = {}  # plate -> when, by the monotonic clock
        self.thread = threading.Thread(target=self._go, daemon=True)
        self.thread.start()

    def _go(self):
        due = monotonic()
        with open(self.path, "w", buffering=1) as log:
            while self.going:
                due = max(due + EVERY_S, monotonic())
                time.sleep(max(0, due - monotonic()))
                self._hand(f"{self.prefix}{len(self.handed):06}", log)

    def _hand(self, plate, log):
        payload = {"camera_id": "CAM001", "checkpoint_id": "CP1", "ocr_results": [plate],
                   "type": "detection_result"}
        text = json.dumps(payload, sort_keys=True, separators=(",", ":"))
        stamp = time.time()
        self.handed[plate] = monotonic()
        log.write(f"claimed {plate} {hashlib.sha256(text.encode()).hexdigest()[:32]}\n")
        reply = self.node.post("/api/lpr/data", {
            "message_id": str(uuid.uuid4()), "protocol": "rest", "edge_device_id": "CAM001",
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(stamp)) +
                         f".{int(stamp % 1 * 1000):03}Z",
            "data_type": "detection", "payload": payload, "metadata": {"priority": self.priority}})
        if reply.status != 200:
            raise Failure(f"{self.node.name}: {reply.status} {reply.body[:200]}")
        log.write(f"accepted {plate}\n")

    def stop(self):
        self.going = False
        self.thread.join(PATIENCE_S)


def seconds_on_the_way(server):
    """plate -> from the capture to the arrival, of a stopped server."""
    with sqlite3.connect(f"file:{server.store_path}?mode=ro", uri=True) as db:
        return dict(db.execute("SELECT json_extract(payload, '$.ocr_results[0]'), "
                               "(arrived_at - captured_at) / 1000.0 FROM detections").fetchall())


class Peers:
    """A server behind a relay for each protocol, and the edge before them."""

    def __init__(self, t, name, roads):
        self.broker = Broker(t, f"broker-{name}").start()
        self.server = t.server(f"server-{name}")
        self.edge = t.edge(1, f"edge-{name}")
        self.relays = add_roads(t, self.server, self.edge, self.broker, roads)

    def start(self):
        self.server.start()
        self.edge.start()

    def close(self, t):
        self.broker.kill()
        t.nodes.clear()
        t.logs.clear()


def peak_while(node, loads):
    """The most memory the node has while the loads run, in KiB."""
    peak = 0
    while any(load.running() for load in loads):
        peak = max(peak, node.rss_kib())
        time.sleep(0.05)
    return peak


def alone(t, road, times):
    name = f"alone-{road}"
    peers = Peers(t, name, {road: {"window": WINDOW}})
    peers.start()
    t.http_load(peers.edge.http_port, messages=50, seconds=20, drain_seconds=20).result()
    t.await_stored(peers.server)
    quiet = peers.edge.rss_kib()
    before = peers.server.total_detections()
    peers.relays[road].say("drop down")
    picture = t.picture("SP1", 150000)
    loads = [t.http_load(peers.edge.http_port, connections=2, messages=PICTURES * times,
                         seconds=300, image=picture, retry=True, drain_seconds=20),
             t.grpc_load(peers.edge, messages=SMALL * times, seconds=300, frame=32, retry=True,
                         drain_seconds=20)]
    grown = peak_while(peers.edge, loads) - quiet
    for load in loads:
        result = load.result()
        if result["accepted"] != result["made"]:
            raise Failure(f"{name}: the edge refused: {result}")
    if grown > MEMORY_KIB:
        raise Failure(f"{name}: {grown} KiB more than when it was quiet ({quiet} KiB)")
    taken = peers.server.total_detections() - before
    peers.relays[road].say("pass")
    peers.relays[road].say("reset")  # Rather than wait for the time-out of the road.
    t.conclude(peers.server, [peers.edge], seconds=PATIENCE_S * times)
    peers.close(t)
    return {"quiet_kib": quiet, "grown_kib": grown, "taken_without_answer": taken}


def judge_times(name, messages, silent_from, on_the_way):
    """Every message of this priority, by when it was handed over; its figures."""
    settled, slowest = [], 0
    for plate, handed in messages.handed.items():
        took = on_the_way[plate]
        slowest = max(slowest, took)
        if took > ROAD_TIMEOUTS * ROAD_TIMEOUT_S + BYTES_S:
            raise Failure(f"{name}: {messages.priority} {plate} took {took} s, handed "
                          f"{handed - silent_from:.1f} s after the peer fell silent")
        if handed > silent_from + SETTLED_S:
            settled.append(took)
    settled.sort()
    p90 = settled[len(settled) * 9 // 10]
    if p90 > SETTLED_P90_S:
        raise Failure(f"{name}: {messages.priority} still takes {p90} s on a good road")
    return {"slowest_s": slowest, "settled_p90_s": p90, "messages": len(messages.handed)}


def await_road(edge, name):
    """Until the edge would take a message over this road, too."""
    def eligible():
        links = edge.ctl("gateway", "explain", "--bytes", "400").get("links", [])
        return any(link["link"] == name and link.get("eligible") for link in links)
    wait_for(eligible, PATIENCE_S, f"{name} to be ready", 0.1)


def beside(t, road, silence, other):
    name = f"{silence.split()[0]}-{road}"
    timeout = {"rest": "timeout", "websocket": "answer_timeout", "mqtt": "ack_timeout"}[road]
    peers = Peers(t, name, {road: {timeout: ROAD_TIMEOUT_S}, other: {}})
    peers.relays[other].say("refuse")  # So that the one that falls silent is the one in use.
    peers.start()
    await_road(peers.edge, road)
    streams = [Messages(t, peers.edge, priority) for priority in ("high", "normal")]
    wait_for(lambda: peers.server.total_detections() >= WARM_MESSAGES, PATIENCE_S, "messages")
    peers.relays[other].say("pass")
    await_road(peers.edge, other)
    silent_from = monotonic()
    peers.relays[road].say(silence)
    time.sleep(SILENT_S)
    for stream in streams:
        stream.stop()
    peers.relays[road].say("pass")
    peers.relays[road].say("reset")
    t.conclude(peers.server, [peers.edge], seconds=PATIENCE_S)
    on_the_way = seconds_on_the_way(peers.server)
    figures = {stream.priority: judge_times(name, stream, silent_from, on_the_way)
               for stream in streams}
    peers.close(t)
    return figures


def run(t):
    figures = {}
    for road in ROADS:
        figures[f"{road}, alone"] = alone(t, road, 5 if t.long else 1)
        say(f"{road}, alone: {figures[f'{road}, alone']}")
    for number, road in enumerate(ROADS * (3 if t.long else 1)):
        silence = ("drop down", "delay 30000")[number % 2]
        other = ROADS[(ROADS.index(road) + 1) % len(ROADS)]
        figures[f"{road} {silence}, beside"] = beside(t, road, silence, other)
        say(f"{road} {silence}, beside: {figures[f'{road} {silence}, beside']}")
    t.figure(parts=figures)


main(run, limit=600)
