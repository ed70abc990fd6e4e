#!/usr/bin/env python3
"""Certificates in both directions: listeners refuse clients, and roads refuse servers, whose
certificate has expired, is for another name, is signed by themselves or by a stranger. Then
certificates are exchanged under load: no request is lost, a pair that does not fit is kept out and
said, and what is about to expire is said too.
"""

import contextlib
import http.client
import json
import os
import socket
import ssl
import subprocess
import threading
import time

import common_path  # noqa: F401
from certificates import DAY, HOUR, Authority, write
from control_checks import component_reasons
from harness import Failure, free_port, main, wait_for

PATIENCE_S = 30
RENEWALS = 4
WORKERS = 4


def expect(condition, what):
    if not condition:
        raise Failure(what)


def detection(camera):
    return json.dumps({"type": "detection_result", "camera_id": camera, "checkpoint_id": "CP1",
                       "timestamp": "2024-01-15T10:30:00.000Z", "ocr_results": [camera]})


class Servers:
    """Servers with one certificate each, which count what they are told after the handshake."""

    def __init__(self):
        self.told = {}
        self.sockets = []

    def start(self, name, certificate, key):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        listener = socket.create_server(("127.0.0.1", 0))
        self.sockets.append(listener)
        self.told[name] = 0
        threading.Thread(target=self._serve, args=(name, context, listener), daemon=True).start()
        return listener.getsockname()[1]

    def _serve(self, name, context, listener):
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), plain:
                plain.settimeout(PATIENCE_S)
                with context.wrap_socket(plain, server_side=True) as s:
                    self.told[name] += len(s.recv(4096))

    def close(self):
        for s in self.sockets:
            s.close()


def bad_servers(ours, stranger):
    return {"expired": ours.sign("expired", begin=-2 * HOUR, end=-HOUR),
            "young": ours.sign("young", begin=HOUR, end=DAY),
            "another-host": ours.sign("another-host", names=("DNS:elsewhere.example",)),
            "self-signed": ours.sign("self-signed", self_signed=True),
            "stranger": stranger.sign("stranger")}


def health_of(node, instance):
    got = node.ctl("instances", "get", instance)["instance"]
    return got.get("health", ""), got.get("reason", "")


def roads_refuse_bad_servers(t, ours, stranger):
    servers = Servers()
    t.cleanups.append(servers.close)
    edge = t.edge(free_port())
    edge.config["instances"].pop()
    ports = {name: servers.start(name, *files)
             for name, files in bad_servers(ours, stranger).items()}
    ports["good"] = servers.start("good", *ours.sign("good"))
    for name, port in ports.items():
        for plugin, url in (("rest", {"base_url": f"https://localhost:{port}"}),
                            ("websocket", {"server_url": f"wss://localhost:{port}",
                                           "reconnect_attempts": 0})):
            edge.config["instances"].append({
                "name": f"{plugin}-{name}", "plugin": plugin,
                "config": {"role": "client", "ca_file": ours.pem, **url}})
    edge.write_config()
    edge.start()
    # Every road is tried with it: none of these servers says that anything is stored.
    expect(edge.post("/api/detection", detection("CAM001")).status == 200, "the edge takes it")
    for name in ports:
        for plugin in ("rest", "websocket"):
            wait_for(lambda i=f"{plugin}-{name}": health_of(edge, i)[0] == "HEALTH_FAILED" and
                     health_of(edge, i)[1] != "connecting", PATIENCE_S, f"{plugin} over {name}")
            if name != "good":
                why = health_of(edge, f"{plugin}-{name}")[1].lower()
                expect("certificate" in why or "mismatch" in why or "ssl" in why,
                       f"{plugin} over {name} says {why}")
    wait_for(lambda: servers.told["good"] > 0, PATIENCE_S, "the good server to be told")
    told = {name: octets for name, octets in servers.told.items() if name != "good"}
    expect(not any(told.values()), f"told to servers that cannot be trusted: {told}")
    expect(edge.stop() == 0, f"edge: not 0\n{edge.tail()}")
    t.figure(roads_refused=sorted(told))


def add_listener(node, plugin, **config):
    port = free_port()
    node.config["instances"].append({"name": plugin + "s", "plugin": plugin, "config": {
        "role": "server", "listen": f"127.0.0.1:{port}", **config}})
    node.write_config()
    return port


def context_of(authority, identity=None):
    context = ssl.create_default_context(cafile=authority.pem)
    if identity:
        context.load_cert_chain(*identity)
    return context


def is_served(port, context):
    """Whether a request is answered; what the peer refuses is an answer too."""
    connection = http.client.HTTPSConnection("localhost", port, context=context,
                                             timeout=PATIENCE_S)
    try:
        connection.request("GET", "/api/test")
        return connection.getresponse().status == 200
    except (ssl.SSLError, ConnectionError, http.client.BadStatusLine):
        return False
    finally:
        connection.close()


