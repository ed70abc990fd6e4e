#!/usr/bin/env python3
"""What waited for a server that was away: it follows what is live, no faster than it was told to,
and a type whose order is strict comes in the order of its acceptance, over two roads, through kills
of the edge and of the server, and over REST and WebSocket while their roads are cut, where a camera
with few messages does not wait for one with many. Looked at in the order in which the server's
store took the rows. A spool that is full drops what is worth least, and says so.
Long: ten times as many, with more kills.
"""

import json
import os
import sqlite3
import time

import common_path  # noqa: F401
from harness import Failure, main, monotonic, say, wait_for
from websocket_nodes import add_listener, use_road

TIME = "2024-01-15T10:30:00.000Z"
CAMERAS = 5
RATE = 100
PATIENCE_S = 120


def expect(condition, what):
    if not condition:
        raise Failure(what)


def envelope(message_id, camera, priority="normal", data_type="detection"):
    return {"message_id": message_id, "timestamp": TIME, "protocol": "rest",
            "edge_device_id": camera, "data_type": data_type,
            "payload": {"checkpoint_id": "CP1", "ocr_results": ["1AB2345"]},
            "metadata": {"priority": priority}}


def send(edge, envelopes):
    reply = edge.post("/api/lpr/data", json.dumps(envelopes), timeout=30)
    expect(reply.status == 200, f"edge: {reply.status} {reply.body[:300]}")
    expect(all(r["status"] == "stored" for r in reply.json()["results"]), reply.body[:300])


def stored(server):
    """Ids in the order in which they were stored."""
    database = sqlite3.connect(
        f"file:{os.path.join(server.folder, 'data', 'store.db')}?mode=ro", uri=True)
    try:
        return [row[0] for row in
                database.execute("SELECT message_id FROM detections ORDER BY id")]
    finally:
        database.close()


def live_first(t):
    """The backlog keeps to its rate, and what is live does not wait for it."""
    waiting = 3000
    server = t.server(name="live-server")
    edge = t.edge(server.http_port, name="live-edge",
                  gateway={"retry": {"initial_delay": "50ms", "max_delay": "500ms"},
                           "backlog": {"after": "1s", "rate": RATE}})
    edge.start()
    for begin in range(0, waiting, 250):
        send(edge, [envelope(f"old-{n:05d}", "CAM001") for n in range(begin, begin + 250)])
    time.sleep(1.1)  # Now they are backlog.
    server.start()
    wait_for(lambda: server.total_detections() > 0, PATIENCE_S, "the drain to begin", 0.01)
    begin, before = monotonic(), server.total_detections()
    worst = 0
    for n in range(20):
        sent = monotonic()
        send(edge, [envelope(f"new-{n:05d}", "CAM001")])
        wait_for(lambda n=n: f"new-{n:05d}" in stored(server), PATIENCE_S, "a live message", 0.005)
        worst = max(worst, monotonic() - sent)
    time.sleep(max(0, 3 - (monotonic() - begin)))  # A rate needs its time.
    took, count = monotonic() - begin, server.total_detections() - before - 20
    expect(count > 0, "nothing of the backlog came beside what is live")
    expect(server.total_detections() < waiting, "there was no backlog left to wait behind")
    # A second's worth may go at once.
    expect(count <= RATE * (took + 2), f"{count} of the backlog in {took:.1f} s")
    t.figure(live={"waiting": waiting, "worst_ms": round(1000 * worst, 1),
                   "backlog_per_second": round(count / took, 1)})
    for node in (edge, server):
        node.stop()


def strict_order(t):
    """Five cameras over two roads, whatever their messages' priorities, with kills in between."""
    count = 2000 if t.long else 200
    kills = 6 if t.long else 2
    server = t.server(name="order-server")
    edge = t.edge(server.http_port, name="order-edge",
                  gateway={"retry": {"initial_delay": "20ms", "max_delay": "200ms"},
                           "selection": {"strategy": "round_robin"},
                           "ordering": {"detection": "strict"}})
    second = json.loads(json.dumps(edge.config["instances"][-1]))
    second["name"] = "uplink2"
    edge.config["instances"].append(second)
    edge.write_config()
    edge.start()
    priorities = ("low", "normal", "high")
    sent = {f"CAM{c:03d}": [] for c in range(CAMERAS)}
    for number in range(count):
        batch = []
        for camera, ids in sent.items():
            ids.append(f"{camera}-{number:05d}")
            batch.append(envelope(ids[-1], camera, priorities[(number + len(ids)) % 3]))
        send(edge, batch)
        if number == count // 4:
            server.start()
    total = count * CAMERAS
    for kill in range(kills):
        wait_for(lambda k=kill: server.total_detections() >= total * (k + 1) // (kills + 2),
                 PATIENCE_S, "a part of them", 0.01)
        node = (edge, server)[kill % 2]
        node.kill()
        node.start()
    wait_for(lambda: server.total_detections() >= total, PATIENCE_S, f"{total} messages", 0.05)
    expect_in_order(sent, stored(server))
    t.figure(order={"messages": total, "kills": kills})
    for node in (edge, server):
        node.stop()


