#!/usr/bin/env python3
"""Cameras for hours, with real nodes: an edge with hailo_lpr that looks at a small video by several instances, again and again, as
fast as it can, tells their passes to a server, and is asked meanwhile over gRPC about a good picture and bad ones.

How it is judged: pictures are counted by the node's own metrics. After a warm-up of a fifth of them it is looked every moment at
what the node and the largest of its camera programs hold. The median of the last tenth of these looks is at most a limit above that of the first
tenth: resident memory GROWTH_KIB, descriptors and threads MORE_ALLOWED. No picture fails, and passes are told to the end.
Short: some hundred pictures. Long: 100,000.
"""

import contextlib
import os
import re
import statistics
import subprocess
import sys
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
# pylint: disable=wrong-import-position
from harness import Failure, main, monotonic, say, wait_for  # noqa: E402
from processes import SLOW  # noqa: E402

PICTURES, LONG_PICTURES = 600, 100_000
WIDTH, HEIGHT, FPS = 240, 136, 25
CAMERAS = 4
PLATES, LONG_PLATES = 4, 20  # Of the video: each drives by once.
PICTURES_EACH, EMPTY_EACH = 10, 40  # Of a plate, and of an empty street behind it.
WARM_PART = 0.2
LEAST_LOOKS = 10
LOOK_EVERY_S, LONG_LOOK_EVERY_S = 0.2, 1
GROWTH_KIB = 8 << 10 if SLOW == 1 else 1 << 20  # A sanitizer keeps what was freed.
MORE_ALLOWED = 2
PATIENCE_S = 120 * SLOW
LIMIT_S = 400
PROGRAM = "hailo-lpr-camera"
BAD_INPUT = 6  # The exit code of viaductctl.


def expect(condition, what):
    if not condition:
        raise Failure(what)


def draw(t, *words):
    subprocess.run([t.build.program("draw_plates"), *map(str, words)], check=True)


