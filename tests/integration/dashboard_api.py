#!/usr/bin/env python3
"""The server's side of the pages: their files, signing in and who may do what with a cookie, over HTTP
and Socket.IO; series by both stores; alerts, links and files; the configuration planned, applied,
confirmed and rolled back by HTTP.
"""

import gzip
import http.client
import json
import os

import common_path  # noqa: F401
from harness import Failure, main, wait_for
from websocket_nodes import add_listener

PATIENCE_S = 30
PASSWORD = "correct horse battery staple"
INDEX = b"<!doctype html><title>Viaduct</title>"
CODE = b"export const answer = 42;"


def expect(condition, what):
    if not condition:
        raise Failure(what)


def pages(t):
    folder = os.path.join(t.folder, "pages")
    os.makedirs(os.path.join(folder, "assets"))
    for name, text in (("index.html", INDEX), ("assets/main-4YGZ5QNS.js", CODE),
                       ("assets/main-4YGZ5QNS.js.gz", gzip.compress(CODE))):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(text)
    with open(os.path.join(t.folder, "secret.txt"), "w") as file:
        file.write("secret")
    os.symlink(os.path.join(t.folder, "secret.txt"), os.path.join(folder, "secret.txt"))
    os.symlink(t.folder, os.path.join(folder, "out"))
    return folder


class Browser:
    """Keeps the cookie of one person, and sends what a browser sends of its own accord."""

    def __init__(self, port):
        self.port, self.cookie = port, None

    def ask(self, method, path, body=None, status=200, origin="own", **headers):
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if origin == "own" and method != "GET":
            fields["Origin"] = f"http://127.0.0.1:{self.port}"
        elif origin not in ("own", None):
            fields["Origin"] = origin
        if self.cookie:
            fields["Cookie"] = f"other=1; {self.cookie}"
        text = json.dumps(body) if isinstance(body, (dict, list)) else body
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, text, fields)
            reply = connection.getresponse()
            reply.text = reply.read()
        finally:
            connection.close()
        expect(reply.status == status,
               f"{method} {path}: {reply.status}, expected {status}: {reply.text[:300]}")
        return reply

    def json(self, method, path, body=None, status=200, **more):
        return json.loads(self.ask(method, path, body, status, **more).text)

    def log_in(self, name):
        reply = self.ask("POST", "/api/login", {"user": name, "password": PASSWORD})
        self.cookie = reply.getheader("Set-Cookie").split(";")[0]
        return reply


def serves_pages(port):
    page = Browser(port).ask("GET", "/", Accept="text/html,*/*;q=0.8")
    expect(page.text == INDEX and page.getheader("Content-Type").startswith("text/html"), f"/: {page.text}")
    policy = page.getheader("Content-Security-Policy")
    expect("default-src 'none'" in policy and "frame-ancestors 'none'" in policy and
           "unsafe" not in policy, f"policy: {policy}")
    expect(Browser(port).json("GET", "/", Accept="*/*")["status"] == "running", "/ for programs")
    path = "/dashboard/assets/main-4YGZ5QNS.js"
    plain = Browser(port).ask("GET", path)
    expect(plain.text == CODE and "immutable" in plain.getheader("Cache-Control"), "a file")
    packed = Browser(port).ask("GET", path, Accept_Encoding="gzip, br")
    expect(packed.getheader("Content-Encoding") == "gzip" and
           gzip.decompress(packed.text) == CODE, "a packed file")
    known = Browser(port).ask("GET", path, status=304, If_None_Match=plain.getheader("ETag"))
    expect(known.text == b"", "304 has no body")
    expect(Browser(port).ask("HEAD", path).text == b"", "HEAD has no body")
    for bad in ("secret.txt", "out/secret.txt", "../secret.txt", "%2e%2e/secret.txt",
                "..%2fsecret.txt", "assets/../../secret.txt", "/etc/passwd", "assets", ""):
        reply = Browser(port).ask("GET", "/dashboard/" + bad, status=404)
        expect(b"secret" not in reply.text.replace(b"secret.txt", b""), f"{bad}: {reply.text}")


def signs_in(port):
    browser = Browser(port)
    expect(browser.json("GET", "/api/whoami")["name"] is None, "nobody yet")
    browser.ask("GET", "/api/records", status=401)
    wrong = browser.ask("POST", "/api/login", {"user": "olga", "password": "wrong wrong wrong"},
                        status=401, X_Requested_With="dashboard")
    expect(wrong.getheader("WWW-Authenticate") == "Bearer", f"{wrong.getheaders()}")
    browser.ask("POST", "/api/login", {"user": "olga", "password": PASSWORD}, status=403,
                origin="http://evil.example")
    flags = browser.log_in("olga").getheader("Set-Cookie")
    for flag in ("HttpOnly", "SameSite=Strict", "Path=/"):
        expect(flag in flags, f"cookie: {flags}")
    expect("Secure" not in flags, f"without TLS: {flags}")
    me = browser.json("GET", "/api/whoami")
    expect((me["auth"], me["name"], me["role"]) == ("required", "olga", "operator"), f"{me}")
    browser.ask("GET", "/api/records")
    return browser