def expect_in_order(sent, rows):
    for camera, ids in sent.items():
        came = [i for i in rows if i.startswith(camera)]
        expect(came == ids, f"{camera}: out of order, lost or double: {came[:20]} ...")


def order_over_cut_roads(t):
    """REST and WebSocket: each is cut in turn, silently; the edge starts anew with all of the
    backlog. One camera has far more than is kept in memory of it."""
    many, few = (20000, 300) if t.long else (1500, 60)
    server = t.server(name="cut-server")
    sockets = add_listener(server)
    roads = {"rest": t.relay(server.http_port), "websocket": t.relay(sockets)}
    edge = t.edge(roads["rest"].port, name="cut-edge",
                  gateway={"retry": {"initial_delay": "20ms", "max_delay": "200ms"},
                           "selection": {"strategy": "round_robin"},
                           "ordering": {"detection": "strict"}})
    rest = edge.config["instances"][-1]
    use_road(edge, f"ws://127.0.0.1:{roads['websocket'].port}", form="raw")
    websocket = edge.config["instances"][-1]
    websocket["name"] = "uplink2"
    edge.config["instances"][-1:] = [rest, websocket]
    edge.write_config()
    for node in (server, edge):
        node.start()
    for relay in roads.values():
        relay.say("drop")
    sent = {"CAM000": [f"CAM000-{n:05d}" for n in range(many)],
            "CAM001": [f"CAM001-{n:05d}" for n in range(few)]}
    for camera, ids in sent.items():
        for begin in range(0, len(ids), 250):
            send(edge, [envelope(i, camera) for i in ids[begin:begin + 250]])
    edge.kill()
    edge.start()
    roads["websocket"].say("pass")
    roads["websocket"].say("reset")  # What fell silent has lost bytes.
    wait_for(lambda: server.total_detections() >= few // 2, PATIENCE_S, "the WebSocket road", 0.01)
    roads["rest"].say("pass")
    roads["rest"].say("reset")
    roads["websocket"].say("drop")
    at_the_cut = server.total_detections()
    wait_for(lambda: server.total_detections() >= at_the_cut + few, PATIENCE_S, "the REST road",
             0.01)
    edge.kill()
    edge.start()
    roads["websocket"].say("pass")
    roads["websocket"].say("reset")
    total = many + few
    wait_for(lambda: server.total_detections() >= total, PATIENCE_S, f"{total} messages", 0.05)
    rows = stored(server)
    expect_in_order(sent, rows)
    last = max(n for n, i in enumerate(rows) if i.startswith("CAM001"))
    expect(last < 5 * few, f"{few} messages of one camera came among the first {last} of {total}")
    t.figure(cut={"messages": total, "last_of_the_few": last})
    for node in (edge, server):
        node.stop()


def spool_health(edge):
    components = edge.get("/api/health").json()["components"]
    return {one["name"]: one["status"] for one in components}["spool"]


def full_spool_drops(t):
    """drop_oldest_low_priority: messages of low priority go, none of normal priority; metrics and
    health say so."""
    bound, low, normal = 300, 200, 250
    server = t.server(name="drop-server")
    edge = t.edge(server.http_port, name="drop-edge",
                  spool={"path": "spool.db", "max_messages": bound,
                         "when_full": "drop_oldest_low_priority"})
    edge.start()
    send(edge, [envelope(f"low-{n:05d}", "CAM001", "low") for n in range(low)])
    send(edge, [envelope(f"normal-{n:05d}", "CAM001") for n in range(normal)])
    dropped = low + normal - bound
    line = f'viaduct_spool_dropped_total{{reason="full"}} {dropped}'
    wait_for(lambda: line in edge.get("/metrics").body.decode(), PATIENCE_S, line)
    wait_for(lambda: spool_health(edge) == "degraded", PATIENCE_S, "the spool to be degraded")
    server.start()
    wait_for(lambda: server.total_detections() >= bound, PATIENCE_S, f"{bound} messages", 0.05)
    wait_for(lambda: edge.spool_messages() == 0, PATIENCE_S, "the edge to be done")
    rows = stored(server)
    expect(len(rows) == bound, f"{len(rows)} messages came")
    missing = {f"normal-{n:05d}" for n in range(normal)} - set(rows)
    expect(not missing, f"of normal priority: {sorted(missing)[:10]} ...")
    t.figure(full={"bound": bound, "dropped": dropped})
    for node in (edge, server):
        node.stop()


def run(t):
    live_first(t)
    say(f"live first: {json.dumps(t.figures['live'])}")
    strict_order(t)
    order_over_cut_roads(t)
    full_spool_drops(t)


if __name__ == "__main__":
    main(run)
