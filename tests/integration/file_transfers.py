#!/usr/bin/env python3
"""Files of an edge over roads that cut them, refuse them and tell other digests of them, while the
edge is killed again and again: every file whose receipt was read is there in the end, under its
name and with its digest, nothing else is, and nothing is left of what was under way. The server is told of each.
Then what people do: look at transfers, cancel them, retry them, and try names and paths that would
lead elsewhere.
"""

import hashlib
import json
import os
import random
import subprocess
import threading
import time
import uuid

import common_path  # noqa: F401
from harness import Failure, main, wait_for

ROUNDS, LONG_ROUNDS = 6, 60
SENDERS = 3
PATIENCE_S = 90
SIZES = [0, 1, 1000, 65536, 150_000, 700_000, 3_000_000]
USAGE_INVALID, CONFLICT, NOT_FOUND, DENIED = 6, 5, 4, 8


def expect(condition, what):
    if not condition:
        raise Failure(what)


def digest(data):
    return hashlib.sha256(data).hexdigest()


class Site:
    def __init__(self, t, name="edge"):
        self.t = t
        self.server = t.server(f"server-{name}")
        self.edge = t.edge(self.server.http_port, name)
        self.far = os.path.join(t.folder, f"far-{name}")
        self.outgoing = os.path.join(self.edge.data_dir, "transfers", "outgoing")
        self.files = os.path.join(self.edge.data_dir, "transfers", "files")
        self.edge.config["plugins"]["path"].append(os.path.join(t.build.folder, "tests", "plugins"))
        self.edge.config["transfers"] = {
            "retry": {"initial_delay": "50ms", "max_delay": "300ms"}, "max_attempts": 1000}
        self.road("north", cut_every=3, refuse_every=7, block_pause_us=2000)
        self.road("south", cut_every=5, lie_every=9, block_pause_us=1000)
        self.edge.write_config()

    def road(self, name, **faults):
        self.edge.config["instances"].append(
            {"name": name, "plugin": "filebox", "config": {"folder": self.far, **faults}})

    def ctl(self, *arguments):
        return subprocess.run([self.t.build.program("viaductctl"), "-s",
                               self.edge.control[len("unix:"):], "-j", "transfers", *arguments],
                              capture_output=True, text=True, check=False)

    def ask(self, *arguments):
        done = self.ctl(*arguments)
        expect(done.returncode == 0, f"transfers {arguments}: {done.returncode} {done.stderr}")
        return json.loads(done.stdout)

    def all(self):
        found, page = [], ""
        while True:
            answer = self.ask("list", "-n", "1000", *(["--page", page] if page else []))
            found += answer.get("transfers", [])
            page = answer.get("next_page_token", answer.get("nextPageToken", ""))
            if not page:
                return found


class Sender(threading.Thread):
    """Sends files until it is told to stop; says again what got no receipt, under the same id."""

    def __init__(self, site, number):
        super().__init__()
        self.site, self.number = site, number
        self.random = random.Random(site.t.seed * 100 + number)
        self.received, self.claimed = {}, {}
        self.stopping = False

    def run(self):
        count = 0
        while not self.stopping:
            count += 1
            data = self.random.randbytes(self.random.choice(SIZES))
            name = f"s{self.number}/file {count}.jpg"
            self.claimed[f"CAM001/{name}"] = digest(data)
            self.send(name, data, str(uuid.UUID(int=self.random.getrandbits(128), version=4)))

    def send(self, name, data, transfer_id):
        stream = self.random.random() < 0.5
        folder = os.path.join(self.site.t.folder, "given") if stream else self.site.outgoing
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, transfer_id)
        with open(path, "wb") as f:
            f.write(data)
        while not self.stopping:
            how = ["--stream"] if stream else ["--take", self.random.choice(["copy", "link"])]
            done = self.site.ctl("send", path, "--id", transfer_id, "--name", name, *how)
            if done.returncode == 0:
                self.received[f"CAM001/{name}"] = digest(data)
                break
            time.sleep(0.02)  # The node is down, or starts.
        os.unlink(path)


def under_fire(t):
    site = Site(t)
    site.server.start()
    site.edge.start()
    senders = [Sender(site, i) for i in range(SENDERS)]
    for sender in senders:
        sender.start()
    rng = random.Random(t.seed)
    for _ in range(LONG_ROUNDS if t.long else ROUNDS):
        time.sleep(rng.uniform(0.2, 0.8))  # What is varied is when the kill comes.
        site.edge.process.kill()
        site.edge.process.wait()
        site.edge.start()
    for sender in senders:
        sender.stopping = True
    for sender in senders:
        sender.join()
    received = {k: v for s in senders for k, v in s.received.items()}
    claimed = {k: v for s in senders for k, v in s.claimed.items()}
    expect(len(received) > 20, f"only {len(received)} files were taken")

    def settled():
        info = site.ask("info")["transfers"]
        left = [int(info.get(k, 0)) for k in ("queued", "active")]
        expect(int(info.get("failed", 0)) == 0, f"given up: {site.ask('list', '--state', 'failed')}")
        return sum(left) == 0
    wait_for(settled, PATIENCE_S, "every file to arrive", interval=0.2)
    judge_files(site, received, claimed)
    judge_announcements(site, received)
    figures = {"files": len(received), "kills": site.edge.starts - 1}
    site.edge.stop()
    site.server.stop()
    return figures


