#!/usr/bin/env python3
"""Every row of the table of permissions, asked over the wire: of a real server node by nobody, with
wrong and expired credentials, by every role, by the device itself and by another one. What is asked
and answered here is told apart from `viaductctl auth matrix`, which only says what is meant.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import sys
import time
import uuid

import common_path  # noqa: F401
from broker import Broker
from harness import Failure, main, wait_for
from mqtt_clients import Paho
from mqtt_road import server_on
from websocket_nodes import add_listener

sys.path.append("/usr/lib/python3/dist-packages")
import grpc  # noqa: E402
import socketio  # noqa: E402
import websocket  # noqa: E402

TIME = "2024-01-15T10:30:00.000Z"
SECRET = os.urandom(32)
ISSUER, AUDIENCE = "https://login.site.example", "viaduct"
MINE, OTHER = "CAM001", "CAM002"
PATIENCE_S = 30
# The credentials of each kind of caller; a device asks for what is CAM001's.
CALLERS = ["nobody", "wrong", "expired", "viewer", "operator", "admin", "device", "other device"]
UNKNOWN = {"nobody", "wrong", "expired"}


def expect(condition, what):
    if not condition:
        raise Failure(what)


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(sub, role, secret=SECRET, algorithm="HS256", **changes):
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": sub, "role": role, "iat": now,
              "exp": now + 3600, **changes}
    head = encode(json.dumps({"alg": algorithm, "typ": "JWT", "kid": "k1"}).encode())
    body = encode(json.dumps(claims).encode())
    signed = f"{head}.{body}".encode()
    return f"{head}.{body}.{encode(hmac.new(secret, signed, hashlib.sha256).digest())}"


def tokens():
    past = int(time.time()) - 7200
    return {"nobody": None, "wrong": token("anna", "admin", secret=os.urandom(32)),
            "expired": token("anna", "admin", iat=past, exp=past + 60),
            "viewer": token("vera", "viewer"), "operator": token("olga", "operator"),
            "admin": token("anna", "admin"), "device": token(MINE, "device"),
            "other device": token(OTHER, "device")}


def meant(row, caller):
    """What the table says: True, False, or "own"."""
    if caller in UNKNOWN:
        return row["nobody"] == "yes" and caller == "nobody"
    word = row["device" if caller.endswith("device") else caller]
    if word == "own":
        return caller == "device"
    return word == "yes"


# --- HTTP ---

def detection(device, **more):
    return {"type": "detection_result", "camera_id": device, "checkpoint_id": "CP1",
            "timestamp": TIME, "ocr_results": ["1AB234"], "message_id": str(uuid.uuid4()), **more}


def health(device):
    return {"type": "health_check", "camera_id": device, "checkpoint_id": "CP1", "timestamp": TIME,
            "component": "camera", "status": "PASS", "message_id": str(uuid.uuid4())}


def envelope(device):
    return {"message_id": str(uuid.uuid4()), "timestamp": TIME, "protocol": "rest",
            "edge_device_id": device, "data_type": "detection",
            "payload": {"checkpoint_id": "CP1", "ocr_results": ["ENV"]}, "metadata": {}}


class Http:
    def __init__(self, node, facts):
        self.node = node
        self.bodies = {
            "POST /api/cameras/register": {"camera_id": MINE, "checkpoint_id": "CP1"},
            "POST /api/detection": detection(MINE), "POST /api/health": health(MINE),
            "POST /api/statistics": detection(MINE), "POST /api/lpr/data": envelope(MINE),
            "POST /api/lpr/events": {"edge_device_id": MINE, "license_plate": "X1"},
            "PUT /api/lpr/events/{event_id}": {"license_plate": "X2"},
            "POST /api/devices": {"device_id": "NEW1"}, "PUT /api/devices/{device_id}": {"name": "n"},
            "POST /api/blacklist": {"license_plate": "BAD1", "reason": "test"},
            "PUT /api/cameras/{camera_id}": {"camera_name": "n"},
            "POST /api/login": {}, "POST /api/alerts/{alert_id}/acknowledge": {"note": "n"},
            "POST /api/config/plan": {"yaml": "node: ["},
            "POST /api/config/apply": {"yaml": "node: ["},
            "POST /api/config/confirm": {"revision": 999},
            "POST /api/config/rollback": {"revision": 999}}
        self.queries = {"GET /api/records": f"?camera_id={MINE}",
                        "GET /api/lpr/events": f"?device={MINE}",
                        "GET /api/file_transfers": f"?device={MINE}"}
        self.parameters = {"event_id": facts["event"], "device_id": MINE, "license_plate": "BAD1",
                           "detection_id": facts["record"], "camera_id": MINE, "alert_id": "none",
                           "path...": facts["image"]}

    def ask(self, action, credential, header="Authorization"):
        method, pattern = action.split(" ", 1)
        path = re.sub(r"\{(.*?)\}", lambda m: self.parameters[m.group(1)], pattern)
        headers = {"Content-Type": "application/json"}
        if credential is not None:
            headers[header] = f"Bearer {credential}" if header == "Authorization" else credential
        body = self.bodies.get(action)
        return self.node.request(method, path + self.queries.get(action, ""),
                                 json.dumps(body) if body is not None else None, 20, headers)


def refused(reply):
    """What another device's event answers is that there is none."""
    if reply.status in (401, 403):
        return True
    if reply.status == 404:
        return b"unknown" in reply.body
    results = json.loads(reply.body).get("results") if reply.body[:1] == b"{" else None
    return bool(results) and all("not allowed" in one.get("error", "") for one in results)


