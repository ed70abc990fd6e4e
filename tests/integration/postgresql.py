#!/usr/bin/env python3
"""Server nodes on PostgreSQL: one that starts before its database, or beside a locked one, two that
share one and their cameras, what a node says about a wrong address, and that no secret is shown.
"""

import contextlib
import json
import os
import subprocess
import threading

import common_path  # noqa: F401
from harness import Failure, main, wait_for
from websocket_nodes import add_listener
from websocket_peer import TEXT, Peer

PATIENCE_S = 30
TIME = "2024-01-15T10:30:00.000Z"


def expect(condition, what):
    if not condition:
        raise Failure(what)


def detection(node, number, camera="CAM001"):
    return node.post("/api/lpr/data", {
        "message_id": f"0190a6f0-1234-7abc-8def-{number:012d}", "timestamp": TIME,
        "protocol": "rest", "edge_device_id": camera, "data_type": "detection",
        "payload": {"checkpoint_id": "CP1", "ocr_results": [f"P{number}"]}, "metadata": {}})


def result(reply):
    expect(reply.status == 200, f"POST /api/lpr/data: {reply.status} {reply.body[:300]}")
    return reply.json()["results"][0]


def statistics(node):
    return node.get("/api/statistics").json()["data"]


def store_health(node):
    components = node.get("/api/health").json()["components"]
    return [c for c in components if c["name"] == "store"]


def starts_before_its_database(t):
    database = t.postgres()
    server = t.server(name="early")
    database.stop()
    server.start()
    reply = detection(server, 1)
    expect(reply.status == 503 and reply.headers.get("Retry-After"),
           f"without a database: {reply.status} {dict(reply.headers)}")
    wait_for(lambda: store_health(server) and store_health(server)[0]["status"] == "unhealthy",
             PATIENCE_S, "the store to be shown as unhealthy")
    expect("cannot connect" in store_health(server)[0]["message"], f"{store_health(server)}")
    database.start()
    wait_for(lambda: detection(server, 1).status == 200, PATIENCE_S, "the node to go on by itself")
    wait_for(lambda: store_health(server)[0]["status"] == "healthy", PATIENCE_S,
             "the store to be healthy again")
    metrics = server.get("/metrics").body.decode()
    expect("viaduct_store_up 1" in metrics, f"no metric of the store\n{metrics[:2000]}")
    expect(server.stop() == 0, "the node did not end well")


def two_nodes_share_one(t):
    first = t.server(name="first", node_id="NODE-1")
    second = t.server(name="second", node_id="NODE-2", database=first.database)
    first.start()
    second.start()
    for number in range(1, 31):
        node = (first, second)[number % 2]
        expect(result(detection(node, number, f"CAM{number % 3}"))["status"] == "stored", number)
    # The same message over the other node is the same row.
    again = result(detection(first, 1, "CAM1"))
    expect(again["status"] == "duplicate", again)
    for node in (first, second):
        data = statistics(node)
        expect((data["total_detections"], data["unique_cameras"], data["today_detections"]) ==
               (30, 3, 30), f"{node.name}: {data}")
        records = node.get("/api/records?limit=100").json()
        expect(records["total_count"] == 30 and records["returned_count"] == 30, records)
    subscriber_sees_both(t, first, second)
    event = {"event_id": "by-hand", "edge_device_id": "CAM1", "license_plate": "AB 1",
             "metadata": {"note": "x"}}
    expect(first.post("/api/lpr/events", event).status == 201, "event")
    expect(second.post("/api/lpr/events", event).json().get("duplicate") is True, "event again")
    for node in (first, second):
        expect(node.stop() == 0, f"{node.name} did not end well")


def subscriber_sees_both(t, first, second):
    """Messages into one node, with a subscriber at the other: it hears of every commit."""
    for into, at in ((first, second), (second, first)):
        heard = t.grpc_load(into, "--watch", at.control, ledger=False, rate=200, messages=300,
                            seconds=20, window=256, frame=8, drain_seconds=20).result()
        commits = heard["answers"].get("commits heard", 0)
        expect(heard["accepted"] >= 300 and commits >= heard["accepted"],
               f"into {into.name}, heard at {at.name}: {heard}")


class Socket:
    """A Socket.IO session over WebSocket alone."""

    def __init__(self, port):
        self.peer = Peer(port, "/socket.io/?EIO=4&transport=websocket")
        self.peer.socket.settimeout(2 * PATIENCE_S)
        self._await("0")
        self.peer.frame(TEXT, "40")
        self._await("40")

    def _await(self, beginning):
        while True:
            got = self.peer.receive()
            expect(got, f"closed instead of {beginning}")
            text = got[1].decode()
            if text == "2":
                self.peer.frame(TEXT, "3")
            elif text.startswith(beginning):
                return text[len(beginning):]

    def emit(self, event, body=None):
        self.peer.frame(TEXT, "42" + json.dumps([event] if body is None else [event, body]))

    def await_event(self, wanted):
        while True:
            event, *body = json.loads(self._await("42"))
            if event == wanted:
                return body[0]

    def await_status(self, camera, status):
        body = self.await_event("camera_status")
        expect((body["camera_id"], body["status"]) == (camera, status),
               f"expected {camera} {status}, got {body}")

    def close(self):
        self.peer.socket.close()


