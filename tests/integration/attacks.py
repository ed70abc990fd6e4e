#!/usr/bin/env python3
"""Attacks on a real server node that asks who calls, each with what it is answered: tokens that lie,
ids and names that lead elsewhere, text that means something to a database, a browser or a protocol,
bodies that are larger than they look. After each the node answers others, and nothing it should not
have is stored.
"""

import base64
import gzip
import hashlib
import hmac
import http.client
import json
import os
import socket
import sqlite3
import sys
import time
import uuid
import zlib

import common_path  # noqa: F401
import permission_matrix as matrix
from broker import Broker
from harness import Failure, main, wait_for
from mqtt_clients import Paho
from websocket_nodes import add_listener

sys.path.append("/usr/lib/python3/dist-packages")
import grpc  # noqa: E402
from cryptography.hazmat.primitives import serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402

TIME = "2024-01-15T10:30:00.000Z"
PATIENCE_S = 30
SQL = ["' OR '1'='1", "'); DROP TABLE detection; --", "1; DELETE FROM event", "\\'; --", "%' --", "\"", "\\", "$1",
       "%s%s%n", "${jndi:ldap://x}", "{{7*7}}"]
XSS = ["<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "javascript:alert(1)", "</textarea><svg/onload=1>",
       "\u2028<b>", "&lt;i&gt;"]
PATHS = ["../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd", "....//....//etc/passwd",
         "/etc/passwd", "//etc/passwd", "..\\..\\etc\\passwd", "%252e%252e/etc/passwd", "a/../../store.db", ".%00./x",
         "CAM001/%00.jpg", "CAM001/\u202e.jpg".encode().hex(), "~/x", "CAM001/" + "a" * 5000]


def expect(condition, what):
    if not condition:
        raise Failure(what)


class Table:
    """What was tried, and what became of it."""

    def __init__(self):
        self.rows = []

    def add(self, attack, where, answer):
        self.rows.append((attack, where, str(answer)[:100]))

    def show(self):
        widths = [max(len(row[i]) for row in self.rows) for i in range(2)]
        for attack, where, answer in self.rows:
            print(f"  {attack:<{widths[0]}}  {where:<{widths[1]}}  {answer}", flush=True)


class Site:
    """The node, its ways in, and who may use them."""

    def __init__(self, t):
        self.broker = Broker(t).start()
        self.node = matrix.guarded_server(t, self.broker)
        self.sockets = add_listener(self.node)
        self.ec_key = ec.generate_private_key(ec.SECP256R1())
        public = self.ec_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        path = os.path.join(t.folder, "es.pem")
        with open(path, "wb") as file:
            file.write(public)
        self.public = public
        self.node.config["auth"]["tokens"]["keys"].append(
            {"kid": "es", "algorithm": "ES256", "file": path})
        self.node.write_config()
        self.node.start()
        self.tokens = matrix.tokens()
        self.data = self.node.config["node"]["data_dir"]

    def header(self, who):
        return {"Authorization": f"Bearer {self.tokens[who]}", "Content-Type": "application/json"}

    def ask(self, method, path, body=None, who="admin", headers=None):
        text = body if body is None or isinstance(body, (str, bytes)) else json.dumps(body)
        return self.node.request(method, path, text, 30, {**self.header(who), **(headers or {})})

    def lives(self):
        expect(self.node.alive(), "the node ended")
        expect(self.ask("GET", "/api/test").status == 200, "the node does not answer")


# --- tokens that lie ---

def forged(head, claims, signature):
    def text(value):
        return matrix.encode(json.dumps(value).encode() if isinstance(value, dict) else value)
    signed = f"{text(head)}.{text(claims)}"
    return f"{signed}.{matrix.encode(signature(signed.encode()))}"