def only_own_pages_change_something(browser):
    body = {"license_plate": "BAD 1", "reason": "test"}
    browser.ask("POST", "/api/blacklist", body, status=403, origin=None)
    browser.ask("POST", "/api/blacklist", body, status=403, origin="http://evil.example")
    browser.ask("POST", "/api/blacklist", body, status=403, origin="null")
    browser.ask("POST", "/api/blacklist", body, status=403, Sec_Fetch_Site="cross-site")
    browser.ask("POST", "/api/blacklist", body, status=201)
    browser.ask("DELETE", "/api/blacklist/BAD1", origin=None, Sec_Fetch_Site="same-origin")


def logs_out(port):
    browser = Browser(port)
    browser.log_in("olga")
    browser.ask("POST", "/api/logout", status=403, origin="http://evil.example")
    browser.ask("POST", "/api/logout")
    expect(browser.json("GET", "/api/whoami")["name"] is None, "the old cookie is nobody's")
    browser.ask("GET", "/api/records", status=401)
    browser.log_in("olga")  # With the old cookie in the jar.


def polls(sockets, browser, origin=None):
    """A Socket.IO session by long polling, with the cookie alone: what `join_dashboard` is told."""
    peer = Browser(sockets)
    peer.cookie = browser.cookie
    path = "/socket.io/?EIO=4&transport=polling"
    opened = peer.ask("GET", path, origin=origin).text
    path += "&sid=" + json.loads(opened[1:])["sid"]
    peer.ask("POST", path, "40", origin=origin)
    told = peer.ask("GET", path, origin=origin).text.decode()
    if not told.startswith("40"):
        return told
    peer.ask("POST", path, '42["join_dashboard",{}]', origin=origin)
    return peer.ask("GET", path, origin=origin).text.decode()


def joins_rooms_with_the_cookie(sockets, browser):
    told = polls(sockets, browser)
    expect("Joined dashboard room" in told, f"with the cookie: {told}")
    peer = Browser(sockets)
    peer.cookie = browser.cookie
    peer.ask("GET", "/socket.io/?EIO=4&transport=polling", status=403, origin="http://evil.example")
    try:
        told = polls(sockets, Browser(sockets))
    except Failure as closed:  # The session has ended meanwhile.
        told = str(closed)
    expect("Joined" not in told, f"nobody joined a room: {told}")


def guesses_are_limited(port):
    guess = {"user": "anna", "password": "wrong wrong wrong"}
    browser = Browser(port)
    for _ in range(200):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        connection.request("POST", "/api/login", json.dumps(guess), {})
        reply = connection.getresponse()
        reply.read()
        connection.close()
        if reply.status == 429:
            expect(int(reply.getheader("Retry-After")) >= 1, f"{reply.getheaders()}")
            return
        expect(reply.status == 401, f"a guess: {reply.status}")
    browser.ask("POST", "/api/login", guess, status=429)


def configures(server, operator, admin, viewer):
    viewer.ask("GET", "/api/config", status=403)
    shown = operator.json("GET", "/api/config")
    expect(shown["revision"] == shown["revisions"][0]["revision"] and "SERVER1" in shown["yaml"], f"{shown}")
    text = open(server.config_path).read()
    changed = {**server.config, "log": {"level": "debug", "format": "text"}}
    yaml = json.dumps(changed, indent=1)
    plan = operator.json("POST", "/api/config/plan", {"yaml": yaml})
    expect([c["path"] for c in plan["changes"]] == ["log"] and
           plan["changes"][0]["effect"] == "applied" and "log" in plan["plan"], f"plan: {plan}")
    wrong = operator.json("POST", "/api/config/plan", {"yaml": text.replace("level", "lvel", 1)},
                          status=422)
    expect(wrong["errors"][0]["line"] > 0 and "lvel" in wrong["errors"][0]["message"], f"{wrong}")
    operator.ask("POST", "/api/config/apply", {"yaml": yaml}, status=403)
    admin.ask("POST", "/api/config/apply", {"yaml": yaml}, status=403, origin=None)
    admin.ask("POST", "/api/config/apply", {"yaml": yaml, "confirm_within_s": 0.5}, status=400)
    applied = admin.json("POST", "/api/config/apply", {"yaml": yaml, "confirm_within_s": 600})
    expect(applied["confirm_by"] and applied["revision"] > shown["revision"], f"{applied}")
    admin.ask("POST", "/api/config/apply", {"yaml": text}, status=409)
    admin.ask("POST", "/api/config/confirm", {"revision": 1}, status=409)
    expect(admin.json("POST", "/api/config/confirm")["revision"] == applied["revision"], "confirm")
    now = operator.json("GET", "/api/config")
    expect(now["revision"] == applied["revision"] and "debug" in now["yaml"] and
           "user anna" in now["revisions"][0]["by"], f"after: {now}")
    back = admin.json("POST", "/api/config/rollback", {"revision": shown["revision"]})
    expect(back["revision"] > applied["revision"], f"rollback: {back}")
    expect("debug" not in operator.json("GET", "/api/config")["yaml"], "rolled back")
    admin.ask("POST", "/api/config/rollback", {"revision": 999}, status=404)


