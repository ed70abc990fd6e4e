#!/usr/bin/env python3
"""An edge tells its server how its roads are: two roads behind a relay each, cut one by one and both,
with files and messages that wait. Both stores with --store.
"""

import json
import os
import time

import common_path  # noqa: F401
from harness import Failure, main, wait_for
from relayed_roads import road_to
from websocket_nodes import add_listener

PATIENCE_S = 60
INTERVAL_S = 10
SECRET = "3f1c7d-not-to-be-told"


def expect(condition, what):
    if not condition:
        raise Failure(what)


def nodes_of(server):
    reply = server.get("/api/communication/nodes")
    expect(reply.status == 200, f"nodes: {reply.status} {reply.body[:300]}")
    return {node["node_id"]: node for node in reply.json()["nodes"]}


def states(server):
    node = nodes_of(server).get("EDGE1")
    return {road["link"]: road["state"] for road in node["links"]} if node else {}


def reports(server):
    """All that came, the newest first, as they were sent."""
    health = server.get("/api/cameras/EDGE1/health?limit=1000").json()["health"]
    return [report for report in health if report["component"] == "gateway"]


def detection(number):
    return {"type": "detection_result", "camera_id": "EDGE1", "checkpoint_id": "GATE-1",
            "timestamp": "2024-01-15T10:30:00.000Z", "ocr_results": [f"1AB{number:04d}"]}


def a_site(t):
    server = t.server()
    sockets = add_listener(server)
    server.start()
    edge = t.edge(server.http_port, node_id="EDGE1")
    relays = {"rest": t.relay(server.http_port), "websocket": t.relay(sockets)}
    edge.config["instances"][1:] = [
        road_to("rest", relays["rest"].port, "EDGE1", api_key=SECRET),
        road_to("websocket", relays["websocket"].port, "EDGE1")]
    edge.config["gateway"] = {"report": {"interval": f"{INTERVAL_S}s"}, "probe": {"interval": "1s", "retry_interval": "1s"},
                              "retry": {"initial_delay": "50ms", "max_delay": "500ms"}}
    edge.write_config()
    edge.start()
    return server, edge, relays


def tells_of_all(server, edge):
    picture = os.path.join(edge.data_dir, "transfers", "outgoing", "a picture.jpg")
    os.makedirs(os.path.dirname(picture), exist_ok=True)
    with open(picture, "wb") as f:
        f.write(os.urandom(5000))
    edge.ctl("transfers", "send", picture)  # There is no road for files: it waits.
    expect(edge.post("/api/detection", detection(1)).status == 200, "a detection is taken")
    wait_for(lambda: states(server) == {"rest": "ready", "websocket": "ready"}, PATIENCE_S, "a report of two roads")
    wait_for(lambda: nodes_of(server)["EDGE1"]["files"], PATIENCE_S, "a report with the file")
    node = nodes_of(server)["EDGE1"]
    expect(node["status"] == "healthy" and not node["old"] and node["interval_s"] == INTERVAL_S, f"{node}")
    expect(node["files"][0]["size"] == 5000 and node["files"][0]["status"] == "queued", f"{node['files']}")
    expect([road["plugin"] for road in node["links"]] == ["rest", "websocket"], f"{node['links']}")
    expect(sum(road["recent_share"] or 0 for road in node["links"]) > 0.99, f"shares: {node['links']}")
    expect(all(not road["metered"] for road in node["links"]), f"{node['links']}")
    camera = [c for c in server.get("/api/cameras").json()["cameras"] if c["camera_id"] == "EDGE1"][0]
    expect(camera["checkpoint_id"] == "GATE-1", f"the camera stays where it is: {camera}")


def says_no_secret(t, server, relays):
    text = json.dumps(reports(server))
    for word in (SECRET, "127.0.0.1", t.folder, *(f":{relay.port}" for relay in relays.values())):
        expect(word not in text, f"a report says {word}")
    largest = max(len(json.dumps(report["data"])) for report in reports(server))
    t.figure(largest_report=largest, octets_an_hour_each_minute=largest * 60)
    expect(largest < 4096, f"a report of two roads has {largest} octets")


def tells_of_a_cut(server, relays):
    relays["websocket"].say("refuse")
    wait_for(lambda: states(server).get("websocket") in ("offline", "open"), PATIENCE_S, "a report of the cut")
    node = nodes_of(server)["EDGE1"]
    expect(node["status"] == "warning" and states(server)["rest"] == "ready", f"{node}")
    relays["websocket"].say("pass")
    wait_for(lambda: states(server).get("websocket") == "ready", PATIENCE_S, "a report that it is back")


def leaves_one_report_of_an_outage(server, edge, relays):
    for relay in relays.values():
        relay.say("refuse")
    before = len(reports(server))
    for number in range(20):
        expect(edge.post("/api/detection", detection(100 + number)).status == 200, "spooled")
    begin = time.monotonic()
    wait_for(lambda: time.monotonic() - begin > 3 * INTERVAL_S, 5 * INTERVAL_S, "an outage", interval=0.5)
    waiting = edge.ctl("spool", "list", "--type", "health")["entries"]
    expect(len(waiting) == 1 and waiting[0]["priority"].lower().endswith("low"), f"waiting: {waiting}")
    for relay in relays.values():
        relay.say("pass")
    wait_for(lambda: nodes_of(server)["EDGE1"]["status"] == "healthy", PATIENCE_S, "a report after the outage")
    came = len(reports(server)) - before
    expect(came <= 4, f"{came} reports for one outage")


def is_marked_when_it_is_old(server, edge):
    expect(edge.stop() == 0, "the edge ends well")
    wait_for(lambda: nodes_of(server)["EDGE1"]["old"], PATIENCE_S, "that the report is old", interval=0.5)
    expect(nodes_of(server)["EDGE1"]["age_s"] > 3 * INTERVAL_S, "its age")


def run(t):
    server, edge, relays = a_site(t)
    tells_of_all(server, edge)
    says_no_secret(t, server, relays)
    tells_of_a_cut(server, relays)
    leaves_one_report_of_an_outage(server, edge, relays)
    is_marked_when_it_is_old(server, edge)
    expect(server.stop() == 0, "the server ends well")


if __name__ == "__main__":
    main(run, limit=420)
