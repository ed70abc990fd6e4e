#!/usr/bin/env python3
"""What a real node with hailo_lpr does with bad input. Rare kinds of pictures are read like all others; each bad picture, and each
model that is missing or another one, is said with its name by the instance and by the log, harms nothing, and what comes next is
read.
"""

import os
import shutil
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from harness import Failure, main, wait_for  # noqa: E402  pylint: disable=wrong-import-position
from processes import SLOW  # noqa: E402  pylint: disable=wrong-import-position

PATIENCE_S = 60 * SLOW
MODELS = os.path.join(ROOT, "plugins", "hailo_lpr", "models")
RARE = [("grey", "grey.jpg", "KX75BN"), ("cmyk", "cmyk.jpg", "4AB 1234"),
        ("deep", "deep.png", "BCD 5678"), ("turned", "turned.jpg", "HJK 2468")]
GOOD = ["TRF 3579", "GHT 6248", "PLM 9532", "VWX 4826", "NMS 7315"]  # Each behind a bad one.
MOST_GROWN_MIB = 64  # A picture of 20,000 x 20,000 would be 1,144.


def expect(condition, what):
    if not condition:
        raise Failure(what)


class Site:
    """A node that stores, and what it says."""

    def __init__(self, t, name, **config):
        self.t = t
        self.folder = os.path.join(t.folder, f"{name}-in")
        self.done = os.path.join(t.folder, f"{name}-done")
        for folder in (self.folder, self.done):
            os.mkdir(folder)
        self.node = t.server(name=name)
        self.node.config["instances"].append(
            {"name": "gate", "plugin": "hailo_lpr",
             "config": {"source": "folder", "path": self.folder, "after": "move",
                        "move_to": self.done, **config}})
        self.node.write_config()
        self.node.start()
        self.wanted = []

    def draw(self, kind, name, plate=""):
        """`plate`: that is to be read from it."""
        part = os.path.join(self.t.folder, "part")
        if kind in ("empty", "text"):
            with open(part, "wb") as f:
                f.write(b"" if kind == "empty" else b"\xff\xd8\xff\xe0 this goes wrong")
        else:
            subprocess.run([self.t.build.program("draw_plates"), "kind", kind, part,
                            plate or "KX75BN"], check=True)
        os.rename(part, os.path.join(self.folder, name))
        if plate:
            self.wanted.append(plate.replace(" ", ""))

    def plates(self):
        reply = self.node.get("/api/lpr/events?limit=100", timeout=30)
        return sorted(event["license_plate"] for event in reply.json()["events"])

    def await_plates(self):
        try:
            wait_for(lambda: self.plates() == sorted(self.wanted), PATIENCE_S, "them", 0.1)
        except Failure:
            raise Failure(f"{self.plates()} were read of {self.wanted}, {self.said()}") from None

    def said(self):
        instance = self.node.ctl("instances", "get", "gate")["instance"]
        return f"{instance.get('health')} {instance.get('reason', '')}"

    def await_said(self, *words):
        try:
            wait_for(lambda: all(word in self.said() for word in words), PATIENCE_S, "it", 0.1)
        except Failure:
            raise Failure(f"the instance says {self.said()}, not {words}") from None
        with open(self.node.log_path, encoding="utf-8", errors="replace") as f:
            lines = [line for line in f if all(word in line for word in words[1:])]
        expect(lines, f"the log has no line with {words[1:]}")

    def stop(self):
        expect(self.node.stop() == 0, f"{self.node.name} did not stop in good order")


def pictures(t):
    site = Site(t, "pictures")
    for kind, name, plate in RARE:
        site.draw(kind, name, plate)
    site.await_plates()
    expect(site.said().startswith("HEALTH_OK"), site.said())
    before = site.node.rss_kib()
    bad = [("empty", "a.jpg", "no octets"), ("text", "b.jpg", "JPEG"), ("cut", "c.jpg", "cut short"),
           ("huge", "d.jpg", "20000x20000"), ("text", "e.png", "neither JPEG nor PNG")]
    for (kind, name, words), plate in zip(bad, GOOD):
        if name.endswith(".png"):
            with open(os.path.join(site.folder, name), "wb") as f:
                f.write(b"GIF89a and no more")
        else:
            site.draw(kind, name)
        site.await_said("HEALTH_DEGRADED", name, words)
        site.draw("plain", f"{name}.good.jpg", plate)
        site.await_plates()
        site.await_said("HEALTH_OK")
    wait_for(lambda: not os.listdir(site.folder), PATIENCE_S, "an empty folder", 0.1)
    expect(set(os.listdir(site.done)) >= {name for _, name, _ in bad}, "a bad picture is gone")
    grown = (site.node.rss_kib() - before) / 1024
    t.figure(grown_mib=round(grown, 1))
    expect(SLOW != 1 or grown < MOST_GROWN_MIB, f"the node has grown by {grown:.0f} MiB")
    site.stop()


def own_reader(t, name, octets=None, facts=None):
    """A reader in a folder of its own; None: as the installed one."""
    folder = os.path.join(t.folder, f"{name}-models")
    os.mkdir(folder)
    path = os.path.join(folder, "own.onnx")
    if octets is None:
        shutil.copy(os.path.join(MODELS, "reader.onnx"), path)
    elif octets is not False:
        with open(path, "wb") as f:
            f.write(octets)
    with open(os.path.join(MODELS, "reader.yaml"), encoding="utf-8") as f:
        text = f.read()
    with open(path.replace(".onnx", ".yaml"), "w", encoding="utf-8") as f:
        f.write(facts(text) if facts else text)
    return path


def models(t):
    cases = [("missing", {"reader": own_reader(t, "missing", False)}, ["own.onnx"]),
             ("empty", {"reader": own_reader(t, "empty", b"")}, ["own.onnx"]),
             ("text", {"reader": own_reader(t, "text", b"this is no model")}, ["own.onnx"]),
             ("input", {"reader": own_reader(
                 t, "input", facts=lambda text: text.replace("height: 48", "height: 32"))},
              ["own.onnx"]),
             ("alphabet", {"reader": own_reader(
                 t, "alphabet", facts=lambda text: text.replace("ABC", "BC"))}, ["own.onnx"]),
             ("kind", {"plate_model": os.path.join(MODELS, "province.onnx")}, ["province.onnx"])]
    for name, config, words in cases:
        site = Site(t, name, **config)
        site.await_said("", "start: model", *words)
        expect(site.node.get("/api/health").status in (200, 503), f"{name}: the node is ill")
        site.stop()


def run(t):
    pictures(t)
    models(t)


main(run, name="bad_input", limit=400)
