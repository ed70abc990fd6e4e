#!/usr/bin/env python3
"""Pictures through real nodes: a camera and an inference of a test plugin (plugins/framebox.cc) on an edge, whose detections
are stored by a server. Every frame whose end the camera was told as durable is stored once, with its images, also when the
inference restarts and the edge is killed; slow inference drops and does not grow; what feeds what changes while the node runs;
and Gateway.Infer over viaductctl and buf curl, with pictures that mean no good.
"""

import base64
import collections
import contextlib
import json
import os
import sqlite3
import struct
import subprocess
import time

import common_path  # noqa: F401
from harness import CannotRun, Failure, main, say, wait_for

PATIENCE_S = 60
KILLS, LONG_KILLS = 3, 40
RESTARTS, LONG_RESTARTS = 3, 40
SLOW_S, LONG_SLOW_S = 6, 600
GROWTH_KIB = 24 << 10


def expect(condition, what):
    if not condition:
        raise Failure(what)


class Site:
    def __init__(self, t, name, **eye):
        self.t = t
        self.server = t.server(name=f"server-{name}")
        self.edge = t.edge(self.server.http_port, name=f"edge-{name}")
        self.picture = t.picture(size=20000, width=320, height=240)
        self.log = os.path.join(t.folder, f"{name}.frames")
        config = self.edge.config
        config["plugins"]["path"].append(os.path.join(t.build.folder, "tests", "plugins"))
        config["instances"] += [
            {"name": "camera", "plugin": "framebox",
             "config": {"role": "source", "picture": self.picture, "log": self.log}},
            {"name": "eye", "plugin": "framebox", "config": {"role": "infer", **eye}}]
        config["vision"] = {"feeds": [{"source": "camera", "infer": ["eye"], "checkpoint": "GATE1"}]}
        self.edge.write_config()
        self.server.start()
        self.edge.start()

    def ctl(self, *arguments):
        return subprocess.run(
            [self.t.build.program("viaductctl"), "-s", self.edge.control[len("unix:"):], "-j",
             *arguments], capture_output=True, text=True, check=False)

    def ask(self, *arguments):
        done = self.ctl(*arguments)
        expect(done.returncode == 0, f"viaductctl {arguments}: {done.returncode} {done.stderr}")
        return json.loads(done.stdout)

    def feed(self):
        feeds = self.ask("stats", "show")["snapshot"].get("feeds", [])
        return next((f for f in feeds if f.get("source") == "camera"), {})

    def count(self, name):
        return int(self.feed().get(name, 0))

    def drops(self):
        return {d["reason"]: int(d["pictures"]) for d in self.feed().get("drops", [])}

    def await_detections(self, more):
        want = self.count("detections") + more
        wait_for(lambda: self.count("detections") >= want, PATIENCE_S, f"{more} detections", 0.05)

    def apply(self, *options):
        self.edge.write_config()
        plan = self.ask("config", "plan", self.edge.config_path)
        self.ask("config", "apply", self.edge.config_path, *options)
        return {e["subject"]: e["kind"] for e in plan["effects"]
                if e["kind"] != "EFFECT_KIND_NONE"}

    def ended(self):
        """How often each frame was told to have ended, by how."""
        ends = collections.defaultdict(collections.Counter)
        if os.path.exists(self.log):
            with open(self.log) as f:
                for line in f:
                    if line.endswith("\n"):
                        outcome, ticket = line.split()
                        ends[outcome][ticket] += 1
        return ends

    def stored(self):
        with contextlib.closing(sqlite3.connect(f"file:{self.server.store_path}?mode=ro",
                                                uri=True)) as db:
            rows = db.execute("SELECT license_plate, COUNT(*) FROM lpr_events GROUP BY 1").fetchall()
        return {plate: count for plate, count in rows if plate.startswith("F")}

    def judge(self, unwanted=frozenset()):
        """Stops the edge's camera, waits for everything, and compares camera and store. `unwanted`:
        frames whose results may be missing."""
        self.edge.config["vision"] = {"feeds": []}
        self.apply()
        durable = {f"F{ticket}" for ticket in self.ended()["durable"]} - unwanted
        expect(durable, "no frame was told as durable")
        wait_for(lambda: durable <= set(self.stored()), PATIENCE_S,
                 f"{len(durable)} frames to be stored", 0.1)
        twice = [plate for plate, count in self.stored().items() if count != 1]
        expect(not twice, f"stored more than once: {twice[:5]}")
        again = [t for ends in self.ended().values() for t, n in ends.items() if n != 1]
        expect(not again, f"ended more than once: {again[:5]}")
        for node in (self.edge, self.server):
            status = node.stop()
            expect(status == 0, f"{node.name} ended with {status}\n{node.tail()}")
        return len(durable)


