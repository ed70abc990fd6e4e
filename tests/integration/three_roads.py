#!/usr/bin/env python3
"""One server and every road to it: a camera that comes over all of them under its many names is one
camera, a message that comes over all of them is one row with one picture, and a detection of 12 MiB
passes over each with its picture unchanged.
"""

import base64
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import threading

import common_path  # noqa: F401
from broker import Broker, mosquitto_program
from harness import Failure, die_with_parent, main, wait_for
from mqtt_clients import MosquittoTools
from mqtt_road import server_on
from websocket_nodes import add_listener

# Where Debian's packages are, also for a Python from elsewhere.
sys.path.append("/usr/lib/python3/dist-packages")
import socketio  # noqa: E402  pylint: disable=wrong-import-position
import websocket  # noqa: E402  pylint: disable=wrong-import-position

PATIENCE_S = 60
TIME = "2024-01-15T10:30:00.000Z"
LARGE_IMAGE = 9 << 20  # As base64 it is 12 MiB.
DURABLE = ("stored", "duplicate")


def expect(condition, what):
    if not condition:
        raise Failure(what)


def detection(**more):
    return {"type": "detection_result", "checkpoint_id": "CP1", "timestamp": TIME, **more}


def envelope(message_id, camera, **payload):
    return {"message_id": message_id, "timestamp": TIME, "protocol": "rest",
            "edge_device_id": camera, "data_type": "detection",
            "payload": {"checkpoint_id": "CP1", **payload}, "metadata": {}}


@contextlib.contextmanager
def socketio_client(port, transports):
    client = socketio.Client(reconnection=False)
    client.connect(f"http://127.0.0.1:{port}", transports=transports)
    try:
        yield client
    finally:
        client.disconnect()


class Roads:
    """Each method is a road; it returns when the server has answered."""

    def __init__(self, t, server, broker, sockets):
        self.t, self.server, self.broker, self.sockets = t, server, broker, sockets
        self.mqtt_client = MosquittoTools(broker.port)

    def close(self):
        self.mqtt_client.close()

    # The envelope: how it ended.
    def rest(self, message):
        return self.server.post("/api/lpr/data", message).json()["results"][0]["status"]

    def socket_io(self, message):
        with socketio_client(self.sockets, ["websocket"]) as client:
            return client.call("envelope", message, timeout=PATIENCE_S)["status"]

    def raw(self, message):
        return self.ask_raw(message)["result"]

    def mqtt(self, message):
        topic = f"lpr/ack/{message['edge_device_id']}"

        def mine(body):
            return body["message_id"] == message["message_id"]
        heard = len([h for h in self.mqtt_client.on(topic) if mine(h.json())])
        self.mqtt_client.publish(f"lpr/data/edge/{message['edge_device_id']}", json.dumps(message))
        return self.mqtt_client.await_on(topic, heard + 1, mine)[heard].json()["status"]

    def grpc(self, message):
        done = subprocess.run(
            [self.t.build.program("viaductctl"), "-s", self.server.control[len("unix:"):], "-j",
             "send"], input=json.dumps(message), capture_output=True, text=True, check=False)
        if not done.stdout:
            return done.stderr
        result = json.loads(done.stdout)
        word = result.get("result", result)["status"]
        return word[len("RESULT_STATUS_"):].lower()

    def all(self):
        return {"REST": self.rest, "Socket.IO": self.socket_io, "WebSocket": self.raw,
                "MQTT": self.mqtt, "gRPC": self.grpc}

    def ask_raw(self, message):
        peer = websocket.create_connection(f"ws://127.0.0.1:{self.sockets}/", timeout=PATIENCE_S)
        try:
            peer.send(json.dumps(message))
            return json.loads(peer.recv())
        finally:
            peer.close()

    def publish_file(self, topic, body):
        path = os.path.join(self.t.folder, "body.json")
        with open(path, "w") as f:
            json.dump(body, f)
        subprocess.run([mosquitto_program("mosquitto_pub"), "-h", "127.0.0.1", "-p",
                        str(self.broker.port), "-q", "1", "-t", topic, "-f", path], check=True,
                       timeout=PATIENCE_S, preexec_fn=die_with_parent)


def records(server, camera):
    return server.get(f"/api/records?limit=50&camera_id={camera}", timeout=30).json()["records"]


def files_of(server, camera):
    found = []
    for folder, _, names in os.walk(os.path.join(server.data_dir, "images", camera)):
        found += [os.path.join(folder, name) for name in names]
    return found


def one_camera(roads, server):
    """Under another name on each road."""
    camera = "CAM-SAME"
    reply = server.post("/api/cameras/register",
                        {"camera_id": camera, "checkpoint_id": "CP1", "camera_name": "North"})
    expect(reply.status == 200, f"register: {reply.body}")
    reply = server.post("/api/detection", detection(camera_id=camera, ocr_results=["R1"]))
    expect(reply.status == 200, f"REST: {reply.body}")
    with socketio_client(roads.sockets, ["polling", "websocket"]) as client:
        answer = client.call("lpr_data", detection(aicamera_id=camera, ocr_results=["S1"]),
                             timeout=PATIENCE_S)
        expect(answer["success"] and answer["camera_id"] == camera, f"Socket.IO: {answer}")
    answer = roads.ask_raw(detection(client_id=camera, ocr_results=["W1"]))
    expect(answer["status"] == "success", f"WebSocket: {answer}")
    roads.mqtt_client.publish("lpr/data", json.dumps(
        detection(device_id=camera, ocr_results=["M1"])))
    roads.mqtt_client.await_on(f"lpr/ack/{camera}", check=lambda b: b["status"] == "stored")
    message = envelope("0190a6f0-1234-7abc-8def-0000000000aa", camera, ocr_results=["G1"])
    expect(roads.grpc(message) == "stored", "gRPC")
    shown = [c for c in server.get("/api/cameras").json()["cameras"] if "SAME" in c["camera_id"]]
    expect(len(shown) == 1, f"one camera, not {shown}")
    expect(shown[0]["detection_count"] == 5 and shown[0]["camera_name"] == "North" and
           shown[0]["registered_at"], f"the camera: {shown}")
    plates = {p["text"] for r in records(server, camera) for p in r["plates"]}
    expect(plates == {"R1", "S1", "W1", "M1", "G1"}, f"plates: {plates}")


