#!/usr/bin/env python3
"""TLS, passwords and client certificates against a real mosquitto: who may come in does, who may not
is told why, keeps what it has, and shows no secret.
"""

import json
import os
import subprocess

import common_path  # noqa: F401
from broker import Broker, mosquitto_program
from harness import main, wait_for
from mqtt_road import detection, edge_on, expect, server_on

PATIENCE_S = 20
PASSWORD = "correct-horse-7731"
WRONG = "wrong-horse-7731"


class Authority:
    """A certificate authority of the trial's own, and what it has signed."""

    def __init__(self, folder, name="ca"):
        self.folder, self.name = folder, name
        self.cert, self.key = self.path(f"{name}.pem"), self.path(f"{name}.key")
        self.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                     f"/CN={name}", "-keyout", self.key, "-out", self.cert)

    def path(self, name):
        return os.path.join(self.folder, name)

    @staticmethod
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

    def sign(self, name, alternative):
        cert, key, request = (self.path(f"{self.name}-{name}.{end}")
                              for end in ("pem", "key", "csr"))
        extensions = self.path(f"{self.name}-{name}.ext")
        with open(extensions, "w") as f:
            f.write(f"subjectAltName={alternative}\n")
        self.openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", key,
                     "-out", request)
        self.openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key,
                     "-CAcreateserial", "-days", "2", "-extfile", extensions, "-out", cert)
        return cert, key


def instance(t, node, name="mqtt"):
    done = subprocess.run([t.build.program("viaductctl"), "-s", node.control[len("unix:"):], "-j",
                           "instances", "get", name], capture_output=True, text=True, check=False)
    expect(done.returncode == 0, f"viaductctl instances get: {done.stderr}")
    return done.stdout


def passes(t, server, edge, what):
    server.start()
    edge.start()
    reply = edge.post("/api/detection", detection(what))
    expect(reply.status == 200, f"{what}: {reply.status} {reply.body}")
    wait_for(lambda: server.total_detections() == 1, PATIENCE_S, f"{what}: the detection")
    for node in (edge, server):
        expect(node.stop() == 0, f"{node.name}: not 0\n{node.tail()}")
        expect(PASSWORD not in open(node.log_path).read(), f"{what}: a password in the log")


def fails(t, edge, what, words):
    """It says why, keeps what it takes in, and shows no secret."""
    edge.start()
    reply = edge.post("/api/detection", detection(what))
    expect(reply.status == 200, f"{what}: {reply.status} {reply.body}")
    wait_for(lambda: any(word in instance(t, edge).lower() for word in words), PATIENCE_S,
             f"{what}: one of {words} in {instance(t, edge)}")
    shown = instance(t, edge) + open(edge.log_path).read()
    expect(WRONG not in shown and PASSWORD not in shown, f"{what}: a password is shown")
    done = subprocess.run([t.build.program("viaductctl"), "-s", edge.control[len("unix:"):], "-j",
                           "spool", "info"], capture_output=True, text=True, check=True)
    expect(int(json.loads(done.stdout)["spool"].get("messages", 0)) == 1, f"{what}: {done.stdout}")
    expect(edge.stop() == 0, f"{edge.name}: not 0\n{edge.tail()}")


