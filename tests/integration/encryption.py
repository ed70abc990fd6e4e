#!/usr/bin/env python3
"""Payloads encrypted from end to end: an edge seals, a hub without any key carries, the server opens,
over each kind of road, while the key is changed. Every record is there once and is what was sent;
no plate is in the spool of the hub or on the wire. What is sealed by a key that the server does not
have is set aside with the reason and comes through when it has; and what lies on the disk of a node
that encrypts it has no plate either.
"""

import base64
import hashlib
import json
import os
import subprocess
import urllib.parse
import uuid

import common_path  # noqa: F401
from broker import Broker
from harness import Failure, main, wait_for
from relayed_roads import listen_on_all, road_to
from tap import Tap

PATIENCE_S = 60
EACH = 12  # Detections under each key.
MARK = "SECRETPLATE"


def expect(condition, what):
    if not condition:
        raise Failure(what)


def write_keys(trial, name, ids):
    """A file of keys; the key of an id is the same in every file."""
    path = os.path.join(trial.folder, name)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
        for key_id in ids:
            key = hashlib.sha256(key_id.encode()).digest()
            f.write(f"{key_id} {base64.b64encode(key).decode()}\n")
    return path


def digest(value):
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def files_of(path):
    return [path, path + "-wal"]


def holds(paths, text):
    for path in paths:
        if os.path.exists(path):
            with open(path, "rb") as f:
                if text.encode() in f.read():
                    return path
    return None


class Site:
    """An edge, a hub without a key and a server, with a tap on each way between them."""

    def __init__(self, t, name, road, hub_sinks=("uplink",)):
        self.t = t
        self.sent = {}  # message_id -> (digest of the payload without its image, octets of that)
        self.picture = self.read(t.picture("SECRET", 9000, 320, 180))
        self.near, self.far = Broker(t, f"near-{name}"), Broker(t, f"far-{name}")
        self.server = t.server(f"server-{name}")
        server_ports = listen_on_all(self.server, self.far, "CENTRE")
        self.tap_far = Tap(t, server_ports[road])
        self.hub = t.edge(1, f"hub-{name}", node_id="HUB1")
        self.hub.config["node"]["sinks"] = list(hub_sinks)
        if "store" in hub_sinks:
            self.hub.config["store"] = {"sqlite": {"path": "store.db"}, "images": "images"}
        self.hub.config["instances"][-1] = road_to(road, self.tap_far.port, "HUB1")
        hub_ports = listen_on_all(self.hub, self.near, "HUB1-in")
        self.tap_near = Tap(t, hub_ports[road])
        self.edge = t.edge(1, f"edge-{name}", node_id="CAM001")
        self.edge.config["instances"][-1] = road_to(road, self.tap_near.port, "CAM001")
        self.keys(self.edge, ["k1"], seal=True)
        self.keys(self.server, ["k1"])

    @staticmethod
    def read(path):
        with open(path, "rb") as f:
            return f.read()

    def keys(self, node, ids, **more):
        """The keys of a node from its next start on."""
        path = write_keys(self.t, f"{node.name}.keys", ids)
        node.config["encryption"] = {**node.config.get("encryption", {}), "keys": path, **more}
        node.write_config()

    def start(self):
        self.near.start()
        self.far.start()
        for node in (self.server, self.hub, self.edge):
            node.start()

    def restart(self, node):
        expect(node.stop() == 0, f"{node.name}: not 0\n{node.tail()}")
        node.start()

    def hand(self, count=EACH):
        for _ in range(count):
            message_id = str(uuid.uuid4())
            image = self.picture + message_id.encode()
            payload = {"checkpoint_id": "CP1", "plates_count": 1,
                       "ocr_results": [f"{MARK}{len(self.sent)}"],
                       "remark": f"{MARK} was here"}
            self.sent[message_id] = (digest(payload), image)
            envelope = {"message_id": message_id, "timestamp": "2024-01-15T10:30:00.000Z",
                        "protocol": "rest", "edge_device_id": "CAM001", "data_type": "detection",
                        "payload": {**payload,
                                    "annotated_image": base64.b64encode(image).decode()},
                        "metadata": {"site": "north"}}
            reply = self.edge.post("/api/lpr/data", envelope)
            expect(reply.status == 200, f"edge: {reply.status} {reply.body[:300]}")

    def records(self):
        query = urllib.parse.urlencode({"limit": 1000, "include": "payload"})
        return self.server.get(f"/api/records?{query}", timeout=30).json()["records"]

    def await_all(self):
        wait_for(lambda: self.server.total_detections() >= len(self.sent), PATIENCE_S,
                 f"{len(self.sent)} on the server, has {self.server.total_detections()}\n"
                 f"{self.hub.tail()}")
        found = {}
        for record in self.records():
            payload = dict(record["payload"])
            expect(payload.pop("annotated_image") is None, "an image in a row")
            image = self.server.get(record["annotated_image"]).body
            found[record["message_id"]] = (digest(payload), image)
        expect(found == self.sent, "the server has something else than what was sent")

    def expect_secret(self):
        wire = self.tap_near.octets() + self.tap_far.octets()
        expect(b"message_id" in wire, "nothing of it passed the taps")
        expect(MARK.encode() not in wire, "a plate is on the wire")
        for node in (self.hub, self.edge):
            found = holds(files_of(os.path.join(node.data_dir, "spool.db")), MARK)
            expect(found is None, f"a plate is in {found}")

    def stop(self):
        for node in (self.edge, self.hub, self.server):
            expect(node.stop() == 0, f"{node.name}: not 0\n{node.tail()}")
        self.near.kill()
        self.far.kill()
        self.t.nodes.clear()