def register(port, camera):
    session = Socket(port)
    session.emit("camera_register", {"camera_id": camera, "checkpoint_id": "CP1"})
    session.await_event("camera_register")
    return session


def dashboard(port):
    session = Socket(port)
    session.emit("join_dashboard")
    session.await_event("status")
    return session


def shown(node):
    return {c["camera_id"]: c["status"] for c in node.get("/api/cameras").json()["cameras"]}


def cameras_of_both_nodes(t):
    """Cameras that come and go at one node, seen from another; then their node is killed."""
    first = t.server(name="first-cameras", node_id="NODE-1")
    second = t.server(name="second-cameras", node_id="NODE-2", database=first.database)
    here, there = add_listener(first), add_listener(second)
    first.start()
    second.start()
    watching = dashboard(there)
    gone = register(here, "GONE")
    watching.await_status("GONE", "online")
    gone.close()
    watching.await_status("GONE", "offline")
    sessions = [register(here, "KILLED")]
    watching.await_status("KILLED", "online")
    sessions.append(register(here, "BOTH"))
    watching.await_status("BOTH", "online")
    sessions.append(register(there, "BOTH"))
    watching.await_status("BOTH", "online")  # Whoever registers is told again.
    expect(first.post("/api/cameras/register", {"camera_id": "REST", "checkpoint_id": "CP1"})
           .status == 200, "a registration by REST")
    watching.await_status("REST", "online")
    expected = {"GONE": "offline", "KILLED": "online", "BOTH": "online", "REST": "online"}
    for node in (first, second):
        wait_for(lambda n=node: shown(n) == expected, PATIENCE_S,
                 f"the cameras at {node.name}: {shown(node)}")
    first.kill()
    watching.await_status("KILLED", "offline")
    expected["KILLED"] = "offline"
    first.start()
    for node in (first, second):
        wait_for(lambda n=node: shown(n) == expected, PATIENCE_S,
                 f"the cameras at {node.name} after its end: {shown(node)}")
    sessions[2].close()
    watching.await_status("BOTH", "offline")
    for node in (first, second):
        expect(node.stop() == 0, f"{node.name} did not end well")


def hold_detections(database, name):
    """Until it is cancelled."""
    with contextlib.suppress(Failure):
        database.psql("BEGIN; LOCK TABLE detections IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(600)",
                      name)


def starts_though_nobody_says_whose_images_they_are(t):
    """A crash has left images, and the table of detections does not answer in time."""
    server = t.server(name="slow")
    server.start()
    expect(server.stop() == 0, "the first start")
    intent = os.path.join(server.data_dir, "images", ".incoming",
                          "0190a6f0-1234-7abc-8def-000000000001.intent")
    os.symlink("CAM1/CP1/2024/01/15", intent)
    database = t.postgres()
    holder = threading.Thread(target=hold_detections, args=(database, server.database))
    holder.start()
    sleeping = "FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    wait_for(lambda: database.psql(f"SELECT count(*) {sleeping}", "postgres").strip() == "1",
             PATIENCE_S, "the lock")
    server.start()
    expect(os.path.islink(intent), "it forgot the images without asking")
    expect("images of a crash are left" in server.tail(200), server.tail(200))
    database.psql(f"SELECT pg_cancel_backend(pid) {sleeping}", "postgres")
    holder.join()
    wait_for(lambda: detection(server, 1).status == 200, PATIENCE_S, "the node to go on")
    expect(server.stop() == 0, "the second start")
    server.start()
    expect(not os.path.islink(intent), "the images are still left")
    expect(server.stop() == 0, "the third start")


def check(t, section):
    path = os.path.join(t.folder, "check.yaml")
    config = t.base_config("N", os.path.join(t.folder, "check"), None, ["store"])
    config["store"] = {"postgresql": section}
    with open(path, "w") as f:
        json.dump(config, f)
    done = subprocess.run([t.build.program("viaduct-host"), "--config", path, "--check"],
                          capture_output=True, text=True, check=False,
                          env=dict(os.environ, STORE_PASSWORD="s3cret"))
    expect("s3cret" not in done.stdout + done.stderr, f"a password is shown\n{done.stdout}")
    return done


def wrong_addresses_are_named(t):
    good = check(t, {"host": "db", "database": "viaduct", "user": "viaduct",
                     "password": "${STORE_PASSWORD}", "ssl_mode": "verify-full"})
    expect(good.returncode == 0, f"a good section: {good.stdout}")
    for section, wanted in (
            ({"url": "mysql://db/viaduct"}, "store.postgresql.url"),
            ({"url": "postgresql://u:s3cret%zz@db/viaduct"}, "/store/postgresql/url"),
            ({"url": "postgresql://u@db/viaduct?password=s3cret"}, "/store/postgresql/url"),
            ({"host": "db", "ssl_mode": "always"}, "store.postgresql.ssl_mode"),
            ({"hots": "db"}, "host")):
        done = check(t, section)
        expect(done.returncode == 78, f"{section}: {done.returncode} {done.stdout}")
        expect(wanted in done.stdout or wanted.replace(".", "/") in done.stdout,
               f"{section}: {wanted} is not named\n{done.stdout}")


def run(t):
    t.store = "postgresql"
    wrong_addresses_are_named(t)
    starts_before_its_database(t)
    starts_though_nobody_says_whose_images_they_are(t)
    two_nodes_share_one(t)
    cameras_of_both_nodes(t)


main(run, store="postgresql")
