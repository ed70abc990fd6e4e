#!/usr/bin/env python3
"""What a real node with hailo_lpr does with bad input. Rare kinds of pictures are read like all others; each bad picture, and each
model that is missing or another one, is said with its name by the instance and by the log, harms nothing, and what comes next is
read.
"""

import os
import shutil
import subprocess

from folder_gate import MODELS, FolderGate, expect
from harness import main
from processes import SLOW

RARE = [("grey", "grey.jpg", "KX75BN"), ("cmyk", "cmyk.jpg", "4AB 1234"),
        ("deep", "deep.png", "BCD 5678"), ("turned", "turned.jpg", "HJK 2468")]
GOOD = ["TRF 3579", "GHT 6248", "PLM 9532", "VWX 4826", "NMS 7315"]  # Each behind a bad one.
MOST_GROWN_MIB = 64  # A picture of 20,000 x 20,000 would be 1,144.


class Site(FolderGate):
    def __init__(self, t, name, **config):
        super().__init__(t, name)
        self.begin(config)
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

    def await_wanted(self):
        self.await_plates(self.wanted)

    def await_told(self, *words):
        """By the instance, and all but the first by a line of the log."""
        self.await_said(*words)
        expect(any(all(word in line for word in words[1:]) for line in self.logged()),
               f"the log has no line with {words[1:]}")


def pictures(t):
    site = Site(t, "pictures")
    for kind, name, plate in RARE:
        site.draw(kind, name, plate)
    site.await_wanted()
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
        site.await_told("HEALTH_DEGRADED", name, words)
        site.draw("plain", f"{name}.good.jpg", plate)
        site.await_wanted()
        site.await_told("HEALTH_OK")
    site.await_empty_folder()
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
        site.await_told("", "start: model", *words)
        expect(site.node.get("/api/health").status in (200, 503), f"{name}: the node is ill")
        site.stop()


def run(t):
    pictures(t)
    models(t)


main(run, name="bad_input", limit=400)
