#!/usr/bin/env python3
"""Clients that others wrote (mosquitto's, paho, npm's mqtt) publish on every topic of
docs/WIRE.md, in both versions of MQTT, and read the answers. What is wrong is answered once and
never comes again.
"""

import json

import common_path  # noqa: F401
from broker import Broker
from harness import main, wait_for
from mqtt_clients import MosquittoTools, MqttJs, Paho, paho
from mqtt_road import TIME, edge_on, expect, server_on

PATIENCE_S = 20
EDGE = "EDGE1"


def statistics(server):
    return server.get("/api/statistics").json()["data"]


def device_status(server, device):
    reply = server.get(f"/api/devices/{device}")
    return reply.json()["device"]["status"] if reply.status == 200 else ""


class Session:
    """All rows of the table, by one client, under names of its own."""

    def __init__(self, server, client, name):
        self.server, self.client, self.name = server, client, name
        self.camera = f"CAM-{name}"
        self.count = 0

    def detection(self, **more):
        self.count += 1
        return {"checkpoint_id": "CP1", "timestamp": TIME,
                "ocr_results": [f"{self.name}-{self.count}"], **more}

    def publish(self, topic, body, **more):
        self.client.publish(topic, body if isinstance(body, str) else json.dumps(body), **more)

    def grows(self, what, topic, body, by=1, **more):
        before = statistics(self.server)[what]
        self.publish(topic, body, **more)
        wait_for(lambda: statistics(self.server)[what] == before + by, PATIENCE_S,
                 f"{what} to grow by {topic} of {self.name}")

    def envelopes(self):
        topic, ack = f"lpr/data/edge/{self.camera}", f"lpr/ack/{self.camera}"
        envelope = {"message_id": f"m-{self.name}", "timestamp": TIME, "protocol": "mqtt",
                    "edge_device_id": self.camera, "data_type": "detection",
                    "payload": self.detection(), "metadata": {}}
        self.grows("total_detections", topic, envelope)
        stored = self.client.await_on(ack)[0].json()
        expect(stored["message_id"] == envelope["message_id"] and stored["status"] == "stored",
               f"{self.name}: {stored}")
        self.client.await_on("lpr/data/processed", check=lambda b: b == stored)
        self.publish(topic, envelope)
        self.client.await_on(ack, check=lambda b: b["status"] == "duplicate")
        flat = self.detection(type="detection_result", camera_id=self.camera,
                              message_id=f"f-{self.name}")
        self.grows("total_detections", "lpr/data", flat)
        self.client.await_on(ack, check=lambda b: b["message_id"] == f"f-{self.name}")

    def bad_payloads(self):
        ack = f"lpr/ack/{self.camera}"
        for number, bad in enumerate(("{", "[7]", '{"type": "weather"}', "\xff\xfe")):
            self.publish(f"lpr/data/edge/{self.camera}", bad)
            self.client.await_on(ack, number + 1, lambda b: b["status"] == "rejected")
        self.client.await_on("lpr/data/error", 4)

    def cameras_of_the_server(self):
        camera = f"lprserver/cameras/{self.camera}"
        body = {"message_id": f"d-{self.name}", "timestamp": TIME, "camera_id": self.camera,
                "checkpoint_id": "CP1", "metadata": {},
                "detection_data": {"vehicles_count": 1, "plates_count": 1, "processing_time_ms": 9,
                                   "vehicles": [{}],
                                   "plates": [{"plate_number": f"P{self.name}",
                                               "confidence": 0.9, "province": "BKK"}]}}
        self.grows("total_detections", camera + "/detection", body)
        ack = self.client.await_on(camera + "/detection/ack")[0].json()
        expect(ack["original_message_id"] == body["message_id"] and ack["status"] == "processed" and
               ack["camera_id"] == self.camera and ack["timestamp"] and ack["message_id"],
               f"{self.name}: {ack}")
        self.publish(camera + "/detection", {"message_id": "none", "camera_id": self.camera})
        self.client.await_on(camera + "/detection/ack", check=lambda b: b["status"] == "error")
        self.grows("total_health_checks", camera + "/health",
                   {"component": "disk", "status": "PASS", "timestamp": TIME}, qos=0, retain=True)
        self.publish(camera + "/config", {"resolution": "1080p"}, qos=2, retain=True)

    def field_devices(self):
        self.grows("total_detections", f"camera/{self.camera}/detections", self.detection())
        for topic in (f"camera/{self.camera}/health", f"aicamera/device/{self.camera}/health",
                      f"aicamera/edge/device/{self.camera}/health"):
            self.grows("total_health_checks", topic,
                       {"component": topic, "status": "WARNING", "timestamp": TIME}, qos=0)
        self.publish(f"camera/{self.camera}/status", "online")
        wait_for(lambda: device_status(self.server, self.camera) == "online", PATIENCE_S, "online")
        self.publish(f"system/status/{self.camera}", {"status": "offline"}, retain=True)
        wait_for(lambda: device_status(self.server, self.camera) == "offline", PATIENCE_S,
                 "offline")

    def files(self):
        for kind in ("request", "status"):
            self.publish(f"file/transfer/{kind}", {
                "message_id": f"{kind}-{self.name}", "device_id": self.camera, "timestamp": TIME,
                "file": "a.jpg"})
            self.client.await_on(f"lpr/ack/{self.camera}",
                                 check=lambda b, k=kind: b["message_id"] == f"{k}-{self.name}" and
                                 b["status"] == "stored")

    def commands(self):
        for topic, qos in ((f"system/control/{EDGE}", 1),
                           (f"lprserver/cameras/{EDGE}/control", 2)):
            self.publish(topic, {"message_id": f"c-{self.name}", "command": "get_health"}, qos=qos)
            answer = self.client.await_on(
                topic + "/response", check=lambda b: b["message_id"] == f"c-{self.name}")[0].json()
            expect(answer["success"] and answer["result"]["status"], f"{self.name}: {answer}")

    def run(self):
        try:
            self.envelopes()
            self.bad_payloads()
            self.cameras_of_the_server()
            self.field_devices()
            self.files()
            self.commands()
        finally:
            self.client.close()


