#!/usr/bin/env python3
"""Files of a real edge over a real sshd into a real server, while edge and server are killed at random: each detection has the
very images that were sent for it, whichever came first, the edge hears that they are stored, and nothing is left over. Then what
a device may do that means no good: lies, links, pipes, names of others, more than its share. With --store postgresql the server
keeps its rows there.
"""

import contextlib
import hashlib
import json
import os
import random
import re
import sqlite3
import subprocess
import threading
import time
import urllib.parse
import uuid

import common_path  # noqa: F401
from harness import ROOT, Failure, main, wait_for, wait_for_all
from ssh_server import SshServer
from websocket_nodes import add_listener, use_road

PATIENCE_S = 90
DETECTIONS, LONG_DETECTIONS = 24, 400
KILLS, LONG_KILLS = 4, 60
QUOTA = 3 << 20
POINT = re.compile(r'VD_CRASH_POINT\("((?:receive|store\.file)\.[^"]+)"')
AT = "2026-01-15T10:30:00.000Z"


def expect(condition, what):
    if not condition:
        raise Failure(what)


def digest(data):
    return hashlib.sha256(data).hexdigest()


class Site:
    def __init__(self, t):
        self.t = t
        self.sshd = SshServer(t).start()
        self.server = t.server()
        self.server.config["incoming"] = {
            "folder": self.sshd.incoming, "settle": "300ms", "rescan": "1s",
            "max_bytes_per_device": QUOTA, "min_free_bytes": "1MiB"}
        port = add_listener(self.server)
        self.edge = t.edge(self.server.http_port)
        use_road(self.edge, f"ws://127.0.0.1:{port}")
        self.pictures = os.path.join(t.folder, "pictures")
        os.makedirs(self.pictures)
        self.edge.config["instances"].append(
            {"name": "files", "plugin": "sftp", "config": self.sshd.client_config()})
        self.edge.config["transfers"] = {
            "roots": [self.pictures], "confirm": "server", "confirm_timeout": "4s",
            "retry": {"initial_delay": "50ms", "max_delay": "500ms"}, "max_attempts": 1000}
        self.edge.write_config()
        self.server.start()
        self.edge.start()

    def transfers(self, *arguments):
        return subprocess.run([self.t.build.program("viaductctl"), "-s",
                               self.edge.control[len("unix:"):], "-j", "transfers", *arguments],
                              capture_output=True, text=True, check=False)

    def row(self, transfer_id):
        """Of the server, past the server: (status, detail)."""
        rows = self.rows("SELECT status, detail FROM file_transfers WHERE transfer_id = "
                         f"'{transfer_id}'")
        return rows[0] if rows else None

    def rows(self, sql):
        """Of texts and numbers, as the store has them."""
        if self.t.store == "postgresql":
            return [tuple(row) for row in self.t.postgres().rows(sql, self.server.database)]
        with contextlib.closing(sqlite3.connect(f"file:{self.server.store_path}?mode=ro",
                                                uri=True)) as db:
            return db.execute(sql).fetchall()


def post(node, path, body):
    """Until the node has taken it."""
    def taken():
        try:
            return node.post(path, body).status == 200
        except OSError:
            return False
    wait_for(taken, PATIENCE_S, f"{node.name} to take a message", 0.05)


class Sender(threading.Thread):
    """Detections and their images, in an order of chance; says again what got no answer."""

    def __init__(self, site, count, picture):
        super().__init__()
        self.site, self.count = site, count
        self.random = random.Random(site.t.seed)
        self.jpeg = picture
        self.images = {}  # message id -> [digest of the image, digests of the plates]
        self.failure = None

    def run(self):
        try:
            for _ in range(self.count):
                self.one()
        except Failure as e:
            self.failure = e

    def one(self):
        message = str(uuid.UUID(int=self.random.getrandbits(128), version=4))
        steps = [lambda: self.detection(message), lambda: self.file(message, "image", 0),
                 lambda: self.file(message, "plate", 0), lambda: self.file(message, "plate", 1)]
        self.random.shuffle(steps)
        self.images[message] = {}
        for step in steps:
            step()

    def detection(self, message):
        payload = {"type": "detection_result", "camera_id": "CAM001", "checkpoint_id": "CP1",
                   "timestamp": AT, "ocr_results": ["A" + message[:4], "B" + message[:4]]}
        post(self.site.edge, "/api/lpr/data", [{
            "message_id": message, "timestamp": AT, "protocol": "rest", "edge_device_id": "CAM001",
            "data_type": "detection", "payload": payload}])

    def file(self, message, kind, index):
        # With a comment of its own each is another file.
        comment = b"\xff\xfe\x00\x12" + self.random.randbytes(8).hex().encode()
        data = self.jpeg[:2] + comment + self.jpeg[2:]
        name = f"{message}-{kind}-{index}.jpg"
        path = os.path.join(self.site.pictures, name)
        with open(path, "wb") as f:
            f.write(data)
        self.images[message][(kind, index)] = digest(data)
        transfer = str(uuid.UUID(int=self.random.getrandbits(128), version=4))
        wait_for(lambda: self.site.transfers(
            "send", path, "--id", transfer, "--kind", kind, "--index", str(index), "--message-id",
            message, "--take", "copy").returncode == 0, PATIENCE_S, "the edge to take a file", 0.05)