def passwords(t):
    users = os.path.join(t.folder, "users")
    subprocess.run([mosquitto_program("mosquitto_passwd"), "-c", "-b", users, "node", PASSWORD],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.chmod(users, 0o600)
    broker = Broker(t, "broker-password", ["allow_anonymous false", f"password_file {users}"])
    broker.start()
    for version in ("mqtt5", "mqtt311"):
        user = {"username": "node", "password": PASSWORD, "protocol": version}
        passes(t, server_on(t, broker.port, f"ps-{version}", f"ps-{version}", share=version, **user),
               edge_on(t, broker.port, f"pe-{version}", f"pe-{version}", **user),
               f"password-{version}")
        user["password"] = WRONG
        fails(t, edge_on(t, broker.port, f"pw-{version}", f"pw-{version}", **user),
              f"wrong-{version}", ["not authorized", "not authorised", "bad user"])
    fails(t, edge_on(t, broker.port, "pn", "pn"), "no password", ["not auth"])


def certificates(t):
    ours, other = Authority(t.folder), Authority(t.folder, "other")
    cert, key = ours.sign("broker", "IP:127.0.0.1")
    broker = Broker(t, "broker-tls", listener=[f"certfile {cert}", f"keyfile {key}"]).start()
    tls = {"broker_url": f"mqtts://127.0.0.1:{broker.port}", "ca_file": ours.cert}
    passes(t, server_on(t, 0, "ts", "ts", **tls), edge_on(t, 0, "te", "te", **tls), "tls")
    fails(t, edge_on(t, 0, "to", "to", **{**tls, "ca_file": other.cert}), "another authority",
          ["certificate"])
    fails(t, edge_on(t, broker.port, "tp", "tp", connect_timeout=2), "plain to a tls port",
          ["broker:"])
    cert, key = ours.sign("stranger", "DNS:elsewhere.example")
    wrong = Broker(t, "broker-name", listener=[f"certfile {cert}", f"keyfile {key}"]).start()
    fails(t, edge_on(t, 0, "tn", "tn", broker_url=f"mqtts://127.0.0.1:{wrong.port}",
                     ca_file=ours.cert), "another name", ["certificate", "host name", "tls"])


def several_addresses(t):
    """A name with three addresses, of which the broker has the last, and a certificate for the
    name."""
    ours = Authority(t.folder, "ca3")
    cert, key = ours.sign("named", "DNS:broker.test")
    broker = Broker(t, "broker-named", listener=[f"certfile {cert}", f"keyfile {key}"]).start()
    hosts = os.path.join(t.folder, "hosts")
    with open(hosts, "w") as f:
        f.write("::1 broker.test\n127.0.0.2 broker.test\n127.0.0.1 broker.test\n")
    edge = edge_on(t, 0, "ta", "ta", broker_url=f"mqtts://broker.test:{broker.port}",
                   ca_file=ours.cert, confirm="broker")
    namespace = ["unshare", "--mount", *([] if os.getuid() == 0 else ["--map-root-user"])]
    edge.start(prefix=[*namespace, "sh", "-c",
                       'mount --bind "$1" /etc/hosts && shift && exec "$@"', "sh", hosts])
    wait_for(lambda: '"health": "HEALTH_OK"' in instance(t, edge), PATIENCE_S,
             "the last address to be tried")
    expect(edge.stop() == 0, f"{edge.name}: not 0\n{edge.tail()}")


def client_certificates(t):
    ours, other = Authority(t.folder, "ca2"), Authority(t.folder, "other2")
    cert, key = ours.sign("broker", "IP:127.0.0.1")
    broker = Broker(t, "broker-client", listener=[
        f"cafile {ours.cert}", f"certfile {cert}", f"keyfile {key}", "require_certificate true"])
    broker.start()
    tls = {"broker_url": f"mqtts://127.0.0.1:{broker.port}", "ca_file": ours.cert}
    cert, key = ours.sign("node", "DNS:node")
    mine = {**tls, "certificate": cert, "key": key}
    passes(t, server_on(t, 0, "cs", "cs", **mine), edge_on(t, 0, "ce", "ce", **mine), "client cert")
    fails(t, edge_on(t, 0, "cn", "cn", **tls), "no client certificate", ["broker:"])
    cert, key = other.sign("node", "DNS:node")
    fails(t, edge_on(t, 0, "co", "co", **{**tls, "certificate": cert, "key": key}),
          "another's client certificate", ["broker:"])


def run(t):
    passwords(t)
    certificates(t)
    several_addresses(t)
    client_certificates(t)


if __name__ == "__main__":
    main(run)