def comes_once(t, broker, server):
    """After the server comes again, nothing that was refused does."""
    probe = MosquittoTools(broker.port)
    expect(server.stop() == 0, f"server: not 0\n{server.tail()}")
    server.start()
    wait_for(lambda: statistics(server)["total_detections"] >= 0, PATIENCE_S, "the server")
    probe.publish("lpr/data/edge/LAST", '{"type": "weather"}')
    probe.await_on("lpr/ack/LAST")
    probe.await_on("lpr/data/error")  # Another topic, in its own time.
    errors = [h for h in probe.on("lpr/data/error") if not h.retain]
    expect(len(errors) == 1, f"errors that came again: {[e.payload for e in errors]}")
    probe.close()


def run(t):
    broker = Broker(t).start()
    server = server_on(t, broker.port)
    edge = edge_on(t, broker.port, client_id=EDGE)
    server.start()
    edge.start()
    wait_for(lambda: device_status(server, EDGE) == "online", PATIENCE_S, "the edge to be online")
    port = broker.port
    makers = {"tools5": lambda: MosquittoTools(port),
              "tools3": lambda: MosquittoTools(port, "mqttv311"),
              "paho5": lambda: Paho(port, paho.MQTTv5),
              "paho3": lambda: Paho(port, paho.MQTTv311),
              "js5": lambda: MqttJs(port, 5), "js3": lambda: MqttJs(port, 4)}
    for name, make in makers.items():
        Session(server, make(), name).run()
    comes_once(t, broker, server)
    edge.kill()
    wait_for(lambda: device_status(server, EDGE) == "offline", PATIENCE_S, "the edge's last will")
    expect(server.stop() == 0, f"server: not 0\n{server.tail()}")


if __name__ == "__main__":
    main(run)
