#!/usr/bin/env python3
"""Fault 6, the part of names: the server's name is not found because DNS is dead or silent, or it
leads to a captive portal that answers HTTP 200 to everything, over each road. The edge keeps what
it was given, refuses nothing, sets nothing aside, starts and stops as ever, and delivers each once
when the name leads to the server again. Beside a portal a good road carries everything.
In a mount namespace of its own, with its own /etc/hosts and /etc/resolv.conf.
Short: each trouble twice. Long: 20 times.
"""

import contextlib
import os
import socket
import subprocess
import threading

import common_path  # noqa: F401
from broker import Broker
from harness import Failure, free_port, main, say, wait_for
from private_mounts import enter_namespace
from relayed_roads import ROADS, listen_on_all, road_to

NAME = "viaduct-peer.test"
REAL, PORTAL = "127.0.0.1", "127.0.0.2"
SHORT_TIMES, LONG_TIMES = 2, 20
MESSAGES = 60
PATIENCE_S = 60
TRIES = 3  # Of a road, before it is looked at what has become of the messages.
STOP_S = 15
MAX_REQUEST_BYTES = 1 << 16
OPTIONS = {"rest": {"timeout": 2, "connect_timeout": 2},
           "websocket": {"answer_timeout": 2, "connect_timeout": 2},
           "mqtt": {"ack_timeout": 2, "connect_timeout": 2}}
BODIES = [b"<html>Welcome to the hotel</html>", b'{"success":true}', b'{"status":"ok"}', b"[]",
          b'{"results":[]}', b""]


class Names:
    """Where NAME leads, for all programs of this namespace."""

    def __init__(self, t):
        self.hosts = self._replace(t, "hosts")
        resolver = self._replace(t, "resolv.conf")
        with open(resolver, "w") as f:
            f.write("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        self.questions = 0
        self.dns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.silent = False  # Otherwise it refuses: only root may have this port.
        with contextlib.suppress(OSError):
            self.dns.bind(("127.0.0.1", 53))
            self.silent = True
            threading.Thread(target=self._hear, daemon=True).start()
        t.cleanups.append(self.dns.close)
        self.lead(REAL)

    @staticmethod
    def _replace(t, name):
        path = os.path.join(t.folder, name)
        with open(path, "w"):
            pass
        subprocess.run(["mount", "--bind", path, f"/etc/{name}"], check=True)
        t.cleanups.append(lambda: subprocess.run(["umount", "-l", f"/etc/{name}"], check=False))
        return path

    def _hear(self):
        with contextlib.suppress(OSError):
            while True:
                self.dns.recv(512)
                self.questions += 1

    def lead(self, address):
        """To this address; None: nowhere."""
        with open(self.hosts, "w") as f:
            f.write("127.0.0.1 localhost\n" + (f"{address} {NAME}\n" if address else ""))


class Portal:
    """Answers 200 to whatever it is sent, in any protocol; a page, JSON, nothing, or what it was
    sent itself."""

    def __init__(self, t, port):
        self.answers = 0
        self.listener = socket.create_server((PORTAL, port))
        t.cleanups.append(self.listener.close)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.listener.accept()
                threading.Thread(target=self._answer, args=(peer,), daemon=True).start()

    def _answer(self, peer):
        with contextlib.suppress(OSError), peer:
            peer.settimeout(PATIENCE_S)
            while True:
                asked = peer.recv(MAX_REQUEST_BYTES)
                if not asked:
                    return
                bodies = [*BODIES, asked.split(b"\r\n\r\n", 1)[-1]]
                body = bodies[self.answers % len(bodies)]
                self.answers += 1
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                             b"Content-Length: %d\r\n\r\n" % len(body) + body)


