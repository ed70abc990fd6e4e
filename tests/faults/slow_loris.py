#!/usr/bin/env python3
"""Peers that are slow on purpose, on every port: that connect and say nothing, that send a TLS
handshake, a header or a body in drops, that ask for much and read nothing. Each is cut off in its time
and counted, the memory stays bounded, and whoever behaves is answered at once meanwhile.
Short: 30 of each kind on each port. Long: 300.
"""

import contextlib
import http.client
import os
import socket
import ssl
import sys
import threading
import time

import common_path  # noqa: F401
from certificates import Authority
from harness import Failure, free_port, main, monotonic, wait_for
from processes import SLOW

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from tls_scan import TLS12, hello  # noqa: E402

SHORT_EACH, LONG_EACH = 30, 300
REQUEST_S, IDLE_S = 2, 4  # As the listeners are configured here.
HANDSHAKE_S = 10          # As it always is.
GRACE_S = 4 * SLOW        # For the sweep, and for a busy machine.
DROP_S = 0.25
GROWN_KIB = 96 << 10
ANSWER_S = 2 * SLOW
HEADER = b"POST /api/detection HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"y" * 2000
BODY = (b"POST /api/detection HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: 2000\r\n\r\n")
ANSWERS = 1000
SLOWEST = 8 << 10  # Octets a second; who reads less has so much longer for an answer as it is large.
MUCH = b"GET /api/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * ANSWERS


class Slow(threading.Thread):
    """Many peers of one kind at one port."""

    def __init__(self, name, port, count, limit, opening=b"", drops=b"", tls=None, reads=True):
        super().__init__(daemon=True)
        self.name, self.port, self.count, self.limit = name, port, count, limit
        self.opening, self.drops, self.tls, self.reads = opening, drops, tls, reads
        self.cut = []  # After how many seconds.
        self.error = None
        self.start()

    def run(self):
        try:
            peers = [self._connect() for _ in range(self.count)]
            self._drip(peers) if self.reads else self._wait(peers)
        except Exception as e:  # pylint: disable=broad-except; told by the trial.
            self.error = repr(e)

    def _connect(self):
        s = socket.socket()
        if not self.reads:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(20 * SLOW)
        s.connect(("127.0.0.1", self.port))
        if self.tls is not None:
            s = self.tls.wrap_socket(s, server_hostname="localhost")
        begun = monotonic()
        s.sendall(self.opening)
        s.setblocking(False)
        return s, begun

    def _drip(self, peers):
        for i in range(len(self.drops) or 10000):
            for peer in list(peers):
                if self._is_cut(peer[0], self.drops[i:i + 1]):
                    self.cut.append(monotonic() - peer[1])
                    peer[0].close()
                    peers.remove(peer)
            if not peers or monotonic() - peers[0][1] > self.limit:
                break
            time.sleep(DROP_S)
        for s, _ in peers:
            s.close()

    @staticmethod
    def _is_cut(s, drop):
        try:
            if drop:
                s.send(drop)
            return s.recv(65536) == b""
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError:
            return True

    # Reads nothing until it must be cut off; then there is what the kernels hold and an end, or a
    # reset. Whoever was not cut off gets all answers.
    def _wait(self, peers):
        time.sleep(self.limit)
        for s, begun in peers:
            s.settimeout(GRACE_S)
            answers = 0
            with s:
                try:
                    while data := s.recv(65536):
                        answers += data.count(b"HTTP/1.1 200")
                except socket.timeout:
                    continue
                except OSError:
                    pass
            if answers < ANSWERS:
                self.cut.append(min(monotonic() - begun, self.limit))


class Good(threading.Thread):
    """Asks every port now and then, over a connection of its own."""

    def __init__(self, ports, tls):
        super().__init__(daemon=True)
        self.ports, self.tls = ports, tls
        self.slowest, self.answers, self.errors = 0.0, 0, []
        self.going = True
        self.start()

    def run(self):
        while self.going:
            for name, port in self.ports.items():
                begin = monotonic()
                try:
                    made = (http.client.HTTPSConnection("localhost", port, context=self.tls,
                                                        timeout=20)
                            if name.endswith("tls") else
                            http.client.HTTPConnection("localhost", port, timeout=20))
                    with contextlib.closing(made) as connection:
                        connection.request("GET", "/api/test")
                        if connection.getresponse().status != 200:
                            self.errors.append(name)
                    self.answers += 1
                except (OSError, http.client.HTTPException) as e:
                    self.errors.append(f"{name}: {e!r}")
                self.slowest = max(self.slowest, monotonic() - begin)
            time.sleep(0.1)