def lying_tokens(site):
    now = int(time.time())
    claims = {"iss": matrix.ISSUER, "aud": matrix.AUDIENCE, "sub": "anna", "role": "admin", "iat": now, "exp": now + 600}

    def mac(secret):
        return lambda signed: hmac.new(secret, signed, hashlib.sha256).digest()
    good = mac(matrix.SECRET)
    right = {"alg": "HS256", "typ": "JWT", "kid": "k1"}
    yield "no algorithm", forged({**right, "alg": "none"}, claims, lambda _: b"")
    yield "no algorithm, NoNe", forged({**right, "alg": "NoNe"}, claims, lambda _: b"")
    yield "no algorithm, signed", forged({**right, "alg": "none"}, claims, good)
    yield "public key as secret", forged({"alg": "HS256", "kid": "es"}, claims, mac(site.public))
    yield "public key as secret, stripped", forged({"alg": "HS256", "kid": "es"}, claims, mac(site.public.strip()))
    yield "other algorithm than its key's", forged({**right, "kid": "es"}, claims, good)
    yield "key of its own in the head", forged(
        {**right, "kid": "x", "jwk": {"kty": "oct", "k": matrix.encode(b"k" * 32)}}, claims, mac(b"k" * 32))
    yield "key from a file", forged({**right, "kid": "../../dev/null"}, claims, mac(b""))
    yield "key by SQL", forged({**right, "kid": "' UNION SELECT 'x"}, claims, mac(b"x"))
    yield "key from elsewhere", forged({**right, "jku": "http://127.0.0.1/", "kid": "y"}, claims, good)
    yield "extension that must be understood", forged({**right, "crit": ["b64"], "b64": False}, claims, good)
    yield "signature left out", forged(right, claims, lambda _: b"")
    yield "signature cut", forged(right, claims, lambda signed: good(signed)[:16])
    yield "payload changed", _changed(forged(right, {**claims, "role": "viewer"}, good), claims)
    yield "role twice", forged(right, json.dumps(claims)[:-1].encode() + b',"role":"device"}', good)
    yield "other issuer", forged(right, {**claims, "iss": "https://evil"}, good)
    yield "other audience", forged(right, {**claims, "aud": "billing"}, good)
    yield "never expires", forged(right, {k: v for k, v in claims.items() if k != "exp"}, good)
    yield "holds for years", forged(right, {**claims, "exp": now + 10 ** 9}, good)
    yield "not yet", forged(right, {**claims, "nbf": now + 3600}, good)
    yield "time as text", forged(right, {**claims, "exp": str(now + 600)}, good)
    yield "no such role", forged(right, {**claims, "role": "root"}, good)
    yield "deep", forged(right, b'{"a":' + b"[" * 4000 + b"]" * 4000 + b"}", good)
    yield "long", "a" * 60_000 + ".b.c"
    yield "three dots", "..."


def _changed(token, claims):
    head, _, signature = token.split(".")
    return f"{head}.{matrix.encode(json.dumps(claims).encode())}.{signature}"


def tokens_that_lie(site, table):
    with grpc.insecure_channel(site.node.control) as channel:
        for what, token in lying_tokens(site):
            reply = site.node.request("GET", "/api/records", None, 20, {"Authorization": f"Bearer {token}"})
            expect(reply.status in (400, 401, 431), f"{what}: {reply.status} {reply.body[:200]}")
            answer = ""
            if len(token) < 16_000:
                code, _ = matrix.rpc_code(channel, "viaduct.control.v1.Node/GetInfo", token, "unary")
                expect(code == grpc.StatusCode.UNAUTHENTICATED, f"{what} by gRPC: {code}")
                event = matrix.event_answer(site.sockets, token, "join_dashboard", {})
                expect(matrix.NOT_ALLOWED.search(event), f"{what} by event: {event}")
                answer = f", {code.name}, error"
            table.add(f"token: {what}", "http, gRPC, event", f"{reply.status}{answer}")


# --- ids and names that lead elsewhere ---

def outside(site):
    """Files of the node that are in none of its folders."""
    found = []
    for top, folders, files in os.walk(os.path.dirname(site.data)):
        found += [os.path.join(top, name) for name in files + folders]
    return set(found)


def paths_that_lead_elsewhere(site, table):
    for path in PATHS:
        for root in ("/images/", "/api/images/"):
            connection = http.client.HTTPConnection("127.0.0.1", site.node.http_port, timeout=20)
            try:
                connection.putrequest("GET", root + path, skip_host=False)
                for name, value in site.header("admin").items():
                    connection.putheader(name, value)
                connection.endheaders()
                reply = connection.getresponse()
                body = reply.read()
            except (http.client.HTTPException, UnicodeError, ValueError):
                continue
            finally:
                connection.close()
            expect(reply.status in (400, 404, 414, 431), f"{root}{path}: {reply.status} {body[:100]}")
            expect(b"root:" not in body, f"{root}{path}: {body[:100]}")
        table.add("path: " + path[:40], "images", reply.status)
    before = outside(site)
    for path in PATHS[:9]:
        name = f"../../{uuid.uuid4()}"
        for device, checkpoint in ((path, "CP1"), ("CAM001", path), (name, name)):
            body = matrix.detection(device, annotated_image=base64.b64encode(matrix.JPEG).decode())
            body["checkpoint_id"] = checkpoint
            reply = site.ask("POST", "/api/detection", body)
            expect(reply.status in (200, 400), f"{device}: {reply.status} {reply.body[:200]}")
    new = {path for path in outside(site) - before if not path.startswith(os.path.join(site.data, "images"))
           and not path.startswith(os.path.join(site.data, "audit")) and "store.db" not in path}
    expect(not new, f"files elsewhere: {new}")
    table.add("path: in device and checkpoint", "http", "kept below images/")
    image = {"camera_id": "CAM001", "checkpoint_id": "C", "data": base64.b64encode(matrix.JPEG).decode(),
             "filename": "../../../../tmp/detection_20240115_103000.jpg"}
    answer = matrix.event_answer(site.sockets, site.tokens["admin"], "image", image)
    expect("images/CAM001/" in answer and ".." not in answer, f"image: {answer}")
    table.add("path: in the name of an image", "event", "a name of the node's own")