def http_rows(rows, http_side, credentials):
    seen = 0
    # What removes comes last, so that everybody before finds something.
    for row in sorted(rows, key=lambda r: r["action"].startswith("DELETE")):
        for caller in CALLERS:
            reply = http_side.ask(row["action"], credentials[caller])
            wanted = meant(row, caller)
            # Nobody is asked for credentials where none are needed, but wrong ones are wrong.
            expect(refused(reply) != wanted,
                   f"{row['action']} by {caller}: {reply.status} {reply.body[:200]!r}")
            if caller in UNKNOWN and not wanted:
                expect(reply.status == 401 and reply.headers["WWW-Authenticate"],
                       f"{row['action']} by {caller}: {reply.status} {reply.headers}")
            expect(reply.status < 500 or reply.status == 501,
                   f"{row['action']} by {caller}: {reply.status} {reply.body[:200]!r}")
            seen += 1
    return seen


# --- Events ---

# 1 x 1, grey.
JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAAgGBgcGBQgHBwcJCQgKDBQNDAsLDBkSEw8UHRofHh0aHBwgJC4nICIsIxwc"
    "KDcpLDAxNDQ0Hyc5PTgyPC4zNDL/wAALCAABAAEBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAACf/EABQQAQAAAAAAAAAA"
    "AAAAAAAAAAD/2gAIAQEAAD8AVN//2Q==")
EVENTS = {"camera_register": {"camera_id": MINE, "checkpoint_id": "CP1"},
          "lpr_data": detection(MINE), "health_status": health(MINE), "ping": {},
          "join_dashboard": {}, "join_health_room": {},
          "message": {"content": detection(MINE)},
          "image": {"camera_id": MINE, "checkpoint_id": "CP1", "data": base64.b64encode(JPEG).decode(),
                    "filename": "detection_20240115_103000.jpg"},
          "envelope": envelope(MINE),
          "node_register": {"type": "node_register", "device_id": MINE}}
# What the answer says of somebody who may not; anything else is an answer to the content.
NOT_ALLOWED = re.compile(r"not allowed|credentials: (missing|not accepted|expired)")


def event_answer(port, credential, event, body):
    """What is said to an event, or to the attempt: sessions of nobody are closed."""
    client = socketio.Client(reconnection=False)
    heard = []
    client.on("*", lambda name, data=None: heard.append(json.dumps(data)))
    headers = {"Authorization": f"Bearer {credential}"} if credential else {}
    answer = []
    try:
        client.connect(f"http://127.0.0.1:{port}", transports=["websocket"], headers=headers)
        client.emit(event, body, callback=lambda *said: answer.append(json.dumps(said)))
        # The library waits for its own writer before it says that it was closed.
        wait_for(lambda: answer or client.eio.state != "connected" or
                 any("credentials: " in said for said in heard), PATIENCE_S, f"an answer to {event}")
    except (socketio.exceptions.ConnectionError, socketio.exceptions.BadNamespaceError):
        pass  # Closed before it could be said.
    finally:
        client.disconnect()
    return " ".join([*answer, *heard]) if answer else "credentials: not accepted, closed"


def plain_answer(port, credential, body):
    headers = {"Authorization": f"Bearer {credential}"} if credential else {}
    try:
        peer = websocket.create_connection(f"ws://127.0.0.1:{port}/", timeout=PATIENCE_S,
                                           header=headers)
    except websocket.WebSocketBadStatusException as why:
        return f"credentials: not accepted, at connect, {why}"
    try:
        peer.send(json.dumps(body))
        return peer.recv() or "credentials: not accepted, closed"
    finally:
        peer.close()


