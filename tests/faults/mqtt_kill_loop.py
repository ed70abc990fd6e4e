#!/usr/bin/env python3
"""Fault 1 over MQTT: kill -9 of the edge, the server, the broker, or several, while cameras send to
the edge; then of the server alone, while a device that trusts the broker's acknowledgement
publishes. Every OK that was read must be in the server's store once, unchanged.
Short: 10 rounds and 5. Long: 150 and 60.
"""

import hashlib
import json
import os
import sys
import threading
import time

import common_path  # noqa: F401
from broker import Broker
from harness import Failure, main, wait_for
from mqtt_clients import paho

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from mqtt_road import edge_on, server_on  # noqa: E402  pylint: disable=wrong-import-position

SHORT_ROUNDS, LONG_ROUNDS = 10, 150
SHORT_DEVICE_ROUNDS, LONG_DEVICE_ROUNDS = 5, 60
MIN_PAUSE_S, MAX_PAUSE_S = 0.05, 0.8
FOREVER_S = 7200
ACK_LIMIT_S = 120


class Device:
    """Publishes with QoS 1 and believes its broker. Nothing is sent twice."""

    def __init__(self, t, port):
        self.path, self.prefix = t._new_log("mqtt")  # pylint: disable=protected-access
        self.client = paho.Client("device", clean_session=False)
        self.client.max_inflight_messages_set(50)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.going = True
        self.sent = []
        self.thread = threading.Thread(target=self._publish)
        self.thread.start()

    def _publish(self):
        while self.going:
            number = len(self.sent)
            plate = f"{self.prefix}{number}"
            stamp = f"2024-01-15T10:{number // 60000 % 60:02}:{number // 1000 % 60:02}." \
                    f"{number % 1000:03}Z"
            text = json.dumps({"camera_id": "DEV1", "checkpoint_id": "CP1",
                               "ocr_results": [plate], "timestamp": stamp,
                               "type": "detection_result"}, sort_keys=True, separators=(",", ":"))
            info = self.client.publish("camera/DEV1/detections", text, qos=1)
            digest = hashlib.sha256(text.encode()).hexdigest()[:32]
            self.sent.append((plate, digest, info))
            time.sleep(0.002)

    def finish(self):
        """Waits until the broker has acknowledged all, and writes the log."""
        self.going = False
        self.thread.join()
        try:
            wait_for(lambda: all(info.is_published() for _, _, info in self.sent), ACK_LIMIT_S,
                     "the broker to acknowledge the device")
        finally:
            self.client.disconnect()
            self.client.loop_stop()
            with open(self.path, "w") as out:
                for plate, digest, info in self.sent:
                    out.write(f"claimed {plate} {digest}\n")
                    if info.is_published():
                        out.write(f"accepted {plate}\n")
        return len(self.sent)


def kill_some(t, victims, killed):
    for victim in victims:
        if not victim.alive():
            raise Failure(f"{victim.name} died by itself\n{victim.tail()}")
        victim.kill()
        killed[victim.name] += 1
    time.sleep(t.random.uniform(0, 0.2))
    for victim in victims:
        victim.start()


def cameras(t, broker, server, edge, killed):
    named = {"seconds": FOREVER_S, "retry": True, "drain_seconds": 60, "timeout_ms": 5000}
    loads = [t.http_load(edge.http_port, rate=200, connections=4, **named),
             t.http_load(edge.http_port, form="array", batch=16, rate=400, connections=2, **named),
             t.http_load(edge.http_port, rate=10, connections=1,
                         image=t.picture("KM1", 20000, 320, 180), **named)]
    for _ in range(LONG_ROUNDS if t.long else SHORT_ROUNDS):
        time.sleep(t.random.uniform(MIN_PAUSE_S, MAX_PAUSE_S))
        kill_some(t, t.random.choice([[edge], [server], [broker], [edge, broker],
                                      [server, broker], [edge, server, broker]]), killed)
    for load in loads:
        load.stop()
    for load in loads:
        result = load.result()
        if result["made"] == 0 or result["accepted"] < result["made"]:
            raise Failure(f"{load.name} ended with messages that were never accepted: {result}")


def run(t):
    broker = Broker(t).start()
    server = server_on(t, broker.port)
    # An answer that was lost with the broker is missed soon.
    edge = edge_on(t, broker.port, ack_timeout=2)
    server.start()
    edge.start()
    killed = {"edge": 0, "server": 0, "broker": 0}
    cameras(t, broker, server, edge, killed)
    t.await_stored(server, 120)
    device = Device(t, broker.port)
    for _ in range(LONG_DEVICE_ROUNDS if t.long else SHORT_DEVICE_ROUNDS):
        time.sleep(t.random.uniform(MIN_PAUSE_S, MAX_PAUSE_S))
        kill_some(t, [server], killed)
    published = device.finish()
    t.figure(killed=killed, published_by_a_device=published)
    t.conclude(server, [edge], seconds=120)


if __name__ == "__main__":
    main(run)