def rotates(t, road):
    site = Site(t, f"by-{road}", road)
    site.start()
    site.hand()
    site.await_all()
    site.keys(site.server, ["k1", "k2"])  # All may read the new one before anybody writes it.
    site.restart(site.server)
    site.keys(site.edge, ["k2", "k1"])
    site.restart(site.edge)
    site.hand()
    site.await_all()
    site.keys(site.server, ["k2"])
    site.restart(site.server)
    site.hand()
    site.await_all()
    # Now with the server away: what the hub holds is on its disk.
    expect(site.server.stop() == 0, f"server: not 0\n{site.server.tail()}")
    site.hand()
    wait_for(lambda: site.edge.spool_messages() == 0, PATIENCE_S, "the hub to have it all")
    expect(site.hub.spool_messages() >= EACH, "the hub holds nothing")
    site.expect_secret()
    site.server.start()
    site.await_all()
    site.expect_secret()
    site.stop()
    return len(site.sent)


def hub_says_so(t):
    """A hub that also stores, without a key: its store has none of it, and the log says why."""
    site = Site(t, "storing", "rest", ("uplink", "store"))
    site.start()
    site.hand()
    site.await_all()
    expect(site.hub.get("/api/records").json()["records"] == [], "rubbish in the hub's store")
    with open(site.hub.log_path, errors="replace") as f:
        expect("this node has no key" in f.read(), "the hub's log says nothing of it")
    expect(holds(files_of(site.hub.store_path), MARK) is None, "a plate in the hub's store")
    metrics = site.hub.get("/metrics").body.decode()
    expect("viaduct_store_unreadable_total" in metrics, "not counted")
    site.stop()


def rejected(node):
    return node.ctl("spool", "list", "--state", "rejected").get("entries", [])


def sets_aside(t):
    """A key that the server does not have."""
    site = Site(t, "keyless", "websocket")
    site.keys(site.server, ["k9"])
    site.start()
    site.hand(2)
    wait_for(lambda: len(rejected(site.hub)) == 2, PATIENCE_S, "two dead letters at the hub")
    for entry in rejected(site.hub):
        expect("k1" in entry["last_error"], f"the reason: {entry['last_error']}")
    expect(site.server.total_detections() == 0, "stored without its key")
    metrics = site.server.get("/metrics").body.decode()
    expect("viaduct_encryption_refused_total" in metrics, "not counted")
    site.keys(site.server, ["k9", "k1"])
    site.restart(site.server)
    site.hub.ctl("spool", "retry")
    site.await_all()
    site.stop()


