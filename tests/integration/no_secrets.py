#!/usr/bin/env python3
"""Secrets stay where they belong: a node with keys, passwords and a token's secret in its configuration
is used well and badly by every door. Then everything that it said or wrote is searched for each of
them: its log, every answer, the audit, what /proc shows of it and of its children, and every file below
its folder: what it keeps of keys and users are hashes. Only a secret that stands in the text of a
configuration itself is in its revisions, which are for the node's user alone.
"""

import base64
import hashlib
import hmac
import json
import os
import secrets
import stat
import subprocess
import threading
import time
import urllib.error
import urllib.request

import common_path  # noqa: F401
from broker import Broker
from harness import Failure, free_port, main, wait_for
from rsync_daemon import RsyncDaemon
from websocket_nodes import add_listener

PATIENCE_S = 60
TIME = "2024-01-15T10:30:00.000Z"


def expect(condition, what):
    if not condition:
        raise Failure(what)


class Wanted:
    """The secrets, each by a name, and everything in which they must not be."""

    def __init__(self):
        self.secrets = {}
        self.findings = []
        self.searched = 0

    def add(self, name, value):
        self.secrets[name] = value
        return value

    def forms(self):
        """Also as HTTP and JSON would write them."""
        for name, value in self.secrets.items():
            yield name, value.encode()
            yield f"{name} in base64", base64.b64encode(value.encode())

    def search(self, where, data):
        self.searched += 1
        data = data.encode() if isinstance(data, str) else data
        for name, form in self.forms():
            if form in data:
                self.findings.append(f"{name} in {where}")
                at = data.index(form)
                self.findings.append(f"  ...{data[max(0, at - 80):at + 20]!r}")