def tells_of_itself(operator):
    links = operator.json("GET", "/api/communication/links")
    expect(links["links"] == [] and links["backlog"]["messages"] == 0, f"links: {links}")
    expect(operator.json("GET", "/api/transfers")["transfers"] == [], "no files are sent")
    expect(isinstance(operator.json("GET", "/api/alerts")["alerts"], list), "alerts")
    operator.ask("POST", "/api/alerts/none/acknowledge", {"note": "x"}, status=404)


def detection(camera, number, plates, when):
    return {"message_id": f"0190a6f0-1234-7abc-8def-{number:012d}", "timestamp": when,
            "protocol": "rest", "edge_device_id": camera, "data_type": "detection",
            "payload": {"checkpoint_id": "CP1", "ocr_results": plates}, "metadata": {}}


def draws_series(browser, admin):
    """Of either store."""
    for number, plates in enumerate((["1AB1"], ["2AB2", "3CD3"], [])):
        reply = admin.json("POST", "/api/lpr/data",
                           detection("CAM1" if number < 2 else "CAM2", number, plates,
                                     f"2024-01-15T1{number}:30:00.000Z"))
        expect(reply["results"][0]["status"] == "stored", f"{reply}")
    hours = browser.json("GET", "/api/statistics/series?by=hour")["points"]
    expect(len(hours) in (24, 25) and sum(p["detections"] for p in hours) == 3 and
           sum(p["plates"] for p in hours) == 3, f"hours: {hours}")
    days = browser.json("GET", "/api/statistics/series?by=day&camera_id=CAM1")["points"]
    expect(sum(p["detections"] for p in days) == 2, f"days: {days}")
    cameras = browser.json("GET", "/api/statistics/series?by=camera")["points"]
    expect([(p["camera_id"], p["detections"]) for p in cameras] == [("CAM1", 2), ("CAM2", 1)],
           f"cameras: {cameras}")
    browser.ask("GET", "/api/statistics/series?from=2020-01-01", status=400)
    found = browser.json("GET", "/api/records?plate=ab&limit=1")
    expect(found["records"][0]["timestamp"] == "2024-01-15T11:30:00.000Z" and
           found["total_count"] is None, f"records: {found}")
    more = browser.json("GET", f"/api/records?plate=ab&limit=1&cursor={found['next_cursor']}")
    expect(more["records"][0]["timestamp"] == "2024-01-15T10:30:00.000Z", f"records: {more}")
    one = browser.json("GET", "/api/records/" + found["records"][0]["detection_id"])["record"]
    expect([p["text"] for p in one["plates"]] == ["2AB2", "3CD3"] and one["payload"], f"{one}")
    admin.ask("PUT", "/api/cameras/CAM1", {"latitude": 13.75, "longitude": 100.5})
    cameras = browser.json("GET", "/api/cameras")["cameras"]
    expect([c["latitude"] for c in cameras] == [13.75, None], f"cameras: {cameras}")
    admin.json("POST", "/api/health", {
        "type": "health_check", "camera_id": "CAM1", "checkpoint_id": "CP1", "component": "cpu",
        "timestamp": "2024-01-15T10:30:00.000Z", "status": "PASS", "details": {"load": 1}})
    health = browser.json("GET", "/api/cameras/CAM1/health")["health"]
    expect(health[0]["status"] == "healthy" and health[0]["data"]["details"] == {"load": 1}, f"{health}")


def add_user(t, server, name, role):
    path = os.path.join(t.folder, f"{name}.password")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(PASSWORD)
    server.ctl("auth", "user", "add", name, "--role", role, "--password-file", path)