def listeners_refuse_bad_clients(t, ours, stranger):
    pair = dict(zip(("certificate", "key"), ours.sign("server")))
    server = t.server("closed")
    ports = [add_listener(server, plugin, **pair, client_ca=ours.pem)
             for plugin in ("rest", "websocket")]
    server.start()
    bad = {"none": None, **{name: files for name, files in bad_servers(ours, stranger).items()
                            if name != "another-host"}}
    for port in ports:
        for name, identity in bad.items():
            expect(not is_served(port, context_of(ours, identity)), f"{name} was served at {port}")
        expect(is_served(port, context_of(ours, ours.sign("CAM001"))), f"good at {port}")
    metrics = server.get("/metrics").body.decode()
    for plugin in ("rest", "websocket"):
        wait_for(lambda p=plugin: counted(server, f"viaduct_{p}_failed_handshakes_total",
                                          p + "s") == len(bad), PATIENCE_S,
                 f"{len(bad)} failed handshakes of {plugin}: {metrics}")
    expect(server.stop() == 0, f"server: not 0\n{server.tail()}")
    t.figure(clients_refused=sorted(bad))


def counted(node, name, instance):
    for line in node.get("/metrics").body.decode().splitlines():
        if line.startswith(name + "{") and f'instance="{instance}"' in line:
            return float(line.rsplit(" ", 1)[1])
    return None


def served_certificate(port, context):
    with socket.create_connection(("localhost", port), PATIENCE_S) as plain, \
            context.wrap_socket(plain, server_hostname="localhost") as s:
        return s.getpeercert()["serialNumber"]


class Traffic:
    """Requests over kept and over new connections; every one is to be answered."""

    def __init__(self, port, context):
        self.port, self.context = port, context
        self.answered, self.lost = 0, []
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self._ask, args=(i % 2 == 0,))
                        for i in range(WORKERS)]
        for thread in self.threads:
            thread.start()

    def _ask(self, keeps):
        connection = None
        while not self.stop.is_set():
            try:
                if connection is None or not keeps:
                    connection = http.client.HTTPSConnection(
                        "localhost", self.port, context=self.context, timeout=PATIENCE_S)
                connection.request("POST", "/api/detection", detection("CAM001"),
                                   {"Content-Type": "application/json"})
                reply = connection.getresponse()
                reply.read()
                if reply.status == 200:
                    self.answered += 1
                else:
                    self.lost.append(reply.status)
                if not keeps:
                    connection.close()
            except (OSError, http.client.HTTPException) as e:
                self.lost.append(repr(e))
                connection = None

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def renewals(t, ours):
    """The same files get new certificates while requests pass."""
    pair = ours.sign("renewed")
    server = t.server("renewing")
    options = dict(zip(("certificate", "key"), pair))
    ports = {plugin: add_listener(server, plugin, **options) for plugin in ("rest", "websocket")}
    server.start()
    context = context_of(ours)
    traffic = [Traffic(port, context) for port in ports.values()]
    try:
        for _ in range(RENEWALS):
            before = {plugin: served_certificate(p, context) for plugin, p in ports.items()}
            ours.sign("renewed")
            for plugin, port in ports.items():
                wait_for(lambda p=port, b=before[plugin]: served_certificate(p, context) != b,
                         PATIENCE_S, f"the new certificate of {plugin}")
        keeps_broken_pairs_out(server, ours, pair, ports, context)
        says_what_expires(server, ours, ports)
    finally:
        for one in traffic:
            one.end()
    answered = [one.answered for one in traffic]
    expect(not any(one.lost for one in traffic), f"lost: {[one.lost[:5] for one in traffic]}")
    expect(min(answered) > 50, f"hardly any requests: {answered}")
    t.figure(renewals=RENEWALS, requests=sum(answered), lost=0)
    expect(server.stop() == 0, f"server: not 0\n{server.tail()}")


def keeps_broken_pairs_out(server, ours, pair, ports, context):
    before = {plugin: served_certificate(p, context) for plugin, p in ports.items()}
    good = [open(path, "rb").read() for path in pair]
    write(pair[1], b"not a key")
    for plugin, port in ports.items():
        wait_for(lambda p=plugin: health_of(server, p + "s")[0] == "HEALTH_DEGRADED", PATIENCE_S,
                 f"{plugin} to say that the new pair is broken")
        reason = health_of(server, plugin + "s")[1]
        expect("new certificate not taken" in reason and pair[1] in reason, reason)
        expect(served_certificate(port, context) == before[plugin], f"{plugin}: not the old one")
    write(pair[1], good[1])
    for plugin in ports:
        wait_for(lambda p=plugin: health_of(server, p + "s")[0] == "HEALTH_OK", PATIENCE_S,
                 f"{plugin} to be well again")


def says_what_expires(server, ours, ports):
    ours.sign("renewed", end=10 * DAY)
    for plugin in ports:
        wait_for(lambda p=plugin: "certificate: expires" in health_of(server, p + "s")[1],
                 PATIENCE_S, f"{plugin} to say that it expires")
        left = counted(server, f"viaduct_{plugin}_certificate_expiry_seconds", plugin + "s")
        expect(9.9 * DAY < left < 10.1 * DAY, f"{plugin}: {left} s are left")
    ours.sign("renewed")


