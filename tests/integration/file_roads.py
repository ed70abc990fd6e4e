#!/usr/bin/env python3
"""Files of an edge over two real roads, SFTP to an sshd and rsync to its daemon: one road is cut and
they go by the other, in the middle of a file as well, and back when it is there again; the edge is
killed while they go. Every file is there in the end, once, under its name and with its digest.
"""

import hashlib
import json
import os
import random
import uuid

import common_path  # noqa: F401
from harness import Failure, main, wait_for
from rsync_daemon import RsyncDaemon
from ssh_server import SshServer

KILLS, LONG_KILLS = 2, 20
PATIENCE_S = 60
SMALL, LARGE = 150_000, 24_000_000
TRANSFERS, MIRRORS = "sftp", "rsync"  # The instances; rules and fallback name the plugins.


def expect(condition, what):
    if not condition:
        raise Failure(what)


def digest_of(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


class Site:
    def __init__(self, t):
        self.t = t
        self.random = random.Random(t.seed)
        self.sshd = SshServer(t).start()
        self.incoming = self.sshd.incoming
        self.daemon = RsyncDaemon(t, self.incoming).start()
        self.relays = {TRANSFERS: t.relay(self.sshd.port), MIRRORS: t.relay(self.daemon.port)}
        self.temporary = os.path.join(t.folder, "tmp")
        self.pictures = os.path.join(t.folder, "pictures")
        for folder in (self.temporary, self.pictures):
            os.mkdir(folder)
        self.trust_relay()
        self.server = t.server()
        self.edge = t.edge(self.server.http_port)
        self.edge.config["transfers"] = {
            "roots": [self.pictures], "max_attempts": 1000,
            "retry": {"initial_delay": "50ms", "max_delay": "300ms"}}
        self.edge.config["instances"] += [
            {"name": TRANSFERS, "plugin": "sftp", "config": self.sshd.client_config(
                port=self.relays[TRANSFERS].port, known_hosts=self.sshd.path("relay_hosts"))},
            {"name": MIRRORS, "plugin": "rsync",
             "config": RsyncDaemon.client_config(self.relays[MIRRORS].port)}]
        self.edge.write_config()
        self.sent = {}  # Transfer id -> name on the server, digest.
        self.server.start()
        self.start_edge()

    def trust_relay(self):
        with open(self.sshd.path("host.pub")) as key, \
                open(self.sshd.path("relay_hosts"), "w") as hosts:
            hosts.write(f"[127.0.0.1]:{self.relays[TRANSFERS].port} {key.read()}")

    def start_edge(self):
        self.edge.start(env={"TMPDIR": self.temporary})
        for road in (TRANSFERS, MIRRORS):
            self.await_road(road)

    def ask(self, *arguments):
        return self.edge.ctl("transfers", *arguments)

    def await_road(self, name):
        def healthy():
            found = self.edge.ctl("instances", "get", name)["instance"]
            return found["state"] == "INSTANCE_STATE_STARTED" and found["health"] == "HEALTH_OK"
        wait_for(healthy, PATIENCE_S, f"{name} to be ready", interval=0.05)

    def send(self, size, priority="normal"):
        """The transfer's id."""
        transfer = str(uuid.UUID(int=self.random.getrandbits(128), version=4))
        path = os.path.join(self.pictures, transfer)
        with open(path, "wb") as f:
            f.write(self.random.randbytes(size))
        name = f"2026/{len(self.sent)} a.jpg"
        self.ask("send", path, "--id", transfer, "--name", name, "--priority", priority)
        self.sent[transfer] = (f"CAM001/{name}", digest_of(path))
        return transfer

    def show(self, transfer):
        return self.ask("show", transfer)["transfer"]

    def await_done(self, transfers):
        for transfer in transfers:
            wait_for(lambda t=transfer: self.show(t)["state"] == "TRANSFER_STATE_DONE", PATIENCE_S,
                     f"{self.sent[transfer][0]} to arrive", interval=0.05)

    def arrive_by(self, road, transfers):
        self.await_done(transfers)
        for transfer in transfers:
            shown = self.show(transfer)
            expect(shown["road"] == road, f"by another road than {road}: {shown}")

    def await_moved(self, transfer, road):
        def moved():
            shown = self.show(transfer)
            if shown["state"] == "TRANSFER_STATE_DONE":
                return True  # It was quicker than the look at it.
            return shown.get("road") == road and int(shown.get("moved", 0)) > 0
        wait_for(moved, PATIENCE_S, f"a part of the file to go by {road}", interval=0.01)

    def parts(self):
        """What receivers look past."""
        return [os.path.join(folder, name) for folder, _, names in os.walk(self.incoming)
                for name in names if ".viaduct" in os.path.join(folder, name)[len(self.incoming):]]

    def judge(self):
        """Each is there, unchanged and once, and nothing else has a name."""
        there = {}
        for folder, _, names in os.walk(self.incoming):
            for name in names:
                path = os.path.join(folder, name)
                relative = os.path.relpath(path, self.incoming)
                if ".viaduct" not in relative:
                    there[relative] = digest_of(path)
        wanted = dict(self.sent.values())
        expect(there == wanted, f"{set(there.items()) ^ set(wanted.items())}")
        info = self.ask("info")["transfers"]
        expect(int(info.get("failed", 0)) == 0, f"given up: {info}")
        listed = self.ask("list", "-n", "1000")["transfers"]
        expect(len(listed) == len(self.sent), f"{len(listed)} transfers of {len(self.sent)}")

    def staging(self):
        return [name for name in os.listdir(self.temporary) if name.startswith("viaduct-rsync-")]


def each_by_its_own(site):
    site.arrive_by(TRANSFERS, [site.send(SMALL, "high") for _ in range(10)])
    site.arrive_by(MIRRORS, [site.send(3_000_000) for _ in range(3)])
    expect(not site.parts(), f"left: {site.parts()}")


def cut_and_back(site, broken, other, sizes, priority):
    """Between files: they go by the other road, and back."""
    relay = site.relays[broken]
    relay.say("refuse")
    site.arrive_by(other, [site.send(size, priority) for size in sizes])
    relay.say("pass")
    site.await_road(broken)
    site.arrive_by(broken, [site.send(size, priority) for size in sizes])


def cut_in_a_file(site, broken, other, priority):
    """It begins on one road and arrives by the other, whole."""
    relay = site.relays[broken]
    relay.say("budget 8000000 refuse")
    transfer = site.send(LARGE, priority)
    site.arrive_by(other, [transfer])
    relay.say("pass")
    site.await_road(broken)


def resumed_by_one(site):
    """With no other road a cut one goes on where it was, and nothing is left of that."""
    relay = site.relays[MIRRORS]
    site.relays[TRANSFERS].say("refuse")
    before = site.parts()
    up = json.loads(relay.say("stats"))["up"]
    relay.say("budget 16000000 reset")
    site.arrive_by(MIRRORS, [site.send(LARGE)])
    sent = json.loads(relay.say("stats"))["up"] - up
    # What was in flight goes again, in buffers of the relay as well.
    expect(sent < LARGE + 12_000_000, f"{sent} bytes were sent for {LARGE}")
    # What other roads had left before may have been removed meanwhile.
    expect(set(site.parts()) <= set(before), f"left: {site.parts()}, before {before}")
    site.relays[TRANSFERS].say("pass")
    site.await_road(TRANSFERS)
    return sent


def killed(site):
    """The edge, with files on both roads under way."""
    for _ in range(LONG_KILLS if site.t.long else KILLS):
        files = [site.send(LARGE), site.send(LARGE), site.send(LARGE, "high")]
        files += [site.send(SMALL) for _ in range(5)]
        which, road = site.random.choice([(0, MIRRORS), (2, TRANSFERS)])
        site.await_moved(files[which], road)
        site.edge.process.kill()
        site.edge.process.wait()
        site.start_edge()
        expect(len(site.staging()) == 1, f"left by what was killed: {site.staging()}")
        site.await_done(files)


def run(t):
    site = Site(t)
    each_by_its_own(site)
    cut_and_back(site, TRANSFERS, MIRRORS, [SMALL] * 5, "high")
    cut_and_back(site, MIRRORS, TRANSFERS, [3_000_000] * 2, "normal")
    cut_in_a_file(site, TRANSFERS, MIRRORS, "high")
    cut_in_a_file(site, MIRRORS, TRANSFERS, "normal")
    resumed = resumed_by_one(site)
    killed(site)
    site.judge()
    parts = len(site.parts())
    site.edge.stop()
    expect(not site.staging(), f"left by what was stopped: {site.staging()}")
    site.server.stop()
    t.figure(files=len(site.sent), kills=site.edge.starts - 1, resumed_bytes=resumed, parts=parts)


main(run, limit=280)
