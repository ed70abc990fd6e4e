"""The demo's street: scenes that are drawn now, read by the plugin hailo_lpr of the edge. Needs Debian's
OpenCV for Python and its fonts, and a build with that plugin.
"""

import collections
import glob
import json
import os
import subprocess

from harness import ROOT, Failure, wait_for

SCENES = 12
SEED = 3
CAMERA = "STREET1"
PYTHON = "/usr/bin/python3"  # Debian's: another one does not see its packages.
GENERATOR = os.path.join(ROOT, "plugins", "hailo_lpr", "training", "scenes.py")
LOOKS = ("th", "eu", "us")
PATIENCE_S = 180


class Street:
    """The camera of the edge is a folder: what lies in `seen` is looked at, then moved to `done`."""

    def __init__(self, demo):
        self.drawn, self.seen, self.done = (os.path.join(demo.folder, name)
                                            for name in ("drawn", "seen", "done"))
        os.makedirs(self.seen)
        os.makedirs(self.done)
        self.log = open(os.path.join(demo.folder, "scenes.log"), "w+")
        self.process = subprocess.Popen(
            [PYTHON, GENERATOR, self.drawn, "--count", str(SCENES), "--seed", str(SEED)],
            stdout=self.log, stderr=subprocess.STDOUT)
        demo.cleanups.append(self.close)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.log.close()

    def instance(self):
        """What the edge's configuration has to say of it."""
        config = {"source": "folder", "path": self.seen, "after": "move", "move_to": self.done,
                  "camera_id": CAMERA, "grammars": list(LOOKS)}
        return f"  - {json.dumps({'name': 'street', 'plugin': 'hailo_lpr', 'config': config})}\n"

    def show_to_camera(self):
        """Waits for the drawing and puts the pictures before the camera."""
        if self.process.wait(PATIENCE_S) != 0:
            self.log.seek(0)
            raise Failure(f"no scenes: {self.log.read()}")
        pictures = sorted(glob.glob(os.path.join(self.drawn, "*.jpg")))
        for picture in pictures:
            os.rename(picture, os.path.join(self.seen, os.path.basename(picture)))
        return len(pictures)

    def truth(self):
        """The plates of all scenes and how often each is there."""
        plates = collections.Counter()
        for path in glob.glob(os.path.join(self.drawn, "*.txt")):
            with open(path, encoding="utf-8") as file:
                plates.update(line.rstrip("\n").split("\t")[5] for line in file)
        return plates

    def await_read(self):
        wait_for(lambda: len(os.listdir(self.done)) >= SCENES, PATIENCE_S,
                 "the edge to look at every scene")


def prepare(demo):
    """The street; None on a machine that can not draw it, or with a build that can not read it."""
    if not os.path.exists(os.path.join(demo.build.plugins, "hailo_lpr.so")):
        return None
    able = subprocess.run([PYTHON, "-c", "import cv2, faces; assert not faces.missing()"],
                          cwd=os.path.dirname(GENERATOR), capture_output=True, check=False)
    return Street(demo) if able.returncode == 0 else None


def folded(text):
    """O is 0 and I is 1 on many plates."""
    return text.replace("O", "0").replace("I", "1")


def show(demo, records, street):
    """What the server has of the street's camera, beside what was drawn."""
    truth = street.truth()
    read = collections.Counter(folded(result["text"]) for record in records
                               for result in record["ocr_results"])
    wanted = collections.Counter()
    for text, times in truth.items():
        wanted[folded(text)] += times
    right = sum((wanted & read).values())
    wrong = sum((read - wanted).values())
    missed = sum((wanted - read).values())
    if any(not record["annotated_image"] for record in records):
        raise Failure("a detection of the street has no picture")
    demo.done(f"street: {SCENES} scenes with {sum(truth.values())} plates, {len(records)} records with "
              "pictures")
    demo.done(f"plates told: {right} right, {wrong} wrong; {missed} not told, as too uncertain or not found")
    if right == 0:
        raise Failure("no plate of the street was read")