def await_stored(site, sender, env=None):
    """Until the edge has heard that each of its files is stored. The server may die at a point once more."""
    files = 3 * len(sender.images)

    def done():
        if not site.server.alive():
            expect(env and site.server.wait_exit(5) == -9, "the server has ended")
            site.server.start()
        info = json.loads(site.transfers("info").stdout)["transfers"]
        expect(int(info.get("failed", 0)) == 0, site.transfers("list", "--state", "failed").stdout)
        return int(info.get("done", 0))
    wait_for_all(done, files, PATIENCE_S, "files that the edge hears are stored", 0.1)
    wait_for(lambda: site.server.total_detections() == len(sender.images), PATIENCE_S, "detections")


def under_fire(t, site):
    with open(t.picture("CP1", 8000, 240, 136), "rb") as f:
        sender = Sender(site, LONG_DETECTIONS if t.long else DETECTIONS, f.read())
    sender.start()
    rng = random.Random(t.seed + 1)
    kills = 0
    while sender.is_alive() or kills < (LONG_KILLS if t.long else KILLS):
        time.sleep(rng.uniform(0.3, 1.2))  # What is varied is when the kill comes.
        victim = rng.choice([site.edge, site.server])
        victim.kill()
        victim.start()
        kills += 1
    sender.join()
    if sender.failure:
        raise sender.failure
    await_stored(site, sender)
    deaths = at_each_point(site, sender)
    judge(site, sender.images)
    return {"detections": len(sender.images), "files": 3 * len(sender.images), "kills": kills,
            "deaths_at_points": deaths}


def crash_points():
    """Of the receiving side; tests/faults/crash_points.py has no files on its way."""
    names = set()
    for folder in ("receive", "store"):
        for file in os.listdir(os.path.join(ROOT, "core", folder)):
            if file.endswith(".cc"):
                with open(os.path.join(ROOT, "core", folder, file)) as f:
                    names.update(POINT.findall(f.read()))
    return sorted(names - {"receive.refused"})


def start_armed(server, env):
    """True: it has died at the point before it was ready."""
    try:
        server.start(env=env)
        return False
    except Failure:
        if server.process.poll() != -9:
            raise
        server.wait_exit(5)
        return True


def at_each_point(site, sender):
    """The server is killed there, twice in a row; the file is taken in all the same, once."""
    deaths = 0
    for point in crash_points():
        expect(site.server.stop() == 0, f"the server did not end well\n{site.server.tail()}")
        env = {"VIADUCT_CRASH_AT": f"{point}:1"}
        site.server.start(env=env)
        sender.one()
        wait_for(lambda: not site.server.alive(), PATIENCE_S, f"the server to die at {point}", 0.05)
        site.server.wait_exit(5)
        deaths += 1
        if start_armed(site.server, env):
            deaths += 1
            site.server.start()
        await_stored(site, sender, env)
    return deaths


def fetch(site, path):
    reply = site.server.get("/api/images/" + urllib.parse.quote(path))
    expect(reply.status == 200, f"{path}: {reply.status}")
    return digest(reply.body)


def judge(site, images):
    found = site.rows("SELECT message_id, image_path, plate_images FROM detections")
    expect(sorted(r[0] for r in found) == sorted(images), "not the detections that were sent")
    for message, image, plates in found:
        wanted = images[message]
        expect(image and plates, f"{message} has {image}, {plates}")
        expect(fetch(site, image) == wanted["image", 0], f"{message}: another image")
        paths = plates.splitlines()
        expect(len(paths) == 2, f"{message}: plates {paths}")
        for i, path in enumerate(paths):
            expect(fetch(site, path) == wanted["plate", i], f"{message}: plate {i} is another")
        events = site.rows("SELECT image_path FROM lpr_events WHERE edge_device_id = 'CAM001' AND "
                           f"event_id LIKE '{message}-%' ORDER BY event_id")
        expect([e[0] for e in events] == paths, f"{message}: events {events}")
    states = [(status, int(count)) for status, count in
              site.rows("SELECT status, count(*) FROM file_transfers GROUP BY status")]
    expect(states == [("stored", 3 * len(images))], f"transfers {states}")
    left = []
    for folder, _, names in os.walk(site.sshd.incoming):
        left += [os.path.join(folder, n) for n in names if ".viaduct-aside" not in folder]
    # What was sent again after it had been taken in: nobody waits for it, its age will remove it.
    expect(all(name.endswith((".jpg", ".part")) for name in left), f"left over: {left}")
    kept = sum(len(n) for _, _, n in os.walk(os.path.join(site.server.data_dir, "images")))
    expect(kept == 3 * len(images), f"{kept} images are kept")
    files = os.path.join(site.edge.data_dir, "transfers", "files")
    wait_for(lambda: not os.listdir(files), 30, "the edge's folder to be empty", 0.2)