class Soak:
    def __init__(self, t):
        self.t = t
        self.looks = []  # name -> (KiB, descriptors, threads) of each.
        self.asked = {"good": 0, "bad": 0}
        path = os.path.join(t.folder, "street.avi")
        plates = LONG_PLATES if t.long else PLATES
        draw(t, "video", path, FPS, PICTURES_EACH, EMPTY_EACH, WIDTH, HEIGHT,
             *[f"{letters}{i:02d} {letters[::-1]}7" for i, letters in
               enumerate(["KX", "BC", "HJ", "TR", "GH", "PL", "NM", "DF", "VW", "RS"] * 2)][:plates])
        self.good = os.path.join(t.folder, "good.jpg")
        draw(t, "picture", self.good, "KX75BN", WIDTH, HEIGHT)
        self.bad = os.path.join(t.folder, "bad.jpg")
        self.server = t.server()
        self.edge = t.edge(self.server.http_port)
        self.edge.config["instances"] += [
            {"name": f"film{i}", "plugin": "hailo_lpr",
             "config": {"camera_id": f"CAM00{i}", "source": "video", "path": path, "pace": "fast",
                        "loop": True, "again_after": 0}} for i in range(CAMERAS)]
        self.edge.config["instances"].append({"name": "asked", "plugin": "hailo_lpr"})
        self.edge.write_config()
        self.server.start()
        self.edge.start()

    def metric(self, name, labels=""):
        text = self.edge.get("/metrics", timeout=30).body.decode()
        found = re.findall(rf"^viaduct_hailo_lpr_{name}{{[^}}]*{labels}[^}}]*}} ([0-9.e+]+)$", text,
                           re.MULTILINE)
        return int(sum(map(float, found)))

    def camera_programs(self):
        """What each holds. At the end of the video one is being started again."""
        pid = self.edge.process.pid
        children = []
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/children") as f:
                children += f.read().split()
        for child in children:
            with contextlib.suppress(OSError, KeyError), open(f"/proc/{child}/status") as f:
                status = dict(line.split(":", 1) for line in f if ":" in line)
                if PROGRAM.startswith(status["Name"].strip()):
                    yield (int(status["VmRSS"].split()[0]), len(os.listdir(f"/proc/{child}/fd")),
                           int(status["Threads"]))

    def look(self):
        held = {"edge": (self.edge.rss_kib(), self.edge.descriptors(), self.edge.threads())}
        programs = list(self.camera_programs())
        if programs:
            held[PROGRAM] = max(programs)
        self.looks.append(held)

    def ask(self):
        """A sound picture and a broken one in turns; the node answers each."""
        good = sum(self.asked.values()) % 2 == 0
        if not good:
            with open(self.good, "rb") as f:
                octets = f.read()
            with open(self.bad, "wb") as f:
                f.write(octets[:self.t.random.randrange(len(octets) // 2, len(octets) * 3 // 4)])
        done = subprocess.run(
            [self.t.build.program("viaductctl"), "-s", self.edge.control[len("unix:"):], "-j",
             "gateway", "infer", self.good if good else self.bad, "--instance", "asked"],
            capture_output=True, text=True, check=False)
        expect(done.returncode == (0 if good else BAD_INPUT),
               f"{'good' if good else 'bad'} picture: {done.returncode} {done.stderr}")
        self.asked["good" if good else "bad"] += 1

    def judge(self, name):
        looks = [held[name] for held in self.looks if name in held]
        expect(len(looks) >= LEAST_LOOKS, f"{name}: looked at {len(looks)} times only")
        tenth = max(3, len(looks) // 10)
        first, last = ([statistics.median(column) for column in zip(*part)]
                       for part in (looks[:tenth], looks[-tenth:]))
        figures = {"looks": len(looks), "kib": [round(first[0]), round(last[0])],
                   "most_kib": max(look[0] for look in looks),
                   "descriptors": [first[1], last[1]], "threads": [first[2], last[2]]}
        expect(last[0] - first[0] <= GROWTH_KIB, f"{name} grows: {figures}")
        expect(last[1] <= first[1] + MORE_ALLOWED, f"{name}: more descriptors: {figures}")
        expect(last[2] <= first[2] + MORE_ALLOWED, f"{name}: more threads: {figures}")
        return figures


def run(t):
    soak = Soak(t)
    wanted = LONG_PICTURES if t.long else PICTURES
    every = LONG_LOOK_EVERY_S if t.long else LOOK_EVERY_S
    wait_for(lambda: soak.metric("pictures_total") > wanted * WARM_PART,
             PATIENCE_S * (60 if t.long else 1), "the warm-up", 0.2)
    say("warm")
    begin, told = monotonic(), soak.metric("events_total", 'outcome="durable"')
    first = pictures = soak.metric("pictures_total")
    last_at, last_pictures = monotonic(), pictures
    while pictures < wanted or len(soak.looks) < LEAST_LOOKS:
        soak.look()
        soak.ask()
        time.sleep(every)
        pictures = soak.metric("pictures_total")
        if pictures > last_pictures:
            last_at, last_pictures = monotonic(), pictures
        expect(monotonic() - last_at < PATIENCE_S, f"no more pictures after {pictures}")
    rate = (pictures - first) / (monotonic() - begin)
    durable = soak.metric("events_total", 'outcome="durable"')
    failed = soak.metric("dropped_pictures_total", 'reason="failed"')
    t.figure(pictures=pictures, a_second=round(rate, 1), passes=durable, asked=soak.asked,
             **{name: soak.judge(name) for name in ("edge", PROGRAM)})
    expect(durable > told, f"no pass was told after the warm-up: {durable}")
    expect(failed == 0, f"{failed} pictures failed")
    bad = soak.metric("dropped_pictures_total", 'reason="bad_request"')
    expect(bad == soak.asked["bad"], f"{bad} bad pictures were counted of {soak.asked['bad']}")
    for node in (soak.edge, soak.server):
        expect(node.stop() == 0, f"{node.name} did not stop in good order\n{node.tail()}")


main(run, name="lpr_soak", limit=LIMIT_S)