def add_listeners(server, pair):
    ports = {}
    for plugin in ("rest", "websocket"):
        for tls in (False, True):
            name = f"{plugin}-tls" if tls else plugin
            ports[name] = free_port()
            config = {"role": "server", "listen": f"127.0.0.1:{ports[name]}",
                      "request_timeout": REQUEST_S, "idle_timeout": IDLE_S}
            if plugin == "websocket":
                config["stall_timeout"] = REQUEST_S
            if tls:
                config.update(pair)
            server.config["instances"].append({"name": name, "plugin": plugin, "config": config})
    server.write_config()
    return ports


def attack(t, ports, control, tls, answer):
    """`answer`: the octets of one answer to MUCH."""
    each = LONG_EACH if t.long else SHORT_EACH
    first = hello(TLS12, range(0xc000, 0xc100))
    kinds = []
    for name, port in {**ports, "control": control}.items():
        if name.endswith("tls") or name == "control":
            kinds.append(Slow(f"{name}: handshake in drops", port, each, HANDSHAKE_S + GRACE_S,
                              first[:1], first[1:200]))
            kinds.append(Slow(f"{name}: no handshake", port, each, HANDSHAKE_S + GRACE_S))
        if name == "control":
            continue
        over = tls if name.endswith("tls") else None
        kinds += [Slow(f"{name}: nothing", port, each, max(IDLE_S, REQUEST_S) + GRACE_S, tls=over),
                  Slow(f"{name}: header in drops", port, each, REQUEST_S + GRACE_S, HEADER[:10],
                       HEADER[10:], over),
                  Slow(f"{name}: body in drops", port, each, REQUEST_S + GRACE_S, BODY,
                       b"x" * 1900, over),
                  Slow(f"{name}: reads nothing", port, each,
                       REQUEST_S + answer / SLOWEST + 2 * GRACE_S, MUCH, tls=over, reads=False)]
    return kinds


def counted(server, name):
    return sum(float(line.rsplit(" ", 1)[1])
               for line in server.get("/metrics").body.decode().splitlines()
               if line.startswith(name + "{"))


def run(t):
    ours = Authority(t.folder)
    pair = dict(zip(("certificate", "key"), ours.sign("server")))
    control = free_port()
    server = t.server(control={"tcp": {"listen": f"127.0.0.1:{control}", **pair,
                                       "client_ca": ours.pem}})
    ports = add_listeners(server, pair)
    server.start()
    before = server.rss_kib()
    tls = ssl.create_default_context(cafile=ours.pem)
    good = Good(ports, tls)
    answer = len(server.get("/api/openapi.json").body)
    kinds = attack(t, ports, control, tls, answer)
    most = before
    while any(kind.is_alive() for kind in kinds):
        most = max(most, server.rss_kib())
        time.sleep(0.1)
    good.going = False
    good.join()
    for kind in kinds:
        if kind.error or len(kind.cut) != kind.count:
            raise Failure(f"{kind.name}: {len(kind.cut)} of {kind.count} were cut off after at "
                          f"most {kind.limit} s, {kind.error}")
    if good.errors or good.slowest > ANSWER_S:
        raise Failure(f"others waited {good.slowest:.2f} s: {good.errors[:5]}")
    if most - before > GROWN_KIB:
        raise Failure(f"memory grew from {before} to {most} KiB")
    wait_for(lambda: counted(server, "viaduct_rest_timed_out_handshakes_total") > 0 and
             counted(server, "viaduct_websocket_timed_out_handshakes_total") > 0 and
             counted(server, "viaduct_rest_timed_out_total") > 0 and
             counted(server, "viaduct_websocket_slow_readers_total") > 0, 20, "all to be counted")
    t.figure(attackers=sum(kind.count for kind in kinds), others_answered=good.answers,
             others_slowest_s=round(good.slowest, 3), rss_kib_before=before, rss_kib_most=most,
             cut_after_s={k.name: round(max(k.cut), 1) for k in kinds})
    if server.stop() != 0:
        raise Failure(f"server: not 0\n{server.tail()}")


if __name__ == "__main__":
    main(run)
