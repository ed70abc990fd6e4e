#!/usr/bin/env python3
"""Every row of docs/WIRE.md "HTTP", asked of a running server: those of both ports on the port of the
rest plugin and on that of the websocket plugin, the others on the former, and the table of errors.
"""

import base64
import json

import common_path  # noqa: F401
from harness import Failure, main
from websocket_nodes import add_listener

TIME = "2024-01-15T10:30:00.000Z"
STATISTICS = {"total_detections", "today_detections", "total_health_checks", "today_health_checks",
              "unique_cameras", "total_cameras", "active_cameras", "blacklist_count",
              "connected_clients", "last_update", "server_status"}
CAMERA = {"camera_id", "checkpoint_id", "registered_at", "last_seen", "status", "detection_count",
          "health_status"}
EVENT = "/api/lpr/events"


def expect(condition, what):
    if not condition:
        raise Failure(what)


class Asker:
    """One port of the server, and the camera that is used on it."""

    def __init__(self, server, port, camera):
        self.server, self.port, self.camera = server, port, camera

    def ask(self, method, path, body=None, status=200, headers=None):
        own, self.server.http_port = self.server.http_port, self.port
        try:
            text = body if body is None or isinstance(body, str) else json.dumps(body)
            reply = self.server.request(method, path, text, 20,
                                        {"Content-Type": "application/json", **(headers or {})})
        finally:
            self.server.http_port = own
        expect(reply.status == status, f"{self.port} {method} {path}: {reply.status}, expected "
               f"{status}: {reply.body[:300]}")
        return reply

    def get(self, path, **more):
        return self.ask("GET", path, **more).json()

    def post(self, path, body, **more):
        return self.ask("POST", path, body, **more).json()

    def has(self, path, body, members):
        expect(members <= set(body), f"{self.port} {path}: {members - set(body)} missing in {body}")
        return body


def without(body, key):
    return {name: value for name, value in body.items() if name != key}


def detection(camera, plate, **more):
    return {"type": "detection_result", "camera_id": camera, "checkpoint_id": "CP1",
            "timestamp": TIME, "ocr_results": [plate], **more}


def health(camera, component, **more):
    return {"type": "health_check", "camera_id": camera, "checkpoint_id": "CP1", "timestamp": TIME,
            "component": component, "status": "PASS", **more}


def says_what_it_is(at):
    root = at.has("/", at.get("/"), {"message", "port", "websocket_endpoint", "api_endpoints"})
    expect(root["status"] == "running" and root["port"] == at.port and
           isinstance(root["api_endpoints"], dict), f"GET /: {root}")
    ways = at.has("/websocket", at.get("/websocket"), {"message", "connection_url"})
    expect("camera_register" in ways["events"], f"GET /websocket: {ways}")
    test = at.has("/api/test", at.get("/api/test"), {"timestamp"})
    expect(test["success"] is True and test["message"] == "Server is running", f"test: {test}")


def takes_data(at):
    body = {"camera_id": at.camera, "checkpoint_id": "CP1"}
    answer = at.has("register", at.post("/api/cameras/register", body), {"timestamp"})
    expect(answer["message"] == "Camera registered successfully" and answer["success"] is True and
           answer["camera_id"] == at.camera and answer["checkpoint_id"] == "CP1", f"{answer}")
    for key in body:
        refused = at.post("/api/cameras/register", without(body, key), status=400)
        expect(refused["success"] is False and
               refused["message"] == "camera_id and checkpoint_id are required", f"{refused}")
    for path, words, name, body, required in (
            ("/api/detection", "Detection data received", "detection_id",
             detection(at.camera, "A1"), ("type", "camera_id", "checkpoint_id", "timestamp")),
            ("/api/health", "Health data received", "health_id", health(at.camera, "cpu"),
             ("type", "camera_id", "checkpoint_id", "timestamp", "component", "status"))):
        answer = at.has(path, at.post(path, body), {"timestamp", name})
        expect(answer["success"] is True and answer["message"] == words, f"{path}: {answer}")
        for key in required:
            refused = at.post(path, without(body, key), status=400)
            expect(refused["message"] == f"Missing required field: {key}", f"{path}: {refused}")
    for body in (detection(at.camera, "A2"), health(at.camera, "disk")):
        answer = at.post("/api/statistics", body)
        expect(answer["success"] is True and answer["id"], f"POST /api/statistics: {answer}")
    at.post("/api/statistics", {"type": "weather"}, status=400)


