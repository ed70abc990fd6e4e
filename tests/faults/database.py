#!/usr/bin/env python3
"""Faults of the database server under load: restarts, a road to it that is cut in the middle of
group commits, and a fail-over to a standby while groups are committed. The server node answers
503 with Retry-After meanwhile, keeps running, and goes on by itself; the edge keeps its spool.
Short: 4 restarts, 8 cuts, 1 fail-over. Long: 40, 80, 5.
"""

import http.client
import time

import common_path  # noqa: F401
from harness import Failure, free_port, main, say, wait_for
from postgres import Postgres

FOREVER_S = 7200
PATIENCE_S = 60
NAMED = {"seconds": FOREVER_S, "retry": True, "drain_seconds": 60, "timeout_ms": 10000}


def start_traffic(t, server, edge):
    return [t.http_load(server.http_port, rate=400, connections=8, **NAMED),
            t.http_load(server.http_port, form="array", batch=32, rate=1500, connections=4,
                        **NAMED),
            t.grpc_load(edge, rate=800, frame=32, window=1024, **NAMED)]


def end_traffic(loads):
    for load in loads:
        load.stop()
    results = [load.result() for load in loads]
    for load, result in zip(loads, results):
        if result["made"] == 0 or result["accepted"] < result["made"]:
            raise Failure(f"{load.name} ended with messages that were never accepted: {result}")
    return {"accepted": sum(r["accepted"] for r in results),
            "retried": sum(r["retried"] for r in results)}


def await_progress(t, server, seconds=PATIENCE_S):
    """More is accepted and counted than was a moment ago."""
    before = len(t.obligations())
    wait_for(lambda: len(t.obligations()) > before and server.total_detections() >= 0, seconds,
             "messages to be accepted again", 0.05)


def detection(server):
    try:
        return server.post("/api/detection", {
            "type": "detection_result", "camera_id": "CAM-X", "checkpoint_id": "CP", "timestamp":
            "2024-01-15T10:30:00Z", "ocr_results": ["REFUSED"]})
    except (OSError, http.client.HTTPException) as e:
        raise Failure(f"the node does not answer while the database is away: {e}") from e


def check_refusal(server):
    """The database is away: writing and reading are refused with the time to come back."""
    reply = wait_for(lambda: (lambda r: r if r.status == 503 else None)(detection(server)), 20,
                     "503 for a detection")
    if not reply.headers.get("Retry-After"):
        raise Failure(f"503 without Retry-After: {reply.body[:300]}")
    if server.get("/api/records").status != 503:
        raise Failure("reading is not answered 503")
    health = server.get("/api/health").json()
    wait_for(lambda: [c for c in server.get("/api/health").json()["components"]
                      if c["name"] == "store" and c["status"] == "unhealthy"], 20,
             f"the store to be shown as unhealthy, {health}")


def restarts(t, rounds):
    server = t.server()
    edge = t.edge(server.http_port)
    server.start()
    edge.start()
    loads = start_traffic(t, server, edge)
    database = t.postgres()
    for number in range(rounds):
        time.sleep(t.random.uniform(0.1, 0.6))
        (database.kill if number % 2 else database.stop)()
        if number < 2:
            check_refusal(server)
        database.start()
        await_progress(t, server)
    t.figure(restarts={"rounds": rounds, **end_traffic(loads)})
    t.conclude(server, [edge], seconds=PATIENCE_S)


def cuts(t, rounds):
    """A relay between node and database ends connections after some bytes: in the middle of a
    group's rows, of its commit, of the answer to the commit."""
    relay = t.relay(t.postgres().port)
    name = t.postgres().new_database()
    server = t.server(name="cut-server", database=name)
    server.config["store"]["postgresql"]["url"] = t.postgres().url(name, relay.port)
    server.write_config()
    edge = t.edge(server.http_port, name="cut-edge")
    server.start()
    edge.start()
    loads = start_traffic(t, server, edge)
    for number in range(rounds):
        time.sleep(t.random.uniform(0.05, 0.3))
        if number % 2:
            relay.say(f"budget {t.random.randrange(1, 300000)} reset")
            time.sleep(t.random.uniform(0.05, 0.3))
            relay.say("pass")
        else:
            relay.say("reset")
        await_progress(t, server)
    t.figure(cuts={"rounds": rounds, **end_traffic(loads)})
    t.conclude(server, [edge], seconds=PATIENCE_S)


def failover(t, number):
    primary = Postgres()
    t.cleanups.append(primary.close)
    standby = Postgres(standby_of=primary)
    t.cleanups.append(standby.close)
    name = primary.new_database()
    primary.wait_for_standby()
    port = free_port()
    server = t.server(name=f"failover-server{number}", port=port, database=name)
    server.config["store"]["postgresql"] = {
        "url": f"postgresql://viaduct@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/{name}"
               "?target_session_attrs=read-write"}
    server.write_config()
    edge = t.edge(server.http_port, name=f"failover-edge{number}")
    server.start()
    edge.start()
    loads = start_traffic(t, server, edge)
    time.sleep(t.random.uniform(0.5, 1.5))
    primary.kill()
    check_refusal(server)
    standby.promote()
    await_progress(t, server)
    t.figure(failover=end_traffic(loads))
    was, t._postgres = t._postgres, standby  # What the judge reads.
    t.conclude(server, [edge], seconds=PATIENCE_S)
    t._postgres = was


def forget(t):
    for path in list(t.logs):
        t.logs.remove(path)
    t.nodes.clear()
    t.loads.clear()


def run(t):
    t.store = "postgresql"
    for part, short, long in ((restarts, 4, 40), (cuts, 8, 80)):
        part(t, long if t.long else short)
        say(f"{part.__name__}: {t.figures.get('ledger')}")
        forget(t)
    for number in range(5 if t.long else 1):
        failover(t, number)
        forget(t)


main(run, limit=600, store="postgresql")
