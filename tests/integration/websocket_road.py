#!/usr/bin/env python3
"""Edge nodes whose road is a websocket, over Socket.IO and plain, with TLS and with compression: what
they take arrives once, also 12 MiB at a time; a server that comes back is found again and the edge
registers anew; a server that cannot be trusted gets nothing.
"""

import json
import os
import socket
import ssl
import subprocess

import common_path  # noqa: F401
from harness import Failure, main, wait_for
from websocket_nodes import add_listener, use_road

PATIENCE_S = 60
TIME = "2024-01-15T10:30:00.000Z"
BIG = 12 << 20


def expect(condition, what):
    if not condition:
        raise Failure(what)


def make_certificate(t):
    files = [os.path.join(t.folder, name) for name in ("server.pem", "server.key")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                    "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-out", files[0],
                    "-keyout", files[1]], check=True, capture_output=True)
    return files


def speaks_only_tls_1_3(port, certificate):
    for version, served in ((ssl.TLSVersion.TLSv1_2, False), (ssl.TLSVersion.TLSv1_3, True)):
        context = ssl.create_default_context(cafile=certificate)
        context.maximum_version = version
        try:
            with socket.create_connection(("localhost", port), PATIENCE_S) as plain, \
                    context.wrap_socket(plain, server_hostname="localhost") as secured:
                expect(served, f"{secured.version()} was served")
        except ssl.SSLError as e:
            expect(not served, f"{version.name}: {e}")


def post(edge, camera, **changes):
    body = {"type": "detection_result", "camera_id": camera, "checkpoint_id": "CP1",
            "timestamp": TIME, "ocr_results": [camera], **changes}
    reply = edge.post("/api/detection", json.dumps(body), timeout=PATIENCE_S)
    expect(reply.status == 200, f"POST to {edge.name}: {reply.status} {reply.body[:300]}")
    return reply.json()["detection_id"]


def records(server, camera):
    return server.get(f"/api/records?camera_id={camera}", timeout=PATIENCE_S).json()["records"]


def online(server, camera):
    cameras = server.get("/api/cameras").json()["cameras"]
    return [c["status"] for c in cameras if c["camera_id"] == camera]


def ask_control(t, edge, *command):
    done = subprocess.run([t.build.program("viaductctl"), "-s", edge.control[len("unix:"):], "-j",
                           *command], capture_output=True, text=True, check=False)
    expect(done.returncode == 0, f"viaductctl {command}: {done.stderr}")
    return json.loads(done.stdout)


def spool(t, edge):
    return ask_control(t, edge, "spool", "info")["spool"]


def run(t):
    certificate, key = make_certificate(t)
    server = t.server()
    port = add_listener(server, permessage_deflate=True)
    secure = add_listener(server, name="secure", certificate=certificate, key=key)
    roads = {"ws": dict(url=f"ws://127.0.0.1:{port}", camera_id="EDGE-ws", checkpoint_id="CP1"),
             "raw": dict(url=f"http://127.0.0.1:{port}", form="raw"),
             "wss": dict(url=f"wss://localhost:{secure}/ws/", ca_file=certificate),
             "deflate": dict(url=f"ws://127.0.0.1:{port}", permessage_deflate=True)}
    edges = {}
    for name, road in roads.items():
        edges[name] = t.edge(server.http_port, name=name, node_id=f"NODE-{name}")
        use_road(edges[name], **road)
    server.start()
    speaks_only_tls_1_3(secure, certificate)
    for edge in edges.values():
        edge.start()
    ids = {name: {post(edge, name)} for name, edge in edges.items()}
    for name, edge in edges.items():
        ids[name].add(post(edge, name, note="n" * BIG, timestamp="2024-01-15T10:31:00.000Z"))
    for name in edges:
        wait_for(lambda: {r["detection_id"] for r in records(server, name)} == ids[name],
                 PATIENCE_S, f"all of {name}, has {len(records(server, name))}", 0.2)
    wait_for(lambda: online(server, "EDGE-ws") == ["online"], PATIENCE_S, "the registration")
    # The server goes and comes back: what was taken meanwhile arrives, and the edge is registered.
    expect(server.stop() == 0, server.tail())
    for name, edge in edges.items():
        ids[name].add(post(edge, name, timestamp="2024-01-15T10:32:00.000Z"))
    server.start()
    for name in edges:
        wait_for(lambda: {r["detection_id"] for r in records(server, name)} == ids[name],
                 PATIENCE_S, f"all of {name} after the restart", 0.2)
    wait_for(lambda: online(server, "EDGE-ws") == ["online"], PATIENCE_S, "registered again")
    for name, edge in edges.items():
        info = spool(t, edge)
        expect(int(info.get("rejected", 0)) == 0, f"{name}: set aside: {info}")
    # Nobody vouches for this server.
    doubting = t.edge(server.http_port, name="doubting", node_id="DOUBT")
    use_road(doubting, f"wss://localhost:{secure}/ws/")
    doubting.start()
    post(doubting, "DOUBT")
    wait_for(lambda: "certificate verify failed" in
             json.dumps(ask_control(t, doubting, "instances", "get", "uplink")), PATIENCE_S,
             "the refusal")
    expect(records(server, "DOUBT") == [] and int(spool(t, doubting)["messages"]) == 1,
           "a server that cannot be trusted was given a message")
    for node in (*edges.values(), doubting, server):
        expect(node.stop() == 0, f"{node.name}: not 0\n{node.tail()}")


if __name__ == "__main__":
    main(run)
