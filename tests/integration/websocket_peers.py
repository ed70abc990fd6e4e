#!/usr/bin/env python3
"""A server node whose websocket listener is used by clients that others have written: npm's
socket.io-client over each transport and both paths, Debian's python3-socketio and python3-websocket.
Every row of docs/WIRE.md "Socket.IO" and "Plain WebSocket" is walked through.
"""

import http.client
import json
import os
import re
import subprocess
import sys
import uuid

import common_path  # noqa: F401
from harness import ROOT, Failure, die_with_parent, main, wait_for
from websocket_nodes import add_listener
from websocket_peer import CLOSE, TEXT, Peer

# Where Debian's packages are, also for a Python from elsewhere.
sys.path.append("/usr/lib/python3/dist-packages")
HERE = os.path.dirname(os.path.abspath(__file__))
PATIENCE_S = 60
TIME = "2024-01-15T10:30:00.000Z"
TRANSPORTS = ["websocket", "polling", "polling,websocket"]
PATHS = ["/socket.io/", "/ws/"]
BIG = 12 << 20


def expect(condition, what):
    if not condition:
        raise Failure(what)


def node_script(script, *arguments):
    """Runs a script with the packages of tests/support/npm."""
    environment = dict(os.environ, NODE_PATH=os.path.join(ROOT, "build", "npm", "node_modules"))
    done = subprocess.run(["node", os.path.join(HERE, script), *arguments], env=environment,
                          capture_output=True, text=True, timeout=PATIENCE_S * 3, check=False,
                          preexec_fn=die_with_parent)
    expect(done.returncode == 0, f"{script} {arguments}: {done.stderr[-3000:]}")


def detection(**changes):
    return {"type": "detection_result", "camera_id": "RAW1", "checkpoint_id": "CP9",
            "timestamp": TIME, "ocr_results": ["RAW"], **changes}


def envelope(**changes):
    return {"message_id": str(uuid.uuid4()), "timestamp": TIME, "protocol": "websocket",
            "edge_device_id": "RAW1", "data_type": "detection",
            "payload": {"checkpoint_id": "CP9", "ocr_results": ["ENV"]}, "metadata": {}, **changes}


def python_socketio(port, transports):
    import socketio
    client = socketio.Client(reconnection=False)
    seen = []
    for event in ("camera_register", "lpr_response", "new_detection", "status", "error", "pong"):
        client.on(event, lambda body, name=event: seen.append((name, body)))

    def answer(event):
        wait_for(lambda: any(name == event for name, _ in seen), PATIENCE_S, event)
        return next(body for name, body in seen if name == event)

    camera = f"PY-{len(transports)}{transports[0]}"
    client.connect(f"http://127.0.0.1:{port}", transports=transports)
    try:
        client.emit("join_dashboard")
        expect(answer("status")["message"] == "Joined dashboard room", f"status: {seen}")
        client.emit("camera_register", {"camera_id": camera, "checkpoint_id": "CP2"})
        expect(answer("camera_register")["camera_id"] == camera, f"register: {seen}")
        client.emit("lpr_data", detection(camera_id=camera))
        stored = answer("lpr_response")["detection_id"]
        expect(answer("new_detection")["detection_id"] == stored, f"broadcast: {seen}")
        acknowledged = client.call("envelope", envelope(), timeout=PATIENCE_S)
        expect(acknowledged["status"] == "stored", f"envelope: {acknowledged}")
        client.emit("lpr_data", "nothing")
        answer("error")
        # One large message, whatever the transport.
        large = client.call("lpr_data", detection(camera_id=camera, note="n" * BIG,
                                                  timestamp="2024-01-15T10:31:00.000Z"),
                            timeout=PATIENCE_S)
        expect(large["success"], f"12 MiB: {str(large)[:300]}")
    finally:
        client.disconnect()


def raw_websocket(port):
    import websocket
    peer = websocket.create_connection(f"ws://127.0.0.1:{port}/", timeout=PATIENCE_S)

    def ask(message):
        peer.send(message if isinstance(message, str) else json.dumps(message))
        return json.loads(peer.recv())

    stored = ask(detection())
    expect((stored["status"], stored["type"]) == ("success", "detection_response"), stored)
    expect(stored["message_id"] and stored["detection_id"], stored)
    expect(ask(detection())["result"] == "duplicate", "the same detection twice")
    told = ask({"type": "health_check", "camera_id": "RAW1", "checkpoint_id": "CP9",
                "timestamp": TIME, "component": "disk", "status": "WARNING"})
    expect((told["status"], told["type"]) == ("success", "health_response"), told)
    message = envelope()
    answer = ask(message)
    expect((answer["status"], answer["message_id"]) == ("success", message["message_id"]), answer)
    row = ask({"table": "lpr_detection", "action": "insert",
               "data": {"camera_id": "RAW1", "checkpoint_id": "CP9", "timestamp": TIME,
                        "ocr_results": ["TABLE"]}})
    expect(row["status"] == "success" and row["record_id"], row)
    expect((row["table"], row["action"]) == ("lpr_detection", "insert") and row["message"], row)
    row = ask({"table": "health_monitor", "action": "insert",
               "data": {"camera_id": "RAW1", "component": "cpu", "status": "PASS"}})
    expect(row["status"] == "success" and row["table"] == "health_monitor", row)
    for bad in ("not json", "[]", {"type": "something"}, detection(timestamp="yesterday"),
                {"table": "users", "action": "insert", "data": {}},
                {"table": "lpr_detection", "action": "delete", "data": {}},
                envelope(data_type="nonsense")):
        refused = ask(bad)
        expect(refused["status"] == "error" and refused["message"], f"{bad}: {refused}")
    large = ask(detection(note="n" * BIG, timestamp="2024-01-15T10:32:00.000Z"))
    expect(large["status"] == "success", f"12 MiB: {large}")
    peer.close()