def shows_data(at):
    shown = at.get("/api/statistics")
    data = at.has("/api/statistics", shown["data"], STATISTICS)
    expect(shown["success"] is True and data["server_status"] == "running" and
           data["total_detections"] >= 2 and data["total_health_checks"] >= 2, f"{data}")
    page = at.has("/api/records", at.get(
        f"/api/records?limit=1&camera_id={at.camera}&checkpoint_id=CP1"), {"timestamp"})
    expect(page["total_count"] == 2 and page["returned_count"] == 1 == len(page["records"]),
           f"records: {page}")
    expect(at.get("/api/records?checkpoint_id=NONE")["total_count"] == 0, "another checkpoint")
    cameras = at.has("/api/cameras", at.get("/api/cameras"), {"success", "timestamp"})
    mine = [c for c in cameras["cameras"] if c["camera_id"] == at.camera]
    expect(len(mine) == 1 and cameras["total_cameras"] >= 1, f"cameras: {cameras}")
    at.has("a camera", mine[0], CAMERA)
    expect(mine[0]["detection_count"] == 2 and mine[0]["status"] == "online", f"{mine}")


def images_are_urls(t, at):
    with open(t.picture(), "rb") as f:
        picture = f.read()
    at.post("/api/detection", detection(at.camera + "-I", "I1", cropped_plates=[],
                                        annotated_image=base64.b64encode(picture).decode()))
    path = f"/api/records?camera_id={at.camera}-I"
    url = at.get(path)["records"][0]["annotated_image"]
    expect(url.startswith("/images/") and at.ask("GET", url).body == picture, f"image: {url}")
    whole = at.ask("GET", "/api" + url)
    part = at.ask("GET", url, status=206, headers={"Range": "bytes=5-104", "If-Range": whole.headers["etag"]})
    expect(part.body == picture[5:105] and part.headers["content-range"] == f"bytes 5-104/{len(picture)}",
           f"range: {part.headers}")
    at.ask("GET", url, status=416, headers={"Range": f"bytes={len(picture)}-"})
    known = at.ask("GET", url, status=304, headers={"If-None-Match": whole.headers["etag"]})
    expect(known.body in (b"", ""), "304 has no body")
    inline = at.get(path + "&images=inline")["records"][0]["annotated_image"]
    expect(base64.b64decode(inline.split(",", 1)[1]) == picture, "images=inline")


def refuses(at):
    for bad in ("{", "", "[1,"):
        refused = at.post("/api/detection", bad, status=400)
        expect(refused["success"] is False and refused["message"], f"{bad!r}: {refused}")
    expect(at.post("/api/detection", '{"type": x}', status=400)["position"] == 9, "the position")
    expect(at.get("/nowhere", status=404)["success"] is False, "404 is JSON")
    allowed = at.ask("DELETE", "/api/statistics", status=405).headers["Allow"]
    expect("GET" in allowed and "POST" in allowed, f"Allow: {allowed}")
    at.ask("POST", "/api/detection", '{"note":"' + "x" * (2 << 20) + '"}', status=413)