def refuses_to_start(t, ours):
    """A listener without a good pair of its own says why."""
    cases = {"expired": (ours.sign("over", begin=-2 * HOUR, end=-HOUR), "expired"),
             "young": (ours.sign("early", begin=HOUR), "is not valid before"),
             "open": (ours.sign("open"), "others may read it"),
             "mixed": ((ours.sign("one")[0], ours.sign("two")[1]), "is not the key of")}
    os.chmod(cases["open"][0][1], 0o644)
    server = t.server("wrong")
    for name, (files, _) in cases.items():
        for plugin in ("rest", "websocket"):
            server.config["instances"].append({
                "name": f"{plugin}-{name}", "plugin": plugin, "config": {
                    "role": "server", "listen": "127.0.0.1:0",
                    **dict(zip(("certificate", "key"), files))}})
    server.write_config()
    server.start()
    for name, (_, words) in cases.items():
        for plugin in ("rest", "websocket"):
            wait_for(lambda i=f"{plugin}-{name}", w=words: w in json.dumps(
                server.ctl("instances", "get", i)), PATIENCE_S, f"{plugin} to say {words}")
    expect(server.stop() == 0, f"server: not 0\n{server.tail()}")


def post_as(port, context, camera):
    """The status of a detection of that camera."""
    connection = http.client.HTTPSConnection("localhost", port, context=context,
                                             timeout=PATIENCE_S)
    with contextlib.closing(connection):
        connection.request("POST", "/api/detection", detection(camera),
                           {"Content-Type": "application/json"})
        return connection.getresponse().status


def certificates_are_credentials(t, ours):
    """Where a node asks who calls, a device is whom its certificate names."""
    server = t.server("asking", auth={"certificates": {"devices": True}})
    pair = dict(zip(("certificate", "key"), ours.sign("asking")))
    ports = [add_listener(server, plugin, **pair, client_ca=ours.pem,
                          client_certificate="optional") for plugin in ("rest", "websocket")]
    server.start()
    device = context_of(ours, ours.sign("device", names=("URI:urn:viaduct:device:CAM001",)))
    nobody = context_of(ours, ours.sign("nobody", names=("DNS:cam1.site.example",)))
    for port in ports:
        got = [post_as(port, context, camera) for context, camera in (
            (device, "CAM001"), (device, "CAM002"), (nobody, "CAM001"),
            (context_of(ours), "CAM001"))]
        expect(got == [200, 403, 401, 401], f"at {port}: {got}")
    expect(server.stop() == 0, f"server: not 0\n{server.tail()}")


def control_over_tcp(t, ours, stranger):
    pair = ours.sign("control")
    port = free_port()
    server = t.server("steered", control={"tcp": {
        "listen": f"127.0.0.1:{port}", **dict(zip(("certificate", "key"), pair)),
        "client_ca": ours.pem}})
    server.start()
    me = ours.sign("administrator")
    context = context_of(ours, me)
    context.set_alpn_protocols(["h2"])

    def answers(identity):
        return subprocess.run(
            [t.build.program("viaductctl"), "--address", f"localhost:{port}", "--ca", ours.pem,
             "--certificate", identity[0], "--key", identity[1], "--timeout", "5s", "node", "info"],
            capture_output=True, check=False).returncode == 0

    expect(answers(me), "the administrator is served")
    for name, identity in bad_servers(ours, stranger).items():
        if name != "another-host":
            expect(not answers(identity), f"control.tcp served {name}")
    before = served_certificate(port, context)
    good = open(pair[1], "rb").read()
    write(pair[1], b"not a key")
    wait_for(lambda: "new certificate not taken" in component_reasons(t, server), PATIENCE_S,
             "the node to say that the new pair is broken")
    expect(served_certificate(port, context) == before and answers(me), "the old one goes on")
    write(pair[1], good)
    ours.sign("control", end=10 * DAY)
    wait_for(lambda: served_certificate(port, context) != before, PATIENCE_S, "the new one")
    expect(answers(me), "the administrator is served with the new one")
    wait_for(lambda: "certificate: expires" in component_reasons(t, server), PATIENCE_S,
             "the node to say that it expires")
    left = [float(line.split()[1]) for line in server.get("/metrics").body.decode().splitlines()
            if line.startswith("viaduct_control_certificate_expiry_seconds ")]
    expect(left and 9.9 * DAY < left[0] < 10.1 * DAY, f"{left} s are left")
    expect(server.stop() == 0, f"server: not 0\n{server.tail()}")


def run(t):
    ours, stranger = Authority(t.folder), Authority(t.folder, "other")
    for part in (lambda: roads_refuse_bad_servers(t, ours, stranger),
                 lambda: listeners_refuse_bad_clients(t, ours, stranger),
                 lambda: refuses_to_start(t, ours),
                 lambda: certificates_are_credentials(t, ours),
                 lambda: renewals(t, ours),
                 lambda: control_over_tcp(t, ours, stranger)):
        begin = time.monotonic()
        part()
        print(f"{time.monotonic() - begin:.1f} s", flush=True)


if __name__ == "__main__":
    main(run)
