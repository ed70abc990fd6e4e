"""A node that stores what an instance of hailo_lpr, "gate", reads in a folder, and what both say."""

import os
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from harness import Failure, wait_for  # noqa: E402  pylint: disable=wrong-import-position
from processes import SLOW  # noqa: E402  pylint: disable=wrong-import-position

PATIENCE_S = 60 * SLOW
MODELS = os.path.join(ROOT, "plugins", "hailo_lpr", "models")


def expect(condition, what):
    if not condition:
        raise Failure(what)


class FolderGate:
    """Pictures that were looked at are moved from `folder` to `done`."""

    def __init__(self, t, name):
        self.t = t
        self.folder = os.path.join(t.folder, f"{name}-in")
        self.done = os.path.join(t.folder, f"{name}-done")
        for folder in (self.folder, self.done):
            os.mkdir(folder)
        self.node = t.server(name=name)

    def begin(self, config, environment=None):
        self.node.config["instances"].append(
            {"name": "gate", "plugin": "hailo_lpr",
             "config": {"source": "folder", "path": self.folder, "after": "move",
                        "move_to": self.done, **config}})
        self.node.write_config()
        self.node.start(env=environment)

    def plates(self):
        reply = self.node.get("/api/lpr/events?limit=100", timeout=30)
        return sorted(event["license_plate"] for event in reply.json()["events"])

    def await_plates(self, wanted):
        try:
            wait_for(lambda: self.plates() == sorted(wanted), PATIENCE_S, "them", 0.1)
        except Failure:
            raise Failure(f"{self.plates()} were read of {wanted}, {self.said()}") from None

    def said(self):
        """By the instance: its health and the reason."""
        instance = self.node.ctl("instances", "get", "gate")["instance"]
        return f"{instance.get('health')} {instance.get('reason', '')}"

    def await_said(self, *words):
        try:
            wait_for(lambda: all(word in self.said() for word in words), PATIENCE_S, "it", 0.1)
        except Failure:
            raise Failure(f"the instance says {self.said()}, not {words}") from None

    def logged(self):
        """The lines of the node's log."""
        with open(self.node.log_path, encoding="utf-8", errors="replace") as f:
            return f.readlines()

    def await_empty_folder(self):
        wait_for(lambda: not os.listdir(self.folder), PATIENCE_S, "an empty folder", 0.1)

    def stop(self):
        expect(self.node.stop() == 0, f"{self.node.name} did not stop in good order")