def flow(t):
    site = Site(t, "flow")
    site.await_detections(5)
    record = wait_for(lambda: site.server.get("/api/records?limit=1").json()["records"],
                      PATIENCE_S, "a record", 0.05)[0]
    expect(record["camera_id"] == "CAM001" and record["checkpoint_id"] == "GATE1", record)
    with open(site.picture, "rb") as f:
        picture = f.read()
    for path in (record["annotated_image"], record["cropped_plates"][0]):
        expect(site.server.get(path).body == picture, f"{path}: not the picture of the camera")
    metrics = site.edge.get("/metrics").body.decode()
    for name in ('viaduct_vision_pictures_total{feed="camera"}',
                 'viaduct_vision_results_total{fate="detection",feed="camera"}',
                 'viaduct_vision_inference_seconds_count{feed="camera",instance="eye"}'):
        expect(name in metrics, f"/metrics has no {name}")
    restarts = LONG_RESTARTS if t.long else RESTARTS
    for _ in range(restarts):
        site.ask("instances", "restart", "eye")
        site.await_detections(3)
    say(f"{restarts} restarts of the inference under way")
    return site.judge()


def killed(t):
    site = Site(t, "killed")
    kills = LONG_KILLS if t.long else KILLS
    for _ in range(kills):
        site.await_detections(t.random.randint(1, 10))
        site.edge.kill()
        site.edge.start()
    site.await_detections(5)
    return site.judge()


def changes(t):
    """Credit 0, no feed, the other way round: all while the node runs."""
    site = Site(t, "changes", credit=0)
    wait_for(lambda: site.drops().get("replaced", 0) > 5, PATIENCE_S, "frames to be replaced", 0.05)
    expect(site.count("results") == 0, "there are results without credit")
    site.edge.config["instances"][-1]["config"]["credit"] = 2
    effects = site.apply()
    expect(effects == {"instance/eye": "EFFECT_KIND_RESTART"}, effects)
    site.await_detections(3)
    site.ask("instances", "stop", "eye")
    wait_for(lambda: site.drops().get("down", 0) > 3, PATIENCE_S, "frames to find nobody", 0.05)
    wait_for(lambda: b"none of its instances" in site.edge.get("/api/health").body, PATIENCE_S,
             "the health to say so", 0.1)
    site.ask("instances", "start", "eye")
    site.await_detections(3)
    before = set(site.ended()["durable"])
    site.edge.config["vision"]["feeds"][0]["results"] = "none"
    effects = site.apply("--confirm-within", "2s")
    expect(effects == {"vision": "EFFECT_KIND_APPLY"}, effects)
    more = site.count("empty") + 5
    wait_for(lambda: site.count("empty") >= more, PATIENCE_S, "results that are not wanted", 0.05)
    site.await_detections(3)  # Nobody has confirmed it: it was rolled back.
    unwanted = {f"F{ticket}" for ticket in set(site.ended()["durable"]) - before}
    site.edge.config["vision"]["feeds"][0] = {"source": "eye", "infer": ["uplink"]}
    site.edge.write_config()
    refused = site.ctl("config", "apply", site.edge.config_path)
    expect(refused.returncode == 6 and "viaduct.infer/1" in refused.stderr + refused.stdout,
           f"a road was taken for an inference: {refused}")
    return site.judge(unwanted)


def slow(t):
    """More frames than the inference takes: they are dropped, and nothing grows."""
    site = Site(t, "slow", delay_ms=200, credit=1)
    site.edge.config["instances"][-2]["config"]["interval_ms"] = 2
    site.apply()
    site.await_detections(3)
    begin = site.edge.rss_kib()
    end = time.monotonic() + (LONG_SLOW_S if t.long else SLOW_S)
    while time.monotonic() < end:
        site.await_detections(5)
    grown = site.edge.rss_kib() - begin
    feed = site.feed()
    drops = {d["reason"]: int(d["pictures"]) for d in feed["drops"]}
    number = {name: int(feed[name]) for name in ("offered", "results", "waiting", "in_flight")}
    expect(drops.get("replaced", 0) > 10 * number["results"], f"too few were dropped: {feed}")
    expect(number["offered"] == sum(drops.values()) + number["results"] + number["waiting"]
           + number["in_flight"], f"not every frame is accounted for: {feed}")
    expect(grown < GROWTH_KIB, f"grew by {grown} KiB")
    t.figures["slow"] = {**number, "dropped": drops, "grown_kib": grown}
    return site.judge()


