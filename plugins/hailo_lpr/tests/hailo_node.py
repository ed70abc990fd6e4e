#!/usr/bin/env python3
"""A real node with hailo_lpr on a Hailo, for which the double of HailoRT stands (hailo/testing): it reads as on the CPU, and says
how the device is; a device that is lost and found again loses no picture of a folder; whatever else is wrong with library, driver
or model is the reason of the instance and a line of the log, and the node goes on.
"""

import os
import shutil
import subprocess

from folder_gate import MODELS, PATIENCE_S, FolderGate, expect
from harness import main, wait_for

PLATES = ["KX75BN", "HJK2468"]
HEF = b"\x01HEF"


class Site(FolderGate):
    """With a reader on the Hailo."""

    def __init__(self, t, name, hef=HEF, **environment):
        super().__init__(t, name)
        self.lost = os.path.join(t.folder, f"{name}-lost")
        models = os.path.join(t.folder, f"{name}-models")
        os.mkdir(models)
        reader = os.path.join(models, f"{name}.hef")
        if hef is not None:
            with open(reader, "wb") as f:
                f.write(hef)
        shutil.copy(os.path.join(MODELS, "reader.yaml"), reader.replace(".hef", ".yaml"))
        double = os.path.join(t.build.folder, "tests", "hailort_double.so")
        self.config = {"reader": reader, "library": double, "model_timeout": 5}
        self.environment = {
            "HAILORT_DOUBLE_MODELS":
                f"{name}.hef={os.path.join(MODELS, 'reader.onnx')}:1x1x48x160:128:32",
            "HAILORT_DOUBLE_LOST": self.lost, **environment}

    def start(self, **config):
        self.begin({**self.config, **config}, self.environment)
        return self

    def put(self, plate):
        part = os.path.join(self.t.folder, "part.jpg")
        subprocess.run([self.t.build.program("draw_plates"), "picture", part, plate], check=True)
        os.rename(part, os.path.join(self.folder, f"{plate}.jpg"))

    def has_logged(self, word):
        return word in "".join(self.logged())


def reads_and_tells(t):
    site = Site(t, "works", HAILORT_DOUBLE_VERSION="4.20.0").start()
    site.put(PLATES[0])
    site.await_plates(PLATES[:1])
    expect("HEALTH_OK" in site.said(), site.said())
    runs_on = "hailo, Hailo-8L at 0000:01:00.0, library 4.20.0"
    expect(site.has_logged(runs_on), f"the log does not say {runs_on}")
    metrics = site.node.get("/metrics").body.decode()
    for wanted in ("temperature_celsius", "45"), ("power_watts", "2.5"):
        lines = [line for line in metrics.splitlines()
                 if line.startswith("viaduct_hailo_lpr_" + wanted[0] + "{")]
        expect([line.split()[-1] for line in lines] == [wanted[1]], f"{wanted}: {lines}")
    return site


def lost_and_found(site):
    with open(site.lost, "w", encoding="utf-8"):
        pass
    site.put(PLATES[1])
    site.await_said("HEALTH_FAILED", "HailoRT status")
    wait_for(lambda: site.has_logged("a picture could not be looked at"), PATIENCE_S,
             "a line in the log", 0.1)
    expect(site.plates() == PLATES[:1], "read without a device")
    os.remove(site.lost)
    site.await_plates(PLATES)
    site.await_said("HEALTH_OK")
    site.await_empty_folder()
    site.stop()


def refused(t):
    """What keeps the instance from starting, and its words."""
    cases = [
        ("mismatch", {"HAILORT_DOUBLE_FAIL": "create_vdevice:76"}, {},
         ["(HailoRT status 76)", "library 4.23.0"]),
        ("version", {"HAILORT_DOUBLE_VERSION": "5.0.0"}, {}, ["5.0.0", "known are 4.17 to 4.23"]),
        ("library", {}, {"library": "/nowhere/libhailort.so"}, ["/nowhere/libhailort.so"]),
        ("away", {"HAILORT_DOUBLE_FAIL": "create_vdevice:74"}, {}, ["no free device"]),
        ("driver", {"HAILORT_DOUBLE_FAIL": "create_vdevice:64"}, {}, ["driver is not loaded"]),
        ("taken", {"HAILORT_DOUBLE_FAIL": "create_vdevice:73"}, {}, ["in use by another process"]),
        ("missing", {"hef": None}, {}, ["missing.hef"]),
        ("empty", {"hef": b""}, {}, ["empty.hef"]),
        ("text", {"hef": b"this is no HEF"}, {}, ["text.hef", "(HailoRT status 92)"]),
        ("other", {"HAILORT_DOUBLE_MODELS":
                   f"other.hef={os.path.join(MODELS, 'province.onnx')}:1x1x32x160"}, {},
         ["other.hef", "takes 1x1x32x160, not 1x1x48x160"]),
    ]
    for name, made, config, words in cases:
        site = Site(t, name, **made).start(**config)
        site.await_said(*words)
        expect(all(site.has_logged(word) for word in words), f"{name}: the log says nothing")
        expect(site.node.get("/api/health").status in (200, 503), f"{name}: the node is ill")
        site.stop()
    return [case[0] for case in cases]


def run(t):
    lost_and_found(reads_and_tells(t))
    t.figure(refused=refused(t))


main(run, name="hailo_node", limit=400)
