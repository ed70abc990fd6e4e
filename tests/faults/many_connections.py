#!/usr/bin/env python3
"""10,000 connections at once to `rest` and to `websocket`, plain and over TLS, of ten addresses: each is
served, others are answered meanwhile, the memory is bounded and comes back, and the one too many of an
address is refused and counted.
Short: 10,000 plain ones, 2,000 over TLS. Long: 10,000 of each.
"""

import contextlib
import resource
import socket
import ssl

import common_path  # noqa: F401
from certificates import Authority
from harness import CannotRun, Failure, free_port, main, monotonic, wait_for
from processes import SLOW

ALL, SHORT_TLS = 10000, 2000
OF_ADDRESS = 1000
DESCRIPTORS = ALL + 2000
PLAIN_KIB, TLS_KIB = 12, 60  # What one connection may cost.
BASE_KIB = 32 << 10
ANSWER_S = 2 * SLOW
PATIENCE_S = 60
UPGRADE = (b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
REQUEST = b"GET /api/test HTTP/1.1\r\nHost: x\r\n\r\n"


def connect(port, address, tls):
    plain = socket.socket()
    plain.settimeout(PATIENCE_S)
    plain.bind((address, 0))
    plain.connect(("127.0.0.1", port))
    return plain if tls is None else tls.wrap_socket(plain, server_hostname="localhost")


def answered(s, request, status):
    s.sendall(request)
    data = b""
    while b"\r\n\r\n" not in data:
        more = s.recv(4096)
        if not more:
            return False
        data += more
    return data.startswith(b"HTTP/1.1 " + status)


def ask_other(port, tls):
    """Of an address that nobody else has."""
    begin = monotonic()
    with contextlib.closing(connect(port, "127.0.0.99", tls)) as s:
        if not answered(s, REQUEST, b"200"):
            raise Failure("others are not answered")
    return monotonic() - begin


def is_refused(port, tls):
    """Of an address that has as many as it may."""
    try:
        with contextlib.closing(connect(port, "127.0.0.10", tls)) as s:
            return not answered(s, REQUEST, b"200")
    except OSError:
        return True


def gauge(server, name, instance):
    for line in server.get("/metrics").body.decode().splitlines():
        if line.startswith(name + "{") and f'instance="{instance}"' in line:
            return float(line.rsplit(" ", 1)[1])
    return 0


def crowd(server, plugin, name, port, tls, count):
    """The figures of so many connections, that stay."""
    request, status = (UPGRADE, b"101") if plugin == "websocket" else (REQUEST, b"200")
    before, begin = server.rss_kib(), monotonic()
    held, slowest = [], 0
    try:
        for i in range(count):
            held.append(connect(port, f"127.0.0.{10 + i // OF_ADDRESS}", tls))
            if not answered(held[-1], request, status):
                raise Failure(f"{name}: connection {i} was not served")
            if i % 500 == 0:
                slowest = max(slowest, ask_other(port, tls))
        took = monotonic() - begin
        wait_for(lambda: gauge(server, f"viaduct_{plugin}_connections_open", name) >= count,
                 PATIENCE_S, f"{name}: {count} connections to be shown")
        if not is_refused(port, tls):
            raise Failure(f"{name}: one more of a full address was served")
        wait_for(lambda: gauge(server, f"viaduct_{plugin}_refused_of_address_total", name) >= 1,
                 PATIENCE_S, f"{name}: the refusal to be counted")
        for _ in range(20):
            slowest = max(slowest, ask_other(port, tls))
        most = server.rss_kib()
        # All are still there: each tenth is asked again.
        for s in held[::10] if plugin == "rest" else ():
            if not answered(s, REQUEST, b"200"):
                raise Failure(f"{name}: a connection was lost")
    finally:
        for s in held:
            s.close()
    wait_for(lambda: gauge(server, f"viaduct_{plugin}_connections_open", name) <= 5, PATIENCE_S,
             f"{name}: all to be gone")
    each = TLS_KIB if tls else PLAIN_KIB
    if most - before > BASE_KIB + count * each:
        raise Failure(f"{name}: memory grew from {before} to {most} KiB by {count} connections")
    if slowest > ANSWER_S:
        raise Failure(f"{name}: others waited {slowest:.2f} s")
    return {"connections": count, "seconds": round(took, 1), "rss_kib_before": before,
            "rss_kib_with_all": most, "kib_each": round((most - before) / count, 1),
            "others_slowest_s": round(slowest, 3)}


def run(t):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < DESCRIPTORS:
        raise CannotRun(f"{DESCRIPTORS} descriptors, the limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(DESCRIPTORS, min(hard, 65536)), hard))
    ours = Authority(t.folder)
    pair = dict(zip(("certificate", "key"), ours.sign("server")))
    server = t.server()
    ports = {}
    for plugin in ("rest", "websocket"):
        for tls in (False, True):
            name = f"{plugin}-tls" if tls else plugin
            ports[name] = free_port()
            server.config["instances"].append({"name": name, "plugin": plugin, "config": {
                "role": "server", "listen": f"127.0.0.1:{ports[name]}", "idle_timeout": 3600,
                "max_connections": ALL + 100, **(pair if tls else {}),
                # They have no pongs to say.
                **({"ping_interval": 3600} if plugin == "websocket" else {})}})
    server.write_config()
    server.start()
    context = ssl.create_default_context(cafile=ours.pem)
    figures = {}
    for name, port in ports.items():
        tls = context if name.endswith("tls") else None
        count = SHORT_TLS if tls and not t.long else ALL
        figures[name] = crowd(server, name.split("-")[0], name, port, tls, count)
        print(name, figures[name], flush=True)
    t.figure(**figures)
    if server.stop() != 0:
        raise Failure(f"server: not 0\n{server.tail()}")


if __name__ == "__main__":
    main(run)