def announce(site, name, data, device="HOST1", **changes):
    transfer = str(uuid.uuid4())
    payload = {"type": "file_transfer_request", "transfer_id": transfer, "camera_id": device,
               "message_id": "", "kind": "file", "index": 0, "name": name, "size": len(data),
               "sha256": digest(data), "timestamp": AT, **changes}
    reply = site.server.post("/api/lpr/data", {
        "message_id": transfer, "timestamp": AT, "protocol": "rest", "edge_device_id": device,
        "data_type": "control", "payload": payload})
    return transfer, reply


def hostile(t, site):
    folder = os.path.join(site.sshd.incoming, "HOST1")
    os.makedirs(os.path.join(folder, "deep"))
    secret = os.path.join(t.folder, "secret")
    with open(secret, "wb") as f:
        f.write(b"secret")
    os.symlink(secret, os.path.join(folder, "link"))
    os.symlink(t.folder, os.path.join(folder, "out"))
    os.mkfifo(os.path.join(folder, "pipe"))
    with open(os.path.join(folder, "-rf *\"' .jpg"), "wb") as f:
        f.write(b"fine")
    with open(os.path.join(folder.encode(), b"bad\xff\n"), "wb") as f:
        f.write(b"x")
    with open(os.path.join(folder, "liar"), "wb") as f:
        f.write(b"not what it says")
    cases = {
        "a link": announce(site, "HOST1/link", b"secret"),
        "a pipe": announce(site, "HOST1/pipe", b"x"),
        "a liar": announce(site, "HOST1/liar", b"what it says not"),
        "no image": announce(site, "HOST1/deep/text", b"text", kind="image"),
    }
    with open(os.path.join(folder, "deep", "text"), "wb") as f:
        f.write(b"text")
    for what, (transfer, reply) in cases.items():
        expect(reply.status == 200, f"{what}: {reply.status} {reply.body}")
        wait_for(lambda i=transfer: site.row(i)[0] == "failed", 30, f"{what} to fail", 0.1)
        expect(site.row(transfer)[1], f"{what}: no reason")
    out, _ = announce(site, "HOST1/out/secret", b"secret")
    good, _ = announce(site, "HOST1/-rf *\"' .jpg", b"fine")
    wait_for(lambda: site.row(good)[0] == "stored", 30, "the odd name to be stored", 0.1)
    with open(os.path.join(site.server.data_dir, "files", good), "rb") as f:
        expect(f.read() == b"fine", "another file is kept")
    for name in ("CAM001/x", "HOST1/../CAM001/x", "HOST1/.viaduct-x.part", "/etc/passwd", "HOST1"):
        _, reply = announce(site, name, b"x")
        expect(b"rejected" in reply.body or reply.status == 400, f"{name}: {reply.body}")
    _, reply = announce(site, "HOST1/x", b"x", device="HOST1", camera_id="CAM001")
    expect(b"rejected" in reply.body or reply.status == 400, f"for another: {reply.body}")
    expect(site.row(out)[0] == "waiting", "what is behind a link is not there")
    with open(secret, "rb") as f:
        expect(f.read() == b"secret", "what is outside was touched")
    over_quota(site, folder)


def over_quota(site, folder):
    for i in range(5):
        with open(os.path.join(folder, f"big-{i}"), "wb") as f:
            f.write(b"x" * (1 << 20))

    def within():
        with contextlib.suppress(FileNotFoundError):
            return sum(os.path.getsize(os.path.join(folder, n)) for n in os.listdir(folder)
                       if n.startswith("big-")) <= QUOTA
        return False
    wait_for(within, PATIENCE_S, "the device to be kept to its quota", 0.5)

    def raised():
        return [a["subject"] for a in site.server.ctl("alerts").get("active", [])
                if a["kind"] == "ALERT_KIND_DEVICE_QUOTA"]
    wait_for(lambda: raised() == ["HOST1"], 30, "the alert of the quota", 0.5)
    metrics = site.server.get("/metrics").body.decode()
    expect("viaduct_incoming_removed_total" in metrics, "no count of what was removed")


def run(t):
    site = Site(t)
    figures = under_fire(t, site)
    hostile(t, site)
    for node in (site.edge, site.server):
        expect(node.stop() == 0, f"{node.name} did not end well\n{node.tail()}")
    t.figure(**figures)


main(run, limit=280)