def bomb(path, side):
    """The header of a small JPEG that promises a large one."""
    with open(path, "rb") as f:
        jpeg = bytearray(f.read())
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5:at + 9] = struct.pack(">HH", side, side)
    return bytes(jpeg)


def callers(t):
    site = Site(t, "callers")
    site.edge.config["vision"] = {"feeds": []}
    site.apply()
    crops = os.path.join(t.folder, "crops")
    done = site.ctl("gateway", "infer", site.picture, "--instance", "eye", "--save-crops", crops)
    expect(done.returncode == 0, done.stderr)
    answer = json.loads(done.stdout)
    expect(json.loads(answer["result_json"])["plates_count"] == 1, answer)
    expect({s["name"] for s in answer["stages"]} == {"wait", "inference", "look"}, answer["stages"])
    with open(site.picture, "rb") as f:
        picture = f.read()
    stem = os.path.splitext(os.path.basename(site.picture))[0]
    for name in ("plate_0", "image"):
        with open(os.path.join(crops, f"{stem}_{name}.jpg"), "rb") as f:
            expect(f.read() == picture, f"{name} is not the picture")
    submitted = json.loads(site.ctl("gateway", "infer", site.picture, "--submit").stdout)
    expect(submitted["submitted"]["status"] == "RESULT_STATUS_STORED", submitted)
    wait_for(lambda: site.server.total_detections() >= 1, PATIENCE_S, "the submitted one", 0.05)
    hostile = {"empty": b"", "text": b"no picture", "bomb": bomb(site.picture, 20000),
               "half": picture[:100]}
    for name, octets in hostile.items():
        path = os.path.join(t.folder, f"{name}.jpg")
        with open(path, "wb") as f:
            f.write(octets)
        bad = site.ctl("gateway", "infer", path)
        expect(bad.returncode == 6 and "picture." in bad.stderr, f"{name}: {bad}")
    nobody = site.ctl("gateway", "infer", site.picture, "--instance", "nobody")
    expect(nobody.returncode == 4, nobody)
    curl(t, site, picture)
    site.edge.config["instances"][-1]["config"]["reject_every"] = 1
    site.apply()
    def refused():
        done = site.ctl("gateway", "infer", site.picture)
        expect(done.returncode in (5, 6), done)  # 5: it still restarts.
        return done.returncode == 6 and done.stderr
    expect("refused by the test" in wait_for(refused, PATIENCE_S, "a refusal", 0.1), "no reason")
    for node in (site.edge, site.server):
        expect(node.stop() == 0, f"{node.name} did not end in order\n{node.tail()}")


def curl(t, site, picture):
    """A client that others wrote."""
    def call(request):
        path = os.path.join(t.folder, "request.json")
        with open(path, "w") as f:
            json.dump(request, f)
        return subprocess.run(
            ["buf", "curl", "--unix-socket", site.edge.control[len("unix:"):],
             "--http2-prior-knowledge", "--protocol", "grpc", "-d", f"@{path}",
             "http://node/viaduct.gateway.v1.Gateway/Infer"],
            capture_output=True, text=True, check=False)
    data = base64.b64encode(picture).decode()
    try:
        good = call({"picture": {"data": data}, "result_as_struct": True, "omit_crops": True})
    except FileNotFoundError:
        raise CannotRun("buf is not installed: ./dev test installs it from npm") from None
    expect(good.returncode == 0, good.stderr)
    expect(json.loads(good.stdout)["result"]["ocr_results"], good.stdout)
    plane = {"offset": str(2**64 - 1), "size": "16", "stride": 4}
    bad = call({"picture": {"format": "GREY", "width": 4, "height": 4, "data": data,
                            "planes": [plane]}})
    expect(bad.returncode != 0 and "invalid_argument" in bad.stderr, bad)


def run(t):
    frames = {}
    for part in (flow, killed, changes, slow):
        frames[part.__name__] = part(t)
        say(f"{part.__name__}: {frames[part.__name__]} frames, each stored once")
    callers(t)
    t.figures["frames"] = frames


main(run, limit=400)