def started(t, name, folder, **more):
    server = t.server(name, auth={}, dashboard={"path": folder}, **more)
    sockets = add_listener(server)
    server.start()
    for user, role in (("vera", "viewer"), ("olga", "operator"), ("anna", "admin")):
        add_user(t, server, user, role)
    return server, sockets


def raised(browser):
    alerts = browser.json("GET", "/api/alerts")["alerts"]
    return [a for a in alerts if a["kind"] == "disk_free" and a["cleared_at"] is None]


def sees_to_an_alert(t, folder):
    """Of a disk that is said to be full at once; kept over a restart, which ends logins."""
    full = {"raise": 0.9999, "clear": 1, "hold": "0s"}
    server, _ = started(t, "alerting", folder, alerts={"disk_free": full})
    operator, viewer = Browser(server.http_port), Browser(server.http_port)
    operator.log_in("olga")
    viewer.log_in("vera")
    wait_for(lambda: raised(viewer), PATIENCE_S, "an alert")
    alert = raised(viewer)[0]
    expect(alert["severity"] == "critical" and alert["node_id"] == "SERVER1" and
           alert["acknowledged_by"] is None, f"{alert}")
    path = f"/api/alerts/{alert['alert_id']}/acknowledge"
    viewer.ask("POST", path, {"note": "x"}, status=403)
    operator.ask("POST", path, {"note": "x" * 2000}, status=400)
    seen = operator.json("POST", path, {"note": "a disk is ordered"})["alert"]
    expect(seen["acknowledged_by"] == "olga" and seen["note"] == "a disk is ordered" and
           raised(viewer) == [seen], f"{seen}")
    audit = json.dumps(server.ctl("auth", "audit", "list"))
    expect(alert["alert_id"] in audit and "user olga (login" in audit and
           operator.cookie.split("=")[1] not in audit, f"audit: {audit}")
    server.stop()
    server.start()
    viewer.ask("GET", "/api/alerts", status=401)
    viewer.log_in("vera")
    wait_for(lambda: raised(viewer), PATIENCE_S, "the alert again")
    again = raised(viewer)[0]
    expect(again["alert_id"] != alert["alert_id"] and again["note"] == "a disk is ordered" and
           again["acknowledged_by"] == "olga", f"after the restart: {again}")
    server.stop()


def masks_for_viewers(t, folder):
    server, _ = started(t, "masked", folder, privacy={"mask_plates_for": ["viewer"]})
    viewer, admin = Browser(server.http_port), Browser(server.http_port)
    viewer.log_in("vera")
    admin.log_in("anna")
    expect(viewer.json("GET", "/api/whoami")["masked"], "whoami: masked")
    admin.json("POST", "/api/lpr/data", detection("CAM1", 1, ["1AB1234"], "2024-01-15T10:30:00.000Z"))
    record = viewer.json("GET", "/api/records")["records"][0]
    one = viewer.ask("GET", "/api/records/" + record["detection_id"])
    expect(b"1AB1234" not in one.text and b"1******" in one.text, f"masked: {one.text}")
    viewer.ask("GET", "/api/records?plate=1AB", status=403)
    expect(viewer.ask("GET", "/", Accept="text/html").text == INDEX, "the page itself is whole")
    server.stop()


def run(t):
    folder = pages(t)
    server, sockets = started(t, "server", folder)
    for port in (server.http_port, sockets):
        serves_pages(port)
    operator = signs_in(server.http_port)
    signs_in(sockets)
    only_own_pages_change_something(operator)
    logs_out(server.http_port)
    joins_rooms_with_the_cookie(sockets, operator)
    viewer, admin = Browser(server.http_port), Browser(server.http_port)
    viewer.log_in("vera")
    admin.log_in("anna")
    draws_series(viewer, admin)
    tells_of_itself(operator)
    configures(server, operator, admin, viewer)
    server.ctl("auth", "user", "remove", "vera")
    viewer.ask("GET", "/api/records", status=401)
    operator.ask("GET", "/api/records")  # Another's login goes on.
    guesses_are_limited(server.http_port)
    expect(server.stop() == 0, f"{server.name}: not 0\n{server.tail()}")
    masks_for_viewers(t, folder)
    sees_to_an_alert(t, folder)
    t.store = "postgresql"
    shared, _ = started(t, "postgresql", folder)
    viewer, admin = Browser(shared.http_port), Browser(shared.http_port)
    viewer.log_in("vera")
    admin.log_in("anna")
    draws_series(viewer, admin)
    expect(shared.stop() == 0, f"{shared.name}: not 0\n{shared.tail()}")


if __name__ == "__main__":
    main(run)
