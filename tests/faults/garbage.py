#!/usr/bin/env python3
"""Random bytes, half requests and broken protocols on every port of both nodes, beside normal
traffic: no crash, no leak of descriptors, the traffic goes on, nothing strange is stored.
Short: 400 attacks. Long: 20,000.
"""

import os
import socket

import common_path  # noqa: F401
from harness import Failure, main, wait_for

SHORT_ATTACKS, LONG_ATTACKS = 400, 20000
PATIENCE_S = 0.05

BODIES = [
    b"", b"{", b"[" * 100000, b'{"message_id":', b"null", b"[]", b"[null]", b'"text"', b"\xff\xfe{}",
    b'{"type":"detection_result"}', b'{"type":5,"camera_id":{},"checkpoint_id":[],"timestamp":1}',
    b'{"type":"detection_result","camera_id":"' + b"A" * 70000 + b'","checkpoint_id":"1"}',
    b'{"type":"detection_result","camera_id":"C","checkpoint_id":"1","timestamp":"yesterday"}',
    b'{"message_id":"x","timestamp":"2024-01-15T10:30:00Z","protocol":"smoke","payload":{}}',
    b'{"a":' * 20000 + b"1" + b"}" * 20000,
    b'{"type":"detection_result","camera_id":"C\\ud800","checkpoint_id":"1"}',
]
PATHS = [b"/api/detection", b"/api/lpr/data", b"/api/health", b"/api/cameras/register",
         b"/api/statistics", b"/../../etc/passwd", b"/%00", b"/" + b"a" * 9000, b"*", b"/api/records"]
METHODS = [b"POST", b"PUT", b"DELETE", b"PATCH", b"GET", b"BREW", b"CONNECT", b"OPTIONS", b"HEAD"]


def request(r):
    body = r.choice(BODIES)
    length = r.choice([len(body), len(body), 0, len(body) + 10, -1, 10**12])
    lines = [r.choice(METHODS) + b" " + r.choice(PATHS) + b" " +
             r.choice([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/9.9", b""]), b"Host: x",
             b"Content-Type: application/json", b"Content-Length: %d" % length]
    if r.random() < 0.1:
        lines.append(b"Transfer-Encoding: chunked")
    if r.random() < 0.1:
        lines.append(b"Content-Encoding: gzip")
    if r.random() < 0.1:
        lines.append(b"X-Long: " + b"y" * 40000)
    text = b"\r\n".join(lines) + b"\r\n\r\n" + body
    if r.random() < 0.3:
        text = text[:r.randint(0, len(text))]
    if r.random() < 0.2 and text:
        at = r.randrange(len(text))
        text = text[:at] + bytes([r.randrange(256)]) + text[at + 1:]
    return text


def attack(r, address):
    family = socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(5)
        s.connect(address)
        s.settimeout(PATIENCE_S)
        kind = r.random()
        if kind < 0.6 and family == socket.AF_INET:
            data = request(r)
        elif kind < 0.8:
            data = r.randbytes(r.randint(1, 3000))
        else:  # The preface of HTTP/2, then nonsense.
            data = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + r.randbytes(r.randint(0, 500))
        try:
            s.sendall(data)
            s.recv(65536)
        except OSError:
            pass


def descriptors(node):
    return len(os.listdir(f"/proc/{node.process.pid}/fd"))


def run(t):
    server = t.server()
    edge = t.edge(server.http_port)
    server.start()
    edge.start()
    before = {n.name: descriptors(n) for n in (edge, server)}
    rss = {n.name: n.rss_kib() for n in (edge, server)}
    loads = [t.http_load(edge.http_port, rate=100, connections=4, seconds=7200),
             t.grpc_load(edge, rate=100, frame=4, seconds=7200),
             t.http_load(server.http_port, rate=100, connections=4, seconds=7200)]
    targets = [("127.0.0.1", edge.http_port), ("127.0.0.1", server.http_port),
               edge.control[len("unix:"):], server.control[len("unix:"):]]
    attacks = LONG_ATTACKS if t.long else SHORT_ATTACKS
    for _ in range(attacks):
        attack(t.random, t.random.choice(targets))
        for node in (edge, server):
            if not node.alive():
                raise Failure(f"{node.name} died: {node.process.returncode}\n{node.tail()}")
    for load in loads:
        load.stop()
    for load in loads:
        result = load.result()
        if result["accepted"] != result["made"] or result["disconnects"] > 0:
            raise Failure(f"{load.name} suffered: {result}")
    for node in (edge, server):
        wait_for(lambda n=node: descriptors(n) <= before[n.name] + 8, 40,
                 f"descriptors of {node.name} to fall back to {before[node.name]}")
    t.figure(attacks=attacks, rss_kib_before=rss,
             rss_kib_after={n.name: n.rss_kib() for n in (edge, server)})
    t.conclude(server, [edge])


main(run)
