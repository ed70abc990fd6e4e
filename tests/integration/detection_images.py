#!/usr/bin/env python3
"""Images of detections over an emulated network: in their messages while it is good, as files by sftp
to a real sshd while it is poor, and in their messages again. The edge is killed meanwhile, and the
camera sends again what got no OK: every detection is stored once, the server has joined every image
with it, all its octets, and nothing is left of the files where they arrived.
"""

import base64
import http.client
import os
import random
import threading
import time
import urllib.parse
import uuid

import common_path  # noqa: F401
from emulated_network import URBAN, EmulatedNetwork, become_root, road
from harness import Failure, main, wait_for
from ssh_server import SshServer

POOR = road(500)
PATIENCE_S = 90
DETECTIONS = 12  # Of each kind of network.
ANSWER_S = 5
SIZES = {"annotated_image": 60_000, "cropped_plates": 12_000}


def expect(condition, what):
    if not condition:
        raise Failure(what)


class Site:
    def __init__(self, t):
        self.t = t
        self.network = EmulatedNetwork(t, {"road": URBAN})
        self.sshd = SshServer(t, address=self.network.far_address("road"),
                              inside=self.network.far.inside)
        self.server = self.network.server()
        self.server.config["incoming"] = {"folder": self.sshd.incoming, "settle": "100ms",
                                          "rescan": "1s", "min_free_bytes": "1MiB"}
        self.server.write_config()
        self.edge = self.network.edge(self.server)
        self.edge.config["transfers"] = {
            "images": "auto", "retry": {"initial_delay": "50ms", "max_delay": "500ms"}}
        self.edge.config["gateway"]["probe"] = {"interval": "1s", "timeout": "5s"}
        self.edge.config["instances"].append(
            {"name": "files", "plugin": "sftp", "config": self.sshd.client_config()})
        self.edge.write_config()
        self.sent = {}  # message_id -> [octets of the vehicle, octets of the plate]
        self.pictures = {name: self.read(t.picture(name[:3].upper(), size, 640, 360))
                         for name, size in SIZES.items()}

    @staticmethod
    def read(path):
        with open(path, "rb") as f:
            return f.read()

    def start(self):
        self.sshd.start()
        self.server.start()
        self.edge.start()

    def by_file(self):
        """The node says in its log when it changes its mind; a new life begins without one."""
        by_file = False
        with open(self.edge.log_path, errors="replace") as f:
            for line in f:
                if "after_ms" in line or "in their messages again" in line:
                    by_file = False
                elif "as files from now on" in line:
                    by_file = True
        return by_file

    def make(self):
        """Every picture is another one: octets behind its end are no part of the picture."""
        message_id = str(uuid.uuid4())
        images = [self.pictures[name] + message_id.encode() for name in SIZES]
        self.sent[message_id] = images
        text = [base64.b64encode(image).decode() for image in images]
        return {"type": "detection_result", "camera_id": "CAM001", "checkpoint_id": "CP1",
                "timestamp": "2024-01-15T10:30:00.000Z", "message_id": message_id,
                "annotated_image": text[0], "cropped_plates": [text[1]]}

    def hand(self, detection):
        """Until the edge has said OK, over its deaths."""
        while True:
            if not self.edge.alive():
                self.edge.wait_exit(PATIENCE_S)
                self.edge.start()
            try:
                reply = self.edge.post("/api/detection", detection, timeout=ANSWER_S)
                if reply.status == 200:
                    return
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.02)  # It is about to die, or to be there.

    def files(self):
        return [os.path.join(folder, name)
                for folder, _, names in os.walk(self.sshd.incoming) for name in names]

    def transfers(self):
        return len(self.edge.ctl("transfers", "list", "-n", "1000").get("transfers", []))

    def unfinished(self):
        info = self.edge.ctl("transfers", "info")["transfers"]
        return sum(int(info.get(state, 0)) for state in ("queued", "active", "failed"))

    def records(self):
        query = urllib.parse.urlencode({"limit": 1000})
        return self.server.get(f"/api/records?{query}", timeout=30).json()["records"]


def until(site, wanted, what):
    """Detections go on until the node has noticed what the network is like."""
    def noticed():
        site.hand(site.make())
        return site.by_file() == wanted
    wait_for(noticed, PATIENCE_S, what, interval=0.3)


def good_network(site):
    for _ in range(DETECTIONS):
        site.hand(site.make())
    expect(not site.by_file(), "files on a good network")
    expect(site.transfers() == 0, f"{site.transfers()} files on a good network")


def poor_network(site):
    site.network.set(POOR, "road")
    until(site, True, "the edge to notice that the network is poor")
    rng = random.Random(site.t.seed)
    for number in range(DETECTIONS):
        if number % 4 != 1:
            site.hand(site.make())
            continue
        until(site, True, "the edge to notice the poor network in a new life")
        # While the edge takes the detection, or just behind.
        killer = threading.Timer(rng.uniform(0, 0.06), site.edge.process.kill)
        killer.start()
        site.hand(site.make())
        killer.join()
    site.hand(site.make())
    expect(site.edge.exits[-9] >= DETECTIONS // 4, f"killed: {site.edge.exits}")


def good_again(site):
    until(site, True, "the edge to notice after its last death that the network is poor")
    site.network.set(URBAN, "road")
    until(site, False, "the edge to notice that the network is good again")
    before = site.transfers()
    for _ in range(DETECTIONS):
        site.hand(site.make())
    expect(before == site.transfers(), "files on a network that is good again")


def urls(record):
    return [record["annotated_image"], (record["cropped_plates"] or [None])[0]]


def joined(site):
    return all(all(urls(record)) for record in site.records())


def judge(site):
    wait_for(lambda: site.server.total_detections() >= len(site.sent), PATIENCE_S,
             f"{len(site.sent)} detections on the server", interval=0.2)
    wait_for(lambda: site.unfinished() == 0 and site.edge.spool_messages() == 0, PATIENCE_S,
             "every file and message to arrive", interval=0.2)
    wait_for(lambda: joined(site), PATIENCE_S, "every image to be joined", interval=0.2)
    records = site.records()
    expect(len(records) == len(site.sent) == site.server.total_detections(),
           f"{len(site.sent)} sent, {len(records)} stored")
    by_file, inline = 0, 0
    for record in records:
        for url, octets in zip(urls(record), site.sent[record["message_id"]]):
            reply = site.server.get(url, timeout=30)
            expect(reply.status == 200 and reply.body == octets,
                   f"{record['message_id']}: {url}: {reply.status}")
        files = record.get("image_files") or []
        expect(all(e["status"] == "stored" for e in files), f"{record['message_id']}: {files}")
        by_file += len(files)
        inline += len(urls(record)) - len(files)
    expect(by_file > 0 and inline > 0, f"{by_file} by file, {inline} in their messages")
    wait_for(lambda: not site.files(), PATIENCE_S, "the folder of arrivals to be empty", interval=0.2)
    site.t.figure(detections=len(records), images_by_file=by_file,
                  killed=site.edge.exits[-9])


def run(t):
    site = Site(t)
    site.start()
    good_network(site)
    poor_network(site)
    good_again(site)
    judge(site)
    for node in (site.edge, site.server):
        expect(node.stop() == 0, f"{node.name} did not end in good order\n{node.tail()}")


if __name__ == "__main__":
    become_root()
    main(run, limit=280)
