#!/usr/bin/env python3
"""What else happens to an MQTT road: the broker is restarted with and without its memory, the road
to it is cut silently, stalled or reset, the server can not store for a while, two servers share one
subscription, and one of them goes away.
Short: 6 cuts. Long: 100.
"""

import json
import os
import sys
import time

import common_path  # noqa: F401
from broker import Broker
from harness import Failure, main, wait_for
from mqtt_clients import MosquittoTools, paho

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from mqtt_road import edge_on, expect, server_on  # noqa: E402  pylint: disable=wrong-import-position

SHORT_CUTS, LONG_CUTS = 6, 100
PATIENCE_S = 60


def body(number, device):
    return json.dumps({"checkpoint_id": "CP1", "ocr_results": [f"{device}-{number}"],
                       "timestamp": f"2024-01-15T10:30:{number // 1000 % 60:02}."
                                    f"{number % 1000:03}Z"})


def resubscribes_after_broker_restart(t):
    broker = Broker(t, "broker-restart").start()
    server = server_on(t, broker.port, "server-restart", "R1")
    server.start()
    for number, end in enumerate((broker.stop, broker.kill)):
        end()
        broker.start()
        # Whoever publishes before the server is back is heard by the session that the broker has
        # kept; one without memory knows nobody, so the device asks until it is answered.
        def heard(number=number):
            tools = MosquittoTools(broker.port)
            tools.publish("camera/DEV/detections", body(number, "restart"))
            tools.close()
            return server.total_detections() == number + 1
        wait_for(heard, PATIENCE_S, f"the server to subscribe again after {end.__name__}", 0.2)
    expect(server.stop() == 0, f"server: not 0\n{server.tail()}")
    broker.kill()


def cuts(t):
    broker = Broker(t, "broker-cuts").start()
    up, down = t.relay(broker.port), t.relay(broker.port)
    named = {"ack_timeout": 2, "keepalive": 5, "connect_timeout": 2}
    server = server_on(t, down.port, "server-cuts", "C1", keepalive=5, connect_timeout=2)
    edge = edge_on(t, up.port, "edge-cuts", "E1", **named)
    server.start()
    edge.start()
    load = t.http_load(edge.http_port, rate=200, connections=4, seconds=7200, retry=True)
    for number in range(LONG_CUTS if t.long else SHORT_CUTS):
        relay = (up, down)[number % 2]
        cut = t.random.choice(["drop", "stall", "drop up", "stall down", "reset", "refuse"])
        relay.say(f"budget {t.random.randint(1, 40000)} {cut}")
        time.sleep(t.random.uniform(0.1, 1.5))
        relay.say("pass")
        before = server.total_detections()
        wait_for(lambda b=before: server.total_detections() > b, PATIENCE_S,
                 f"messages to flow after {cut}", 0.1)
    load.stop()
    result = load.result()
    if result["accepted"] != result["made"]:
        raise Failure(f"the edge refused while the road was cut: {result}")
    t.figure(cuts={"up": up.say("stats"), "down": down.say("stats")})
    t.conclude(server, [edge], seconds=120)
    broker.kill()


def publish_all(port, device, count):
    client = paho.Client(device, clean_session=False)
    client.connect("127.0.0.1", port)
    client.loop_start()
    sent = [client.publish(f"camera/{device}/detections", body(i, device), qos=1)
            for i in range(count)]
    wait_for(lambda: all(info.is_published() for info in sent), PATIENCE_S, "the broker")
    client.disconnect()
    client.loop_stop()


def servers_share(t):
    """Each message is one server's; what waits for one that is away is there when it comes back."""
    broker = Broker(t, "broker-share").start()
    first = server_on(t, broker.port, "server-a", "A")
    second = server_on(t, broker.port, "server-b", "B")
    first.start()
    second.start()
    publish_all(broker.port, "SHARED", 400)
    def counts():
        return first.total_detections(), second.total_detections()
    wait_for(lambda: sum(counts()) == 400, PATIENCE_S, "400 detections on both")
    expect(min(counts()) >= 50, f"one server did it all: {counts()}")
    first.kill()
    publish_all(broker.port, "ALONE", 200)
    first.start()
    wait_for(lambda: sum(counts()) == 600, PATIENCE_S, "600 detections on both")
    t.figure(shared=counts())
    for node in (first, second):
        expect(node.stop() == 0, f"{node.name}: not 0\n{node.tail()}")
    broker.kill()


def run(t):
    resubscribes_after_broker_restart(t)
    servers_share(t)
    cuts(t)


if __name__ == "__main__":
    main(run)