def one_row(roads, server, picture):
    """The same message over every road, one after the other."""
    camera = "CAM-ONCE"
    image = base64.b64encode(picture).decode()
    message = envelope("0190a6f0-1234-7abc-8def-0000000000bb", camera, ocr_results=["ONE"],
                       annotated_image=image, cropped_plates=[image])
    words = {name: road(message) for name, road in roads.all().items()}
    expect(list(words.values()) == ["stored"] + ["duplicate"] * 4, f"answers: {words}")
    only_one(server, camera, picture, "one after the other")


def one_row_at_once(roads, server, picture):
    """And over all of them at the same moment, which each road may answer by asking to try again."""
    camera = "CAM-RACE"
    image = base64.b64encode(picture).decode()
    message = envelope("0190a6f0-1234-7abc-8def-0000000000cc", camera, ocr_results=["RACE"],
                       annotated_image=image, cropped_plates=[image])
    words, together = {}, threading.Barrier(len(roads.all()))

    def send(name, road):
        together.wait(PATIENCE_S)

        def durable():
            words[name] = road(message)
            return words[name] in DURABLE

        wait_for(durable, PATIENCE_S, f"{name} to store it")

    threads = [threading.Thread(target=send, args=item) for item in roads.all().items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    expect(len(words) == len(threads) and all(w in DURABLE for w in words.values()),
           f"answers of all roads: {words}")
    expect(list(words.values()).count("stored") == 1, f"it was new once: {words}")
    only_one(server, camera, picture, "at once")


def only_one(server, camera, picture, how):
    rows = records(server, camera)
    expect(len(rows) == 1, f"{how}: one row, not {len(rows)}")
    paths = [rows[0]["annotated_image"], *rows[0]["cropped_plates"]]
    expect(len(paths) == 2 and len(files_of(server, camera)) == 2,
           f"{how}: {paths}, {files_of(server, camera)}")
    for path in paths:
        expect(server.get(path).body == picture, f"{how}: {path} is another picture")


def large_over(roads, server, picture):
    """One camera a road: the name says in the end which one failed."""
    image = base64.b64encode(picture).decode()

    def over_socketio(camera, transports, data):
        with socketio_client(roads.sockets, transports) as client:
            answer = client.call("lpr_data", detection(camera_id=camera, annotated_image=data),
                                 timeout=PATIENCE_S)
            expect(answer["success"], f"{camera}: {str(answer)[:300]}")

    def over_rest(camera):
        reply = server.post("/api/detection", detection(camera_id=camera, annotated_image=image),
                            timeout=PATIENCE_S)
        expect(reply.status == 200, f"{camera}: {reply.status} {reply.body[:300]}")

    def over_raw(camera):
        answer = roads.ask_raw(detection(camera_id=camera, annotated_image=image))
        expect(answer["status"] == "success", f"{camera}: {answer}")

    def over_grpc(camera):
        with open(os.path.join(roads.t.folder, "large.jpg"), "wb") as f:
            f.write(picture)
        result = roads.t.grpc_load(server, "--image", f.name, unary=True, ledger=False, messages=1,
                                   camera=camera, seconds=30, threads=1, drain_seconds=30).result()
        expect(result["accepted"] == 1, f"{camera}: {result}")

    ways = {
        "L-REST": over_rest,
        "L-SIO-TEXT": lambda c: over_socketio(c, ["websocket"], image),
        "L-SIO-BINARY": lambda c: over_socketio(c, ["websocket"], picture),
        "L-SIO-POLLING": lambda c: over_socketio(c, ["polling"], image),
        "L-SIO-POLLING-BINARY": lambda c: over_socketio(c, ["polling"], picture),
        "L-RAW": over_raw,
        "L-MQTT": lambda c: roads.publish_file(
            f"lpr/data/edge/{c}", detection(camera_id=c, annotated_image=image)),
        "L-GRPC": over_grpc,
    }
    for camera, send in ways.items():
        send(camera)
        row = wait_for(lambda c=camera: records(server, c), PATIENCE_S, f"{camera} to be stored")[0]
        expect(row["annotated_image"], f"{camera}: no picture, {row.get('note')}")
        stored = server.get(row["annotated_image"], timeout=30).body
        expect(hashlib.sha256(stored).digest() == hashlib.sha256(picture).digest(),
               f"{camera}: another picture, {len(stored)} bytes")


def run(t):
    broker = Broker(t).start()
    server = server_on(t, broker.port)
    sockets = add_listener(server)
    server.start()
    roads = Roads(t, server, broker, sockets)
    with open(t.picture(), "rb") as f:
        picture = f.read()
    with open(t.picture("LARGE", LARGE_IMAGE, width=6400, height=4000), "rb") as f:
        large = f.read()
    expect(len(large) >= LARGE_IMAGE * 0.9, f"the large picture has {len(large)} bytes")
    try:
        one_camera(roads, server)
        one_row(roads, server, picture)
        one_row_at_once(roads, server, picture)
    finally:
        roads.close()
    large_over(roads, server, large)
    expect(server.stop() == 0, f"{server.name}: not 0\n{server.tail()}")


if __name__ == "__main__":
    main(run)