def judge_files(site, received, claimed):
    there = {}
    for folder, _, names in os.walk(site.far):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as f:
                there[os.path.relpath(path, site.far)] = digest(f.read())
    for name, wanted in received.items():
        expect(there.get(name) == wanted, f"{name}: {there.get(name)}, not {wanted}")
    for name, found in there.items():
        if not name.startswith("CAM001/recovered/"):
            expect(claimed.get(name) == found, f"{name} has come and was never sent so")
    wait_for(lambda: not os.listdir(site.files), 30, "the node's folder to be empty", interval=0.2)


def judge_announcements(site, received):
    def spool():
        done = subprocess.run([site.t.build.program("viaductctl"), "-s",
                               site.edge.control[len("unix:"):], "-j", "spool", "info"],
                              capture_output=True, text=True, check=True)
        return json.loads(done.stdout)["spool"]
    wait_for(lambda: all(t.get("announced") for t in site.all()), PATIENCE_S,
             "every file to be announced", interval=0.1)
    expect(len(site.all()) >= len(received), "a transfer is forgotten")
    wait_for(lambda: int(spool().get("messages", 0)) == 0, PATIENCE_S, "the spool to be empty")
    expect(int(spool().get("rejected", 0)) == 0, "an announcement was refused")


def by_hand(t):
    site = Site(t, "hand")
    site.edge.config["instances"] = site.edge.config["instances"][:-2]
    site.road("slow", block_pause_us=200_000)
    site.edge.config["transfers"]["roots"] = [os.path.join(t.folder, "pictures")]
    site.edge.write_config()
    site.server.start()
    site.edge.start()
    pictures = os.path.join(t.folder, "pictures")
    os.makedirs(pictures)
    path = os.path.join(pictures, "a.jpg")
    with open(path, "wb") as f:
        f.write(b"x" * 2_000_000)
    transfer = site.ask("send", path)["receipt"]["transfer_id"]
    wait_for(lambda: int(site.ask("show", transfer)["transfer"].get("moved", 0)) > 0, 20, "progress")
    shown = site.ask("show", transfer)["transfer"]
    expect(shown["state"] == "TRANSFER_STATE_ACTIVE" and shown["road"] == "slow", shown)
    site.ask("cancel", transfer)
    expect(site.ctl("cancel", transfer).returncode == CONFLICT, "cancelled twice")
    wait_for(lambda: int(site.ask("info")["transfers"].get("active", 0)) == 0, 20, "the cancel")
    with open(path, "wb") as f:
        f.write(b"y" * 1000)
    site.ask("retry", transfer)
    wait_for(lambda: site.ask("show", transfer)["transfer"]["state"] == "TRANSFER_STATE_DONE", 20,
             "the retried file")
    expect(site.ask("show", transfer)["transfer"]["sha256"] == digest(b"y" * 1000), "digest anew")
    expect(os.path.exists(path), "a file that is not ours is gone")
    refusals(site, path, t)
    metrics = subprocess.run([t.build.program("viaductctl"), "-s", site.edge.control[len("unix:"):],
                              "health"], capture_output=True, text=True, check=False).stdout
    site.edge.stop()
    site.server.stop()
    return metrics


def refusals(site, path, t):
    outside = os.path.join(t.folder, "outside")
    with open(outside, "w") as f:
        f.write("secret")
    link = os.path.join(os.path.dirname(path), "link")
    os.symlink(outside, link)
    for arguments, code in (
            (["send", outside], DENIED), (["send", link], DENIED),
            (["send", os.path.join(os.path.dirname(path), "..", "outside"), "--name", "x"], DENIED),
            (["send", path, "--name", "../x"], USAGE_INVALID),
            (["send", path, "--name", ".viaduct-x.part"], USAGE_INVALID),
            (["send", path, "--id", "../../x"], USAGE_INVALID),
            (["send", path + "none"], NOT_FOUND), (["show", str(uuid.uuid4())], NOT_FOUND)):
        done = site.ctl(*arguments)
        expect(done.returncode == code, f"{arguments}: {done.returncode}, {done.stderr}")


def run(t):
    by_hand(t)
    t.figure(**under_fire(t))


main(run, limit=280)