class Site:
    """An edge for each road, which finds its server by name."""

    def __init__(self, t):
        self.t = t
        self.names = Names(t)
        self.broker = Broker(t).start()
        self.server = t.server()
        ports = listen_on_all(self.server, self.broker)
        self.relays = {road: t.relay(ports[road]) for road in ROADS}
        self.portals = {road: Portal(t, self.relays[road].port) for road in ROADS}
        self.edges = {road: self._edge(road) for road in ROADS}
        self.server.start()
        for edge in self.edges.values():
            edge.start()

    def _edge(self, road):
        edge = self.t.edge(1, f"edge-{road}", node_id=f"EDGE-{road}")
        instance = road_to(road, self.relays[road].port, f"EDGE-{road}", host=NAME, **OPTIONS[road])
        edge.config["instances"][-1] = instance
        edge.config["limits"] = {"drain_timeout": "1s"}
        edge.write_config()
        return edge

    def lead(self, address):
        """What is open is cut, as it is where a device changes its network."""
        self.names.lead(address)
        for relay in self.relays.values():
            relay.say("reset")

    def send(self):
        for edge in self.edges.values():
            result = self.t.http_load(edge.http_port, connections=2, messages=MESSAGES, seconds=20,
                                      drain_seconds=20).result()
            if result["accepted"] != MESSAGES:
                raise Failure(f"{edge.name} refused: {result}")

    def all_kept(self, what):
        for edge in self.edges.values():
            info = edge.ctl("spool", "info")["spool"]
            if int(info.get("messages", 0)) != MESSAGES or int(info.get("rejected", 0)):
                raise Failure(f"{what}: {edge.name} was given {MESSAGES}, has {info}")

    def all_delivered(self):
        self.t.await_stored(self.server, PATIENCE_S)
        for edge in self.edges.values():
            wait_for(lambda e=edge: e.spool_messages() == 0, PATIENCE_S, f"{edge.name} to be empty")

    def recover(self):
        self.lead(REAL)
        self.all_delivered()


def dead(site):
    site.lead(None)
    asked = site.names.questions
    site.send()
    if site.names.silent:
        wait_for(lambda: site.names.questions >= asked + TRIES * len(ROADS), PATIENCE_S,
                 "the edges to ask for the name")
    site.all_kept("without DNS")


def portal(site):
    before = {road: p.answers for road, p in site.portals.items()}
    site.lead(PORTAL)
    site.send()
    for road, one in site.portals.items():
        tries = len(BODIES) + 1 if road == "rest" else TRIES
        wait_for(lambda r=road, o=one, n=tries: o.answers >= before[r] + n, PATIENCE_S,
                 f"{road} to try the portal, {one.answers - before[road]} so far")
    site.all_kept("behind a portal")


def starts_and_stops_without_dns(site):
    site.lead(None)
    site.send()
    for edge in site.edges.values():
        status = edge.stop(STOP_S)
        if status != 0:
            raise Failure(f"{edge.name} ended with {status} without DNS\n{edge.tail()}")
        edge.start()
    site.all_kept("started without DNS")


def beside(t, site):
    """A road that leads to a portal beside a good one."""
    edge = t.edge(site.server.http_port, "edge-beside", node_id="BESIDE")
    port = free_port()
    Portal(t, port)
    edge.config["instances"].insert(1, road_to("rest", port, "BESIDE", host=PORTAL))
    edge.config["gateway"]["probe"] = {"interval": "1s", "retry_interval": "1s"}
    edge.write_config()
    edge.start()
    result = t.http_load(edge.http_port, rate=200, seconds=4, drain_seconds=20).result()
    t.await_stored(site.server, 10)
    quality = {one["instance"]: one["quality"] for one in
               edge.ctl("stats", "show")["snapshot"]["instances"]}["rest"]
    if quality not in ("LINK_QUALITY_POOR", "LINK_QUALITY_UNKNOWN"):
        raise Failure(f"the portal passes for a road of {quality}")
    return edge, {"sent": result["accepted"], "portal": quality}


def run(t):
    site = Site(t)
    site.send()
    site.all_delivered()
    for number in range(LONG_TIMES if t.long else SHORT_TIMES):
        for trouble in (dead, portal):
            trouble(site)
            site.recover()
            say(f"{trouble.__name__} {number}")
    starts_and_stops_without_dns(site)
    site.recover()
    say("started and stopped")
    edge, figures = beside(t, site)
    t.figure(silent_dns=site.names.silent, beside=figures,
             portal={road: one.answers for road, one in site.portals.items()})
    t.conclude(site.server, [*site.edges.values(), edge], seconds=PATIENCE_S)
    site.broker.kill()


enter_namespace()
main(run)