def event_rows(rows, port, credentials):
    seen = 0
    for row in rows:
        action = row["action"]
        if action == "control_response":
            continue  # Answers to nothing are ignored for everybody: fleet_calls_test.cc.
        for caller in CALLERS:
            if action == "(plain message)":
                answer = plain_answer(port, credentials[caller], detection(MINE))
            else:
                answer = event_answer(port, credentials[caller], action, EVENTS[action])
            expect(bool(NOT_ALLOWED.search(answer)) != meant(row, caller),
                   f"event {action} by {caller}: {answer[:300]}")
            seen += 1
    return seen


# --- RPCs ---

def rpc_code(channel, method, credential, stream):
    """With an empty message: who may call is told what is wrong with it."""
    metadata = [("authorization", f"Bearer {credential}")] if credential else []
    path = f"/{method}"
    try:
        if stream == "unary":
            channel.unary_unary(path)(b"", metadata=metadata, timeout=PATIENCE_S)
        elif stream == "server":
            call = channel.unary_stream(path)(b"", metadata=metadata, timeout=3)
            next(iter(call))
            call.cancel()
        else:
            channel.stream_unary(path)(iter([b""]), metadata=metadata, timeout=PATIENCE_S)
    except StopIteration:
        pass
    except grpc.RpcError as error:
        return error.code(), error.details()
    return grpc.StatusCode.OK, ""


STREAMS = {"Watch": "server", "WatchAlerts": "server", "WatchNodes": "server", "Tail": "server",
           "Subscribe": "server", "SendMetadataStream": "both", "SendFileStream": "client",
           "Export": "server"}
# Would end the node that is asked, or what the others need.
LAST = ("Node/Drain", "Instances/Stop", "Instances/Drain", "Instances/Restart")


def foreign_calls(channel, row, credentials):
    """Services of gRPC's own: who may not is cancelled."""
    method = row["action"].replace("*", "GetServers")
    stream = {"Watch": "server", "ServerReflectionInfo": "both"}.get(method.rsplit("/", 1)[1], "unary")
    for caller in CALLERS[1:]:
        code, why = rpc_code(channel, method, credentials[caller], stream)
        # Wrong credentials are no matter where none are asked for.
        wanted = meant(row, caller) or row["nobody"] == "yes"
        expect((code != grpc.StatusCode.CANCELLED) == wanted, f"{method} by {caller}: {code} {why}")
    return len(CALLERS) - 1


def rpc_rows(rows, control, credentials):
    seen = 0
    no = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
    with grpc.insecure_channel(control) as channel:
        for row in rows:
            method = row["action"]
            if method.endswith(LAST):
                continue
            if method.startswith("grpc."):
                seen += foreign_calls(channel, row, credentials)
                continue
            stream = STREAMS.get(method.rsplit("/", 1)[1], "unary")
            for caller in CALLERS:
                if caller == "nobody":
                    continue  # Behind the socket is always somebody.
                code, why = rpc_code(channel, method, credentials[caller], stream)
                wanted = meant(row, caller)
                # Their messages are empty: whose they are is not known.
                if row["device"] == "own" and caller.endswith("device"):
                    continue
                expect((code not in no) == wanted, f"{method} by {caller}: {code} {why}")
                if caller in UNKNOWN:
                    expect(code == grpc.StatusCode.UNAUTHENTICATED, f"{method} by {caller}: {code}")
                seen += 1
        for row in rows:
            if not row["action"].endswith(LAST):
                continue
            for caller in CALLERS[1:]:
                if meant(row, caller):
                    continue
                code, why = rpc_code(channel, row["action"], credentials[caller], "unary")
                expect(code in no, f"{row['action']} by {caller}: {code} {why}")
                seen += 1
    return seen


# --- Topics ---

