#!/usr/bin/env python3
"""viaductctl lpr eval: figures over street scenes that are drawn here, by the plugin in its own process and
by a node, and what it says of bad input.

The scenes come from seeds, so that the figures are the same everywhere; the floors below are what
the models of the tree reach, less a margin for another version of OpenCV.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile

import common_path  # noqa: F401
from documents import claimed_blocks, read_document, shell_lines
from processes import Build, Node

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCENES = os.path.join(ROOT, "plugins", "hailo_lpr", "training", "scenes.py")
SEED = 31
COUNT = 10  # Scenes of each look.
OK, FAILED, NOT_FOUND, INVALID = 0, 1, 4, 6
# Of each set: plates found among five candidates, read (O=0, I=1), false plates an image.
FLOORS = {"eu": (0.85, 0.80, 0.1), "th": (0.75, 0.55, 0.1), "us": (0.80, 0.70, 0.1)}


class Trial:
    """Also what Node of the harness needs of a trial."""

    def __init__(self, build, python, folder):
        self.build = Build(build)
        self.node_env, self.cleanups = {}, []
        self.ctl = os.path.join(build, "bin", "viaductctl")
        self.plugins = os.path.join(build, "plugins")
        self.python = python
        self.folder = folder

    def run(self, *arguments):
        return subprocess.run([self.ctl, "lpr", "eval", *arguments], capture_output=True, text=True,
                              timeout=300, check=False)

    def expect(self, code, words, *arguments):
        done = self.run(*arguments)
        if done.returncode != code or words not in done.stdout + done.stderr:
            fail(f"lpr eval {' '.join(arguments)}: exit {done.returncode}, wanted {code} and "
                 f"'{words}':\n{done.stdout}{done.stderr}")
        return done

    def path(self, *parts):
        return os.path.join(self.folder, *parts)


def fail(text):
    print(f"FAILED: {text}")
    sys.exit(1)


def make_scenes(t):
    for look in FLOORS:
        subprocess.run([t.python, SCENES, t.path("sets", look), "--count", str(COUNT), "--seed",
                        str(SEED), "--looks", look], check=True)


def figures(t):
    """Each set with the grammar of its name, and the total."""
    done = t.expect(OK, "", t.path("sets"), "--country", "by-set", "--json", "--list")
    report = json.loads(done.stdout)
    total = report["total"]
    for name, (found, read, false) in FLOORS.items():
        one = report["sets"][name]
        print(f"{name}: {one['plates']} plates, found {one['recall_five']:.3f}, "
              f"read {one['equal']:.3f}, false {one['false_plates_per_image']:.3f} an image")
        if one["images"] != COUNT or len(one["list"]) != COUNT:
            fail(f"{name}: {one['images']} of {COUNT} scenes were looked at")
        if one["recall_five"] < found or one["equal"] < read or \
                one["false_plates_per_image"] > false:
            fail(f"{name}: below the floor, found {found}, read {read}, false {false}")
    if total["images"] != COUNT * len(FLOORS) or total["exact"] > total["equal"]:
        fail(f"the total does not add up: {total}")
    readings = sum(band["readings"] for band in total["bands"])
    if readings == 0 or "plates" not in total["stages"] or not total["stages"]["total"]["median_ms"]:
        fail(f"no readings or times: {total}")
    if report["sets"]["th"]["provinces"] == 0:
        fail("no Thai plate was read, so no province could be")


def options(t):
    """Options of the instance, and what is told with them."""
    with open(t.path("strict.yaml"), "w", encoding="utf-8") as file:
        file.write("grammars: [eu]\nmin_confidence: 1.0\n")
    done = t.expect(OK, "FOUND 5", t.path("sets", "eu"), "--options", t.path("strict.yaml"))
    row = next(line.split() for line in done.stdout.splitlines() if line.startswith("eu "))
    if row[8] != "0.000":
        fail(f"nothing can be told at a confidence of 1: {row}")
    with open(t.path("wrong.yaml"), "w", encoding="utf-8") as file:
        file.write("grammar: eu\nqueue: many\n")
    done = t.expect(INVALID, "did you mean", t.path("sets", "eu"), "--options", t.path("wrong.yaml"))
    if "queue" not in done.stderr:
        fail(f"only the first mistake is told: {done.stderr}")
    t.expect(NOT_FOUND, "xx.yaml", t.path("sets", "eu"), "--country", "xx")


def documented(t):
    """What docs/LPR.md tells people to type."""
    with open(t.path("options.yaml"), "w", encoding="utf-8") as file:
        file.write("grammars: [eu]\n")
    env = dict(os.environ, PATH=os.path.dirname(t.ctl) + ":" + os.environ["PATH"])
    lines = shell_lines(read_document("docs/LPR.md"))
    if not lines:
        fail("docs/LPR.md has lost its commands")
    for line in lines:
        done = subprocess.run(["bash", "-c", line.replace("FOLDER", "sets")], cwd=t.folder, env=env,
                              capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0 or not done.stdout:
            fail(f"{line}\n{done.stdout}{done.stderr}")


def documented_scenes(t):
    """What plugins/hailo_lpr/training/README.md tells people to type, with fewer pictures."""
    for block in claimed_blocks(__file__, ["plugins/hailo_lpr/training/README.md"]):
        words = shlex.split(block.text)
        if words[:3] != ["./dev", "scenes", "OUT"]:
            fail(f"another command: {words}")
        words[words.index("--count") + 1] = "2"
        folder = t.path("documented")
        subprocess.run([t.python, SCENES, folder, *words[3:]], check=True)
        found = sorted(os.listdir(folder))
        if [os.path.splitext(name)[1] for name in found].count(".jpg") != 2 or len(found) < 4:
            fail(f"no two scenes with their ground truth: {found}")


def bad_input(t):
    """What is not looked at is counted and said, and the exit code is not 0."""
    bad = t.path("bad")
    os.mkdir(bad)
    name = "scene_0000"
    for kind in (".jpg", ".txt"):
        with open(t.path("sets", "eu", name + kind), "rb") as file:
            content = file.read()
        with open(os.path.join(bad, name + kind), "wb") as file:
            file.write(content)
    with open(os.path.join(bad, "alone.jpg"), "wb") as file:
        file.write(content)
    done = t.expect(INVALID, "1 without ground truth, the first is alone.jpg", bad)
    os.remove(os.path.join(bad, "alone.jpg"))
    for broken, text in (("empty", b""), ("cut", b"\xff\xd8\xff\xe0 and no more"), ("text", b"hello")):
        with open(os.path.join(bad, broken + ".jpg"), "wb") as file:
            file.write(text)
        with open(os.path.join(bad, broken + ".txt"), "wb"):
            pass
    report = json.loads(t.expect(INVALID, "empty.jpg", bad, "--json").stdout)
    if len(report["sets"]["bad"]["not_looked_at"]) != 3:
        fail(f"not every bad picture is listed: {report['sets']['bad']}")
    done = t.expect(INVALID, "3 that can not be looked at", bad)
    if " 1 " not in next(line for line in done.stdout.splitlines() if line.startswith("bad")):
        fail(f"the sound picture was not looked at: {done.stdout}")
    os.mkdir(t.path("nothing"))
    t.expect(NOT_FOUND, "no picture in it", t.path("nothing"))
    t.expect(NOT_FOUND, "is no folder", t.path("nowhere"))


def plugins(t):
    """--plugin takes a name or a file, and says what is wrong with it."""
    file = os.path.join(t.plugins, "hailo_lpr.so")
    t.expect(OK, "FOUND 5", t.path("sets", "eu"), "--plugin", file)
    t.expect(NOT_FOUND, "nowhere", t.path("sets", "eu"), "--plugin", "nowhere")
    other = os.path.join(t.plugins, "rest.so")
    if os.path.exists(other):
        t.expect(INVALID, "does not offer viaduct.infer/1", t.path("sets", "eu"), "--plugin", other)


def node(t):
    """The same plugin in a node gives the same figures."""
    config = {"node": {"id": "CAM001", "data_dir": t.path("node", "data"), "sinks": ["store"]},
              "control": {"socket": "control.sock"}, "plugins": {"path": [t.plugins]},
              "store": {"sqlite": {"path": "store.db"}, "images": "images"},
              "instances": [{"name": "camera", "plugin": "hailo_lpr", "config": {"grammars": ["eu"]}}]}
    host = Node(t, "node", config)
    host.start()
    try:
        socket = host.control[len("unix:"):]
        sets = [json.loads(t.expect(OK, "", t.path("sets", "eu"), "--json", *how).stdout)["total"]
                for how in (["--country", "eu"], ["--node", "-s", socket],
                            ["--node", "--instance", "camera", "-s", socket])]
        for one in sets:
            del one["stages"]
        if sets[0] != sets[1] or sets[0] != sets[2]:
            fail(f"a node reads otherwise: {sets[0]} and {sets[1]}")
        t.expect(FAILED, "nobody", t.path("sets", "eu"), "--node", "--instance", "nobody", "-s", socket)
    finally:
        host.stop()
    t.expect(FAILED, "", t.path("sets", "eu"), "--node", "-s", socket)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True)
    parser.add_argument("--python", default=sys.executable, help="one that has OpenCV")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vd-") as folder:
        t = Trial(arguments.build, arguments.python, folder)
        make_scenes(t)
        figures(t)
        options(t)
        documented(t)
        documented_scenes(t)
        bad_input(t)
        plugins(t)
        node(t)
    print("OK")


if __name__ == "__main__":
    main()