# --- text that means something elsewhere ---

def text_is_text(site, table):
    before = rows(site)
    for text in SQL + XSS:
        body = matrix.detection("CAM001", ocr_results=[text], checkpoint_id="CP1")
        body["plates"] = [{"text": text}]
        reply = site.ask("POST", "/api/detection", body)
        expect(reply.status == 200, f"{text}: {reply.status} {reply.body}")
        number = site.ask("POST", "/api/lpr/events", {"edge_device_id": text, "license_plate": text})
        expect(number.status in (201, 400), f"event {text}: {number.status} {number.body}")
        for path in ("/api/records?camera_id=", "/api/lpr/events?plate=", "/api/lpr/events?cursor=",
                     "/api/devices?cursor=", "/api/records?checkpoint_id=", "/api/file_transfers?device="):
            quoted = "".join(f"%{byte:02x}" for byte in text.encode())
            reply = site.ask("GET", path + quoted)
            expect(reply.status in (200, 400), f"{path}{text}: {reply.status} {reply.body[:200]}")
            if reply.status == 200:
                json.loads(reply.body)
                expect(reply.headers["Content-Type"].startswith("application/json"), f"{path}: {reply.headers}")
        reply = site.ask("POST", "/api/blacklist", {"license_plate": text, "reason": text})
        expect(reply.status in (200, 201, 400), f"blacklist {text}: {reply.status} {reply.body}")
        shown = site.ask("GET", "/api/records?limit=1").json()["records"][0]
        expect(shown["ocr_results"] == [text], f"{text}: shown as {shown['ocr_results']}")
        table.add("text: " + text[:30].encode("unicode_escape").decode(), "every field", "stored and shown as it is")
    after = rows(site)
    expect(after["detection"] == before["detection"] + len(SQL + XSS), f"rows: {before} {after}")


def rows(site):
    with sqlite3.connect(f"file:{site.data}/store.db?mode=ro", uri=True) as db:
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        name = next(t for t in tables if "detection" in t)
        return {"detection": db.execute(f"SELECT count(*) FROM {name}").fetchone()[0]}


def raw(port, octets, limit=20):
    with socket.create_connection(("127.0.0.1", port), limit) as peer:
        peer.sendall(octets)
        peer.settimeout(limit)
        answer = b""
        while b"\r\n\r\n" not in answer:
            piece = peer.recv(65536)
            if not piece:
                break
            answer += piece
        return answer