def topic_rows(rows, server, broker, admin):
    """Through a broker that is believed for CAM*: what cameras may say of themselves, and not of
    others; nothing that they may not say at all."""
    seen = 0
    client = Paho(broker.port)
    payloads = {"health": health, "detection": detection, "detections": detection,
                "config": lambda d: {"type": "camera_register", "camera_id": d, "checkpoint_id": "C"},
                "status": lambda d: {"status": "online", "device_id": d}}
    try:
        for row in rows:
            verb, pattern = row["action"].split(" ", 1)
            if verb != "publish" or "{" not in pattern or pattern.endswith("/response"):
                continue  # Without a device in it each message is asked by itself, as below.
            if "/control" in pattern:
                continue  # Heard by roads, not by servers: access_test.cc.
            for device in (MINE, "EDGE9"):
                topic = re.sub(r"\{.*?\}", device, pattern)
                body = payloads.get(pattern.rsplit("/", 1)[1], detection)(device)
                before = len(client.on("lpr/data/error"))
                client.publish(topic, json.dumps(body))
                if device != MINE:
                    wait_for(lambda b=before: [h for h in client.on("lpr/data/error")[b:]
                                               if "not allowed" in h.payload],
                             PATIENCE_S, f"{topic} refused")
                seen += 1
        for device, answer in (("EDGE9", "lpr/data/error"), (MINE, "lpr/data/processed")):
            message = envelope(device)
            client.publish("lpr/data", json.dumps(message))
            heard = client.await_on(answer, check=lambda said, m=message:
                                    said["message_id"] == m["message_id"])[0].json()
            expect(("not allowed" in heard.get("error", "")) == (device != MINE), f"{heard}")
        cameras = server.get("/api/cameras", headers=admin).json()["cameras"]
        expect("EDGE9" not in {c["camera_id"] for c in cameras}, f"cameras: {cameras}")
    finally:
        client.close()
    return seen + 2


# --- The trial ---

def guarded_server(t, broker):
    secret = os.path.join(t.folder, "jwt.secret")
    with open(os.open(secret, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        file.write(SECRET)
    server = server_on(t, broker.port)
    server.config["auth"] = {
        "brokers": [{"instance": "mqtt", "devices": ["CAM*"]}],
        "tokens": {"issuer": ISSUER, "audience": AUDIENCE,
                   "keys": [{"kid": "k1", "algorithm": "HS256", "file": secret}]},
        "limits": {"failures": {"per_second": 1000, "burst": 10000},
                   "address": {"per_second": 100000, "burst": 100000}}}
    server.write_config()
    return server


def run(t):
    credentials = tokens()
    broker = Broker(t).start()
    server = guarded_server(t, broker)
    sockets = add_listener(server)
    server.start()
    admin = {"Authorization": f"Bearer {credentials['admin']}"}
    for device in (MINE, OTHER):
        body = detection(device, annotated_image=base64.b64encode(JPEG).decode())
        reply = server.request("POST", "/api/detection", json.dumps(body), 20, admin)
        expect(reply.status == 200, f"detection: {reply.status} {reply.body}")
    event = server.get(f"/api/lpr/events?device={MINE}", headers=admin).json()["events"][0]
    record = server.get(f"/api/records?camera_id={MINE}", headers=admin).json()["records"][0]
    facts = {"event": event["event_id"], "record": record["detection_id"],
             "image": record["annotated_image"].removeprefix("/images/")}

    matrix = server.ctl("auth", "matrix")["permissions"]
    by_surface = {}
    for row in matrix:
        by_surface.setdefault(row["surface"], []).append(row)
    seen = {"http": http_rows(by_surface["http"], Http(server, facts), credentials),
            "event": event_rows(by_surface["event"], sockets, credentials),
            "rpc": rpc_rows(by_surface["rpc"], server.control, credentials),
            "topic": topic_rows(by_surface["topic"], server, broker, admin)}
    lists_are_its_own(server, credentials)
    forged_ids(server, sockets, credentials)
    t.figures.update({f"{surface} rows x callers": count for surface, count in seen.items()})


def lists_are_its_own(server, credentials):
    """A device that asks for no device in particular gets its own rows."""
    header = {"Authorization": f"Bearer {credentials['other device']}"}
    records = server.get("/api/records", headers=header).json()["records"]
    expect(records and {r["camera_id"] for r in records} == {OTHER}, f"records: {records}")
    events = server.get("/api/lpr/events", headers=header).json()["events"]
    expect(events and {e["edge_device_id"] for e in events} == {OTHER}, f"events: {events}")


def forged_ids(server, sockets, credentials):
    """An envelope of one's own with a payload of another's."""
    forged = envelope(OTHER)
    forged["payload"]["camera_id"] = MINE
    header = {"Authorization": f"Bearer {credentials['other device']}",
              "Content-Type": "application/json"}
    reply = server.request("POST", "/api/lpr/data", json.dumps(forged), 20, header)
    expect(refused(reply), f"forged payload: {reply.status} {reply.body}")
    answer = event_answer(sockets, credentials["other device"], "envelope", forged)
    expect(NOT_ALLOWED.search(answer), f"forged payload by event: {answer}")


if __name__ == "__main__":
    main(run)