def http_on_the_port(server, port):
    server.http_port, other = port, server.http_port
    try:
        expect(server.get("/api/test").json()["message"] == "Server is running", "GET /api/test")
        reply = server.post("/api/health", {"type": "health_check"})
        expect(reply.status == 400 and "camera_id" in reply.json()["message"], reply.body)
        expect(server.get("/nowhere").status == 404, "GET /nowhere")
        expect(server.request("DELETE", "/api/test", None, 10, {}).status == 405, "DELETE")
        statistics = server.get("/api/statistics").json()["data"]
        expect(statistics["connected_clients"] == 0, f"sessions are left: {statistics}")
        metrics = server.get("/metrics").body.decode()
        expect("viaduct_websocket_sessions_open" in metrics, "no metrics of the listener")
    finally:
        server.http_port = other


def slow_reader(server, port):
    """Asks for much and reads nothing: it is disconnected and counted."""
    slow = Peer(port, "/ws/?EIO=4&transport=websocket")
    slow.frame(TEXT, "40")
    try:
        for _ in range(2000):
            slow.frame(TEXT, '42["ping","' + "x" * 50000 + '"]')
    except OSError:
        pass
    else:
        raise Failure("a peer that reads nothing was never disconnected")

    def counted():
        metrics = server.get("/metrics").body.decode()
        return re.search(r'viaduct_websocket_slow_readers_total\{instance="narrow"\} 1\b', metrics)

    wait_for(counted, PATIENCE_S, "the count of slow readers", 0.2)


class Poller:
    """A session of Socket.IO that polls, with a connection for every request."""

    def __init__(self, port):
        self.port = port
        self.target = "/socket.io/?EIO=4&transport=polling"
        self.target += "&sid=" + json.loads(self.ask("GET")[1:])["sid"]
        self.send("40")
        expect(self.ask("GET").startswith("40"), "no namespace")

    def ask(self, method, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request(method, self.target, body)
            response = connection.getresponse()
            text = response.read().decode()
            expect(response.status == 200, f"{method}: {response.status} {text}")
            return text
        finally:
            connection.close()

    def send(self, *packets):
        expect(self.ask("POST", "\x1e".join(packets)) == "ok", "not taken")


def drain(t, server, name):
    return subprocess.Popen([t.build.program("viaductctl"), "-s", server.control[len("unix:"):],
                             "instances", "drain", name, "--deadline", "30s"],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            preexec_fn=die_with_parent)


def drained_while_polling(t, server, port):
    """A drain lasts until the answers are fetched, but nobody waits for who fetches no events."""
    idle = Poller(port)
    idle.send('42["join_dashboard"]')
    expect("Joined dashboard" in idle.ask("GET"), "not in the room")
    camera = Poller(port)
    events = [["lpr_data", detection(camera_id="POLL", timestamp=f"2024-01-15T10:30:00.{i:03}Z")]
              for i in range(20)]
    camera.send(*("42" + json.dumps(event) for event in events))
    wait_for(lambda: server.get("/api/records?camera_id=POLL").json()["total_count"] == len(events),
             PATIENCE_S, "the detections")
    draining = drain(t, server, "polled")
    try:
        text, _ = draining.communicate(timeout=1)
        raise Failure(f"drained while answers wait to be fetched: {text}")
    except subprocess.TimeoutExpired:
        pass
    answers = 0
    while answers < len(events):
        answers += camera.ask("GET").count('"lpr_response"')
    text, _ = draining.communicate(timeout=PATIENCE_S)
    expect(draining.returncode == 0, f"drain: {text}")


def drained(t, server, port):
    """What a session has sent before a drain is answered or not taken; then it is closed with 1001."""
    peer = Peer(port)
    for i in range(500):
        time = f"2024-01-15T10:30:00.{i:03}Z"
        peer.frame(TEXT, json.dumps(detection(camera_id="DRAIN", timestamp=time)))
    expect(json.loads(peer.receive()[1])["result"] == "stored", "the first")
    draining = drain(t, server, "sockets")
    text, _ = draining.communicate(timeout=PATIENCE_S)
    expect(draining.returncode == 0, f"drain: {text}")
    answered = 1
    while (got := peer.receive())[0] == TEXT:
        expect(json.loads(got[1])["result"] == "stored", f"{got}")
        answered += 1
    expect(got == (CLOSE, b"\x03\xe9the node is stopping"), f"closed with {got}")
    records = server.get("/api/records?camera_id=DRAIN&limit=1").json()
    expect(records["total_count"] == answered, f"{answered} answered, stored {records}")


def run(t):
    server = t.server()
    narrow = add_listener(server, name="narrow", max_unsent_bytes=65536)
    polled = add_listener(server, name="polled")
    port = add_listener(server)
    server.start()
    for path in PATHS:
        for transports in TRANSPORTS:
            node_script("socketio_session.js", f"http://127.0.0.1:{port}", path, transports)
    for transports in (["websocket"], ["polling"], ["polling", "websocket"]):
        python_socketio(port, transports)
    raw_websocket(port)
    wait_for(lambda: server.get("/api/statistics").json()["data"]["connected_clients"] == 0,
             PATIENCE_S, "the end of all sessions")
    slow_reader(server, narrow)
    http_on_the_port(server, port)
    drained_while_polling(t, server, polled)
    drained(t, server, port)
    expect(server.stop() == 0, f"{server.name}: not 0\n{server.tail()}")


if __name__ == "__main__":
    main(run)