def takes_envelopes(at):
    def envelope(number, **more):
        return {"message_id": f"0190a6f0-1234-7abc-8def-{number:012d}", "timestamp": TIME,
                "protocol": "rest_api", "edge_device_id": at.camera, "data_type": "detection",
                "payload": {"checkpoint_id": "CP2", "ocr_results": [f"E{number}"]}, "metadata": {},
                **more}
    one = at.post("/api/lpr/data", envelope(1))["results"]
    expect([r["status"] for r in one] == ["stored"], f"one envelope: {one}")
    many = at.post("/api/lpr/data", [envelope(1), envelope(2), envelope(3, data_type="none")])
    expect([r["status"] for r in many["results"]] == ["duplicate", "stored", "rejected"] and
           many["results"][2]["error"] and many["results"][1]["message_id"].endswith("2"), f"{many}")


def manages_events(at):
    made = at.post(EVENT, {"edge_device_id": at.camera, "license_plate": "EV 77",
                           "confidence": 0.9, "metadata": {"by": "op"}}, status=201)["event_id"]
    one = f"{EVENT}/{made}"
    at.ask("PUT", one, {"license_plate": "EV 78"})
    expect("EV 78" in json.dumps(at.get(one)), f"GET {one}")
    for query, found in (("plate=V%2078", 1), ("plate=none", 0), (f"plate=EV&device={at.camera}", 1),
                         ("plate=EV&device=other", 0), ("plate=EV&min_confidence=0.95", 0),
                         ("plate=EV&to=2001-01-01", 0), ("plate=EV&from=2001-01-01", 1)):
        events = at.get(f"{EVENT}?{query}")["events"]
        expect(len(events) == found, f"{query}: {len(events)} events, not {found}")
    first = at.get(f"{EVENT}?limit=1")
    second = at.get(f"{EVENT}?limit=1&cursor={first['next_cursor']}")
    expect(first["events"][0]["event_id"] != second["events"][0]["event_id"], "the cursor")
    at.ask("DELETE", one)
    at.get(one, status=404)


def manages_devices(at):
    at.post("/api/devices", {"device_id": "DEV-1", "hostname": "edge-1"}, status=201)
    at.ask("PUT", "/api/devices/DEV-1", {"status": "maintenance"})
    shown = at.get("/api/devices/DEV-1")["device"]
    expect(shown["hostname"] == "edge-1" and shown["status"] == "maintenance", f"device: {shown}")
    expect(any(d["device_id"] == "DEV-1" for d in at.get("/api/devices")["devices"]), "devices")
    at.get("/api/devices/NONE", status=404)


def tells_of_itself(at):
    node = at.get("/api/health")
    expect(node["status"] in ("healthy", "degraded") and node["components"], f"health: {node}")
    figures = at.get("/api/communication/stats")["protocols"]["rest"]
    at.has("stats", figures, {"success_rate", "total_attempts", "average_latency", "p50", "p99",
                              "bytes"})
    for query, success in (("protocol=rest&success=true", True), ("success=false", False)):
        logs = at.get(f"/api/communication/logs?{query}&from=2001-01-01&to=2101-01-01")["logs"]
        expect(logs and all(log["success"] is success for log in logs), f"{query}: {logs[:2]}")
    expect(not at.get("/api/communication/logs?to=2001-01-01")["logs"], "logs of another time")
    text = at.ask("GET", "/metrics").body.decode()
    expect("# TYPE viaduct_" in text, f"metrics: {text[:200]}")
    document = at.get("/api/openapi.json")
    expect(document["openapi"].startswith("3.") and "/api/detection" in document["paths"], "OpenAPI")


def run(t):
    server = t.server(limits={"max_message_bytes": "1MiB"})
    sockets = add_listener(server)
    server.start()
    rest = Asker(server, server.http_port, "CAM-8000")
    for at in (rest, Asker(server, sockets, "CAM-8765")):
        says_what_it_is(at)
        takes_data(at)
        shows_data(at)
        images_are_urls(t, at)
        refuses(at)
    takes_envelopes(rest)
    manages_events(rest)
    manages_devices(rest)
    tells_of_itself(rest)
    expect(server.stop() == 0, f"{server.name}: not 0\n{server.tail()}")


if __name__ == "__main__":
    main(run)
