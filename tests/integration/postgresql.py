#!/usr/bin/env python3
"""Server nodes on PostgreSQL: one that starts before its database, two that share one, what a node
says about a wrong address, and that no secret is shown.
"""

import json
import os
import subprocess

import common_path  # noqa: F401
from harness import Failure, main, wait_for

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
    two_nodes_share_one(t)


main(run, store="postgresql")