class Children(threading.Thread):
    """What anybody can see of processes that the node starts."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid = pid
        self.seen = {}
        self.over = threading.Event()

    def run(self):
        while not self.over.wait(0.002):
            for pid in self.descend(self.pid):
                for what in ("cmdline", "environ"):
                    try:
                        with open(f"/proc/{pid}/{what}", "rb") as f:
                            self.seen.setdefault((pid, what), set()).add(f.read())
                    except OSError:
                        pass

    def descend(self, pid):
        try:
            with open(f"/proc/{pid}/task/{pid}/children") as f:
                direct = f.read().split()
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children") as f:
                    direct += f.read().split()
        except OSError:
            return
        for child in set(direct):
            yield child
            yield from self.descend(child)


def write_secret(t, name, text):
    path = os.path.join(t.folder, name)
    with open(path, "w", opener=lambda p, f: os.open(p, f, 0o600)) as f:
        f.write(text + "\n")
    return path


def part(value):
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def token_of(secret, role, **more):
    """A token as another system would sign it."""
    now = int(time.time())
    claims = {"iss": "https://login.site.example", "aud": "viaduct", "sub": "carl", "role": role,
              "iat": now, "exp": now + 3600, **more}
    head = part(json.dumps({"alg": "HS256", "kid": "k1", "typ": "JWT"}).encode())
    body = part(json.dumps(claims).encode())
    signature = hmac.new(secret.encode(), f"{head}.{body}".encode(), hashlib.sha256).digest()
    return f"{head}.{body}.{part(signature)}"


class Site:
    def __init__(self, t):
        self.t = t
        self.wanted = Wanted()
        new = lambda name: self.wanted.add(name, secrets.token_hex(20))  # noqa: E731
        self.mqtt = new("mqtt password")
        self.road = new("password of a road")
        self.daemon_password = new("rsync password")
        self.database = new("database password")
        self.hook = new("token of the webhook")
        self.jwt = new("token secret")
        self.broker = Broker(t).start()
        self.server = t.server()
        self.sockets = add_listener(self.server)
        self.configure()
        self.server.start()
        self.children = Children(self.server.process.pid)
        self.children.start()

    def configure(self):
        t, config = self.t, self.server.config
        # With and without a file of its own; where the text of the configuration has it, so may its
        # revisions.
        config["instances"] += [
            {"name": "mqtt", "plugin": "mqtt",
             "config": {"role": "server", "broker_url": f"127.0.0.1:{self.broker.port}",
                        "client_id": "SERVER1", "username": "server",
                        "password": f"file:{write_secret(t, 'mqtt.secret', self.mqtt)}"}},
            {"name": "rsync", "plugin": "rsync", "config": RsyncDaemon.client_config(
                free_port(), password=f"file:{write_secret(t, 'rsync.secret', self.daemon_password)}")},
            {"name": "up", "plugin": "rest",
             "config": {"role": "client", "base_url": f"http://127.0.0.1:{free_port()}",
                        "token": f"file:{write_secret(t, 'road.secret', self.road)}"}}]
        config["node"]["sinks"] = ["store", "uplink"]
        config["alerts"] = {"webhook": {
            "url": f"http://127.0.0.1:{free_port()}/hook",
            "token": f"file:{write_secret(t, 'hook.secret', self.hook)}"}}
        if t.store == "postgresql":  # It trusts whoever comes; what the node sends is the password.
            config["store"]["postgresql"] = {
                "host": "127.0.0.1", "port": t.postgres().port, "user": "viaduct",
                "database": self.server.database,
                "password": f"file:{write_secret(t, 'database.secret', self.database)}"}
        config["auth"] = {
            "limits": {"failures": {"per_second": 1000, "burst": 1000}},
            "tokens": {"issuer": "https://login.site.example", "audience": "viaduct",
                       "keys": [{"kid": "k1", "algorithm": "HS256",
                                 "file": write_secret(t, "jwt.secret", self.jwt)}]}}
        self.server.write_config()

    def ctl(self, *words, code=0, text=None):
        done = subprocess.run(
            [self.t.build.program("viaductctl"), "-s", self.server.control[len("unix:"):], *words],
            capture_output=True, text=True, check=False, input=text)
        expect(code is None or done.returncode == code,
               f"viaductctl {words}: {done.returncode} {done.stderr}")
        return done.stdout + done.stderr

    def heard(self, where, text):
        self.wanted.search(where, text)
        return text

    def http(self, path, headers, body=None, port=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{port or self.server.http_port}{path}", headers=headers,
            data=None if body is None else json.dumps(body).encode())
        if body is not None:
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                status, text, found = reply.status, reply.read(), str(reply.headers)
        except urllib.error.HTTPError as e:
            status, text, found = e.code, e.read(), str(e.headers)
        said = text + found.encode()
        # Whoever puts a secret into a path is told that there is no such path.
        self.heard(f"the answer {status} to {path}", said.replace(path.encode(), b""))
        return status


def basic(name, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def make_credentials(site):
    """Keys are in the answer that makes them, and from then on nowhere."""
    made = json.loads(site.ctl("--json", "auth", "key", "create", "--device", "CAM001"))
    site.key = made["key"]
    path = os.path.join(site.t.folder, "tool.key")
    site.ctl("auth", "key", "create", "--tool", "backup", "--role", "viewer", "--out", path)
    expect(os.stat(path).st_mode & 0o777 == 0o600, "the file of a key is open to others")
    with open(path) as f:
        site.tool_key = f.read().strip()
    rotated = json.loads(site.ctl("--json", "auth", "key", "rotate", made["record"]["key_id"]))
    site.new_key = rotated["key"]
    site.password = secrets.token_hex(12)
    site.ctl("auth", "user", "add", "anna", "--role", "operator", "--password-file", "-",
             text=site.password + "\n")
    site.token = token_of(site.jwt, "viewer")
    site.wrong = {"wrong password": secrets.token_hex(12), "wrong token": token_of("x" * 40, "admin"),
                  "wrong key": site.key[:21] + "a" * 52 + site.key[73:]}
    for name, value in (("key", site.key), ("rotated key", site.new_key), ("key of a tool", site.tool_key),
                        ("password", site.password), ("token", site.token), *site.wrong.items()):
        site.wanted.add(name, value)
    for key in ("key", "rotated key", "key of a tool"):  # Its secret alone, too.
        site.wanted.add(f"secret of the {key}", site.wanted.secrets[key][21:73])


def detection():
    return {"type": "detection_result", "camera_id": "CAM001", "checkpoint_id": "CP1",
            "timestamp": TIME, "ocr_results": ["AB1"]}


def come_in(site):
    """Well and badly, by every door that there is."""
    good = [{"X-API-Key": site.key}, {"X-API-Key": site.new_key},
            {"Authorization": f"Bearer {site.new_key}"}]
    for headers in good:
        status = site.http("/api/detection", headers, detection())
        expect(status == 200, f"with a key: {status}")
    readers = [basic("anna", site.password), {"Authorization": f"Bearer {site.token}"},
               {"X-API-Key": site.tool_key}]
    for headers in readers:
        for path in ("/api/statistics", "/api/records", "/api/cameras", "/api/health", "/metrics",
                     "/api/communication/stats", "/api/communication/logs", "/api/lpr/events",
                     "/api/devices", "/api/openapi.json"):
            site.http(path, headers)
    bad = [basic("anna", site.wrong["wrong password"]), basic("nobody", site.password),
           {"Authorization": f"Bearer {site.wrong['wrong token']}"},
           {"X-API-Key": site.wrong["wrong key"]}, {"X-API-Key": site.key + "x"},
           {"Authorization": f"Bearer {site.token[:-8]}"}, {}]
    for headers in bad:
        status = site.http("/api/records", headers)
        expect(status in (401, 429), f"with {list(headers)}: {status}")
        site.http("/api/detection", headers, detection())
    site.http(f"/api/records?api_key={site.key}", {})
    site.http(f"/{site.password}", {"X-API-Key": site.key})
    site.http("/socket.io/?EIO=4&transport=polling", {"X-API-Key": site.key}, port=site.sockets)
    site.http("/socket.io/?EIO=4&transport=polling", bad[3], port=site.sockets)


def steer(site):
    """Everything that the control plane can show."""
    t, config = site.t, site.server.config
    shown = [("config", "get"), ("config", "schema"), ("config", "revisions"),
             ("config", "plan", site.server.config_path), ("config", "validate", site.server.config_path),
             ("instances", "list"), ("instances", "get", "mqtt"), ("instances", "get", "rsync"),
             ("instances", "get", "up"), ("node", "info"), ("stats", "show"), ("alerts",),
             ("plugins", "describe", "mqtt"), ("spool", "list", "--envelope"), ("transfers", "list"),
             ("fleet", "list"), ("auth", "key", "list"), ("auth", "user", "list"),
             ("auth", "audit", "list"), ("auth", "audit", "verify"), ("auth", "whoami"),
             ("logs", "tail", "-n", "1000", "-l", "trace")]
    for level in ("trace", "info"):
        site.ctl("logs", "set-level", "default", level)
        for words in shown:
            for form in ((), ("--json",)):
                site.heard(f"viaductctl {' '.join(words)}", site.ctl(*form, *words, code=None))
    # A secret in the text itself: it is in the revision, and in no answer.
    config["instances"][-1]["config"]["api_key"] = site.wanted.add(
        "password in the text", secrets.token_hex(20))
    config["instances"][-1]["config"]["timeout"] = "soon"  # And a mistake beside it.
    site.server.write_config()
    for words in (("plan",), ("validate",), ("apply",)):
        site.heard(f"config {words}", site.ctl("config", *words, site.server.config_path, code=6))
    site.heard("--check", subprocess.run(
        [t.build.program("viaduct-host"), "--check", "--config", site.server.config_path],
        capture_output=True, text=True, check=False).stdout)
    config["instances"][-1]["config"]["timeout"] = 5
    site.server.write_config()
    site.heard("config apply", site.ctl("config", "apply", site.server.config_path))
    site.heard("config get", site.ctl("config", "get"))
    path = write_secret(t, "wrong.key", site.wrong["wrong key"])
    site.heard("a wrong key", site.ctl("--key-file", path, "node", "info", code=8))
    os.unlink(path)
    path = write_secret(t, "right.token", site.token)
    site.heard("a token", site.ctl("--token-file", path, "auth", "whoami"))


def search_processes(site):
    pid = site.server.process.pid
    for what in ("cmdline", "environ"):
        with open(f"/proc/{pid}/{what}", "rb") as f:
            site.heard(f"/proc/PID/{what}", f.read())
    wait_for(lambda: site.children.seen, PATIENCE_S, "a child of the node")
    site.children.over.set()
    site.children.join()
    for (_, what), texts in site.children.seen.items():
        for text in texts:
            site.heard(f"/proc/CHILD/{what}: {text[:60]!r}", text)


def search_files(site):
    folder = site.server.data_dir
    for root, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(root, name)
            facts = os.lstat(path)
            if not stat.S_ISREG(facts.st_mode):
                continue
            relative = os.path.relpath(path, folder)
            with open(path, "rb") as f:
                data = f.read()
            # The text of a configuration that has secrets in itself is kept as it is.
            if relative.startswith("config/"):
                data = data.replace(site.wanted.secrets["password in the text"].encode(), b"")
            site.heard(f"the file {relative}", data)
            own = any(relative.startswith(start) for start in ("config/", "auth/", "audit/"))
            expect(not own or facts.st_mode & 0o077 == 0, f"{relative} has mode {facts.st_mode:o}")
    with open(site.server.log_path, "rb") as f:
        site.heard("the log", f.read())


def run(t):
    site = Site(t)
    make_credentials(site)
    come_in(site)
    steer(site)
    search_processes(site)
    expect(site.server.stop() == 0, f"the node did not stop in order\n{site.server.tail()}")
    search_files(site)
    expect(not site.wanted.findings, "\n".join(site.wanted.findings[:40]))
    t.figure(secrets=len(site.wanted.secrets), searched=site.wanted.searched)


if __name__ == "__main__":
    main(run, limit=280, store="postgresql")