def at_rest(t):
    """Spool and images of nodes that encrypt what lies on their disks; switched on late."""
    server = t.server("server-rest")
    server.start()
    edge = t.edge(server.http_port, "edge-rest")
    edge.start()
    picture = Site.read(t.picture("SECRET", 180_000))
    expect(len(picture) > 140_000, f"a small picture, {len(picture)}")  # Pieces have 64 KiB.
    pictures = {}

    def hand(plate):
        image = picture + plate.encode()
        message_id = str(uuid.uuid4())
        pictures[message_id] = image
        reply = edge.post("/api/detection", {
            "type": "detection_result", "camera_id": "CAM001", "checkpoint_id": "CP1",
            "timestamp": "2024-01-15T10:30:00.000Z", "message_id": message_id,
            "ocr_results": [plate], "annotated_image": base64.b64encode(image).decode()})
        expect(reply.status == 200, f"edge: {reply.status} {reply.body[:300]}")

    hand("PLAINPLATE1")
    wait_for(lambda: server.total_detections() == 1, PATIENCE_S, "the first one")
    for node, section, key in ((server, "store", "encrypt_images"), (edge, "spool", "encrypt")):
        expect(node.stop() == 0, f"{node.name}: not 0\n{node.tail()}")
        node.config["encryption"] = {"keys": write_keys(t, f"{node.name}.keys", ["d1"])}
        node.config[section][key] = True
        node.write_config()
    edge.start()
    for number in range(5):
        hand(f"{MARK}{number}")
    expect(edge.spool_messages() == 5, "nothing waits")
    spool = files_of(os.path.join(edge.data_dir, "spool.db"))
    expect(holds(spool, MARK) is None, "a plate in the edge's spool")
    edge.kill()
    edge.start()
    server.start()
    wait_for(lambda: server.total_detections() == 6, PATIENCE_S, "all six")
    images = os.path.join(server.data_dir, "images")
    files = [os.path.join(folder, name) for folder, _, names in os.walk(images) for name in names]
    expect(len(files) == 6, f"files: {files}")
    sealed = [path for path in files if Site.read(path).startswith(b"VDSEAL1\n")]
    expect(len(sealed) == 5, f"encrypted: {sealed}")
    expect(not any(holds([path], MARK) for path in files), "the end of an image, in the open")
    for record in server.get("/api/records?limit=100").json()["records"]:
        path, image = record["annotated_image"], pictures[record["message_id"]]
        expect(server.get(path).body == image, f"{path}: another image")
        part = server.get(path, headers={"Range": "bytes=65000-140000"})
        expect(part.status == 206 and part.body == image[65000:140001], f"{path}: another part")
        small = server.get(path + "?width=64")
        expect(small.status == 200 and small.body[:2] == b"\xff\xd8", f"{path}: no thumbnail")
    # Without the key: a clear answer, and what is plain is still there.
    expect(server.stop() == 0, f"server: not 0\n{server.tail()}")
    del server.config["encryption"], server.config["store"]["encrypt_images"]
    server.write_config()
    server.start()
    answers = sorted(server.get(r["annotated_image"]).status
                     for r in server.get("/api/records?limit=100").json()["records"])
    expect(answers == [200, 503, 503, 503, 503, 503], f"without the key: {answers}")
    for node in (edge, server):
        expect(node.stop() == 0, f"{node.name}: not 0\n{node.tail()}")


def refuses_bad_keys(t):
    """Without keys, and with a file that others may read or that has none, nothing starts."""
    edge = t.edge(1, "edge-keys")
    edge.config["spool"]["encrypt"] = True
    edge.write_config()

    def check(*words):
        done = subprocess.run([t.build.program("viaduct-host"), *words, "--config",
                               edge.config_path], capture_output=True, text=True, check=False,
                              timeout=PATIENCE_S)
        return done.returncode, done.stdout + done.stderr
    code, text = check("--check")
    expect(code == 78 and "encryption.keys" in text, f"no keys: {code} {text}")
    path = write_keys(t, "edge-keys.keys", ["k1"])
    edge.config["encryption"] = {"keys": path}
    edge.write_config()
    os.chmod(path, 0o644)
    code, text = check()
    expect(code != 0 and path in text, f"readable by others: {code} {text}")
    os.chmod(path, 0o600)
    with open(path, "w") as f:
        f.write("k1 c2hvcnQ=\n")
    code, text = check()
    expect(code != 0 and "k1 is not base64 of 32 octets" in text, f"a short key: {code} {text}")
    expect("c2hvcnQ" not in text, "the key is in the message")
    write_keys(t, "edge-keys.keys", ["k1"])
    edge.start()
    expect(edge.stop() == 0, f"edge: not 0\n{edge.tail()}")


def run(t):
    for road in ("rest", "websocket", "mqtt"):
        t.figure(**{f"over {road}": rotates(t, road)})
    hub_says_so(t)
    sets_aside(t)
    at_rest(t)
    refuses_bad_keys(t)


if __name__ == "__main__":
    main(run)
