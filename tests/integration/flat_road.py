#!/usr/bin/env python3
"""An edge node whose road speaks the flat form to a server of the older kind: what it takes in
whatever form arrives there once, under the id that the edge has answered, and nothing is set aside.
"""

import json
import subprocess

import common_path  # noqa: F401
from harness import Failure, main, wait_for

PATIENCE_S = 30
TIME = "2024-01-15T10:30:00.000Z"


def expect(condition, what):
    if not condition:
        raise Failure(what)


def post(node, path, body):
    reply = node.post(path, json.dumps(body))
    expect(reply.status == 200, f"POST {path}: {reply.status} {reply.body[:300]}")
    return reply.json()


def envelope(message_id, data_type, payload):
    return {"message_id": message_id, "timestamp": TIME, "protocol": "rest",
            "edge_device_id": "CAM007", "data_type": data_type, "payload": payload, "metadata": {}}


def statistics(server):
    return server.get("/api/statistics").json()["data"]


def spool(t, edge):
    done = subprocess.run([t.build.program("viaductctl"), "-s", edge.control[len("unix:"):], "-j",
                           "spool", "info"], capture_output=True, text=True, check=False)
    expect(done.returncode == 0, f"viaductctl spool info: {done.stderr}")
    return json.loads(done.stdout)


def run(t):
    server = t.server()
    edge = t.edge(server.http_port)
    edge.config["instances"][-1]["config"]["form"] = "flat"
    edge.write_config()
    server.start()
    edge.start()
    post(edge, "/api/cameras/register", {"camera_id": "CAM007", "checkpoint_id": "CP1",
                                         "camera_name": "North gate"})
    ids = {post(edge, "/api/detection", {
        "type": "detection_result", "camera_id": "CAM007", "checkpoint_id": "CP1",
        "timestamp": TIME, "ocr_results": ["1AB2345"]})["detection_id"]}
    # Without what the envelope knows: type, camera, time.
    own = "0190a6f0-1234-7abc-8def-0123456789ab"
    answer = post(edge, "/api/lpr/data", [
        envelope(own, "detection", {"checkpoint_id": "CP1", "ocr_results": ["2CD"]}),
        envelope("h-1", "health", {"checkpoint_id": "CP1", "component": "cpu", "status": "PASS"})])
    expect([r["status"] for r in answer["results"]] == ["stored", "stored"], f"edge: {answer}")
    ids.add(answer["results"][0]["id"])
    wait_for(lambda: statistics(server)["total_detections"] == 2 and
             statistics(server)["total_health_checks"] == 1, PATIENCE_S, "all on the server")
    records = server.get("/api/records").json()["records"]
    expect({r["detection_id"] for r in records} == ids, f"other ids: {ids}, {records}")
    expect({r["timestamp"] for r in records} == {TIME}, f"other times: {records}")
    expect({r["camera_id"] for r in records} == {"CAM007"}, f"other cameras: {records}")
    camera = server.get("/api/cameras").json()["cameras"][0]
    expect(camera["camera_name"] == "North gate" and camera["registered_at"], f"camera: {camera}")
    info = spool(t, edge)["spool"]
    expect(int(info.get("rejected", 0)) == 0, f"set aside: {info}")
    for node in (edge, server):
        expect(node.stop() == 0, f"{node.name}: not 0\n{node.tail()}")


if __name__ == "__main__":
    main(run)