def headers_are_not_split(site, table):
    token = site.tokens["admin"]
    for port, where in ((site.node.http_port, "rest"), (site.sockets, "websocket")):
        split = raw(port, b"GET /images/x%0d%0aSet-Cookie:%20a=1 HTTP/1.1\r\nHost: x\r\n"
                    b"Authorization: Bearer " + token.encode() + b"\r\n\r\n")
        expect(b"Set-Cookie" not in split.split(b"\r\n\r\n")[0], f"{where}: {split[:300]}")
        table.add("header: a line in the path", where, split.split(b"\r\n")[0].decode())
        host = raw(port, b"GET / HTTP/1.1\r\nHost: evil\"><script>\r\n\r\n")
        expect(b"<script>" not in host.split(b"\r\n\r\n")[0], f"{where}: {host[:300]}")
        table.add("header: a script as host", where, host.split(b"\r\n")[0].decode())
        smuggled = raw(port, b"POST /api/test HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
                       b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /api/records HTTP/1.1\r\n\r\n")
        expect(b" 400 " in smuggled.split(b"\r\n")[0], f"{where}: {smuggled[:300]}")
        table.add("header: two lengths", where, smuggled.split(b"\r\n")[0].decode())


# --- bodies that are larger than they look ---

def bombs(site, table):
    peak = site.node.rss_kib()
    squeezed = gzip.compress(b"[" + b" " * (200 << 20) + b"]", 9)
    for encoding, body in (("gzip", squeezed), ("deflate", zlib.compress(b" " * (200 << 20), 9))):
        for port, where in ((site.node.http_port, "rest"), (site.sockets, "websocket")):
            own, site.node.http_port = site.node.http_port, port
            reply = site.ask("POST", "/api/lpr/data", body, headers={"Content-Encoding": encoding})
            site.node.http_port = own
            expect(reply.status in (400, 413, 415), f"{encoding} at {where}: {reply.status}")
            table.add(f"bomb: 200 MiB in {len(body) >> 10} KiB, {encoding}", where, reply.status)
    nested = "[" * 100_000 + "]" * 100_000
    keys = "{" + ",".join(f'"k{i}":{i}' for i in range(300_000)) + "}"
    number = '{"type":"detection_result","timestamp":1e999999,"camera_id":"C","checkpoint_id":"C"}'
    for what, body in (("deep", nested), ("many keys", keys), ("a number without end", number),
                       ("not UTF-8", b'{"type":"\xff\xfe"}'), ("half a surrogate", '{"type":"\\ud800"}')):
        for path in ("/api/detection", "/api/lpr/data", "/api/health"):
            reply = site.ask("POST", path, body)
            expect(reply.status in (400, 413), f"{what} to {path}: {reply.status} {reply.body[:100]}")
        answer = matrix.plain_answer(site.sockets, site.tokens["admin"], {"type": body if isinstance(body, str) else "x"})
        table.add(f"bomb: JSON, {what}", "http, websocket", f"{reply.status}, {answer[:40]}")
    grown = site.node.rss_kib() - peak
    expect(grown < 200 << 10, f"{grown} KiB more after the bombs")
    table.add("bomb: memory kept after all of them", "node", f"{grown >> 10} MiB")


# --- speaking for others ---

def forged_devices(site, table):
    header = site.header("other device")
    for path, body in (("/api/detection", matrix.detection(matrix.MINE)), ("/api/health", matrix.health(matrix.MINE)),
                       ("/api/statistics", matrix.detection(matrix.MINE)), ("/api/lpr/data", matrix.envelope(matrix.MINE)),
                       ("/api/cameras/register", {"camera_id": matrix.MINE, "checkpoint_id": "X"})):
        reply = site.node.request("POST", path, json.dumps(body), 20, header)
        expect(reply.status == 403 or b"not allowed" in reply.body, f"{path}: {reply.status} {reply.body}")
        table.add("forged device", f"http {path}", reply.status)
    for event in ("camera_register", "lpr_data", "health_status", "message", "image", "envelope", "node_register"):
        answer = matrix.event_answer(site.sockets, site.tokens["other device"], event, matrix.EVENTS[event])
        expect("not allowed" in answer, f"{event}: {answer}")
        table.add("forged device", f"event {event}", "error")
    answer = matrix.plain_answer(site.sockets, site.tokens["other device"], matrix.detection(matrix.MINE))
    expect("not allowed" in answer, f"plain: {answer}")
    table.add("forged device", "websocket", "error")
    client = Paho(site.broker.port)
    try:
        message = matrix.detection(matrix.MINE)
        client.publish("lpr/data/edge/CAM002", json.dumps(message))
        wait_for(lambda: [h for h in client.on("lpr/data/error") if message["message_id"] in h.payload],
                 PATIENCE_S, "the refusal")
    finally:
        client.close()
    table.add("forged device", "mqtt, topic of another", "rejected")


def guesses(site, table):
    """Who guesses is not answered for long, and others are."""
    site.node.stop()
    site.node.config["auth"]["limits"]["failures"] = {"per_second": 0.1, "burst": 20}
    site.node.write_config()
    site.node.start()
    seen = []
    for _ in range(100):
        reply = site.node.request("GET", "/api/records", None, 20, {"X-API-Key": uuid.uuid4().hex})
        seen.append(reply.status)
    expect(set(seen) == {401, 429} and seen.count(401) <= 22, f"{seen}")
    expect(int(reply.headers["Retry-After"]) >= 1, f"{reply.headers}")
    table.add("100 guesses of a key", "http", f"{seen.count(401)} looked at, then 429")
    log = open(os.path.join(site.data, "audit", "audit.jsonl")).read()
    expect(log.count('"what":"login"') < 100, "the audit is flooded")


def run(t):
    site, table = Site(t), Table()
    for device in (matrix.MINE, matrix.OTHER):
        expect(site.ask("POST", "/api/detection", matrix.detection(device)).status == 200, "the first detection")
    for attack in (tokens_that_lie, paths_that_lead_elsewhere, text_is_text, headers_are_not_split, bombs,
                   forged_devices, guesses):
        attack(site, table)
        expect(site.node.alive(), f"the node ended in {attack.__name__}\n{site.node.tail()}")
    table.show()
    t.figures["attacks refused"] = len(table.rows)


if __name__ == "__main__":
    main(run)
