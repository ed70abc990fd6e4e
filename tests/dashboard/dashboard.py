#!/usr/bin/env python3
"""The dashboard in a real browser: Debian's Chromium, steered by Playwright (pages.mjs), against a
server node that was just started, with users of each role, behind a relay that can be cut.

    tests/dashboard/dashboard.py --build build/dev [--store postgresql]

VIADUCT_DASHBOARD_SHOTS=FOLDER leaves a picture of each view, in both languages, dark and light,
desktop and phone; VIADUCT_DASHBOARD_ONLY=NAME runs one check.
"""

import glob
import json
import os
import shutil
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import CannotRun, Failure, die_with_parent, main  # noqa: E402
from relayed_roads import road_to  # noqa: E402
from websocket_nodes import add_listener  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
PASSWORD = "correct horse battery"
USERS = {"vera": "viewer", "otto": "operator", "anna": "admin"}
LIMIT_S = 900
# An alert that is raised at once and stays: less than all of the disk is free.
ALWAYS_RAISED = {"disk_free": {"raise": 0.9999, "clear": 1.0, "hold": "0s"}}


def secret(t, name, text):
    path = os.path.join(t.folder, name)
    with open(path, "w", opener=lambda p, f: os.open(p, f, 0o600)) as f:
        f.write(text + "\n")
    return path


def guarded_server(t, **changes):
    """A node with both listeners; the port of the one with live events."""
    if not os.path.exists(os.path.join(t.build.folder, "dashboard", "index.html")):
        raise CannotRun("the dashboard is not built: ./dev test installs what it is made of")
    server = t.server(auth={"limits": {"failures": {"per_second": 1000, "burst": 1000}}},
                      alerts=ALWAYS_RAISED, **changes)
    sockets = add_listener(server)
    server.start()
    return server, sockets


def accounts(t, server):
    """Users of each role, and the key by which the test sends as any camera."""
    for name, role in USERS.items():
        server.ctl("auth", "user", "add", name, "--role", role, "--password-file",
                   secret(t, f"{name}.password", PASSWORD))
    made = server.ctl("auth", "key", "create", "--device", "HUB1", "--speaks-for", "CAM*")
    return made["key"]


def pictures(t, below=""):
    """Pictures to send: those of a folder (./dev scenes makes good ones), or plain drawn ones.
    `below` "crops": of their plates, in a folder below it, if there is one."""
    folder = os.environ.get("VIADUCT_DASHBOARD_PICTURES")
    found = folder and sorted(glob.glob(os.path.join(folder, below, "*.jpg")))
    if found or below:
        return found or pictures(t)
    return [t.picture(text, size=60000, width=640, height=360) for text in ("VD101", "VD102", "VD103")]


class Edge:
    """A node with two roads to the server, of which one can be cut, and a file that has no road."""

    def __init__(self, t, server, sockets):
        self.trial, self.server = t, server
        self.cut_off = t.relay(sockets)
        self.node = t.edge(server.http_port, name="edge7", node_id="EDGE7")

    def start(self):
        key = self.server.ctl("auth", "key", "create", "--device", "EDGE7")["key"]
        roads = [road_to("rest", self.server.http_port, "EDGE7", api_key=key),
                 road_to("websocket", self.cut_off.port, "EDGE7", api_key=key)]
        roads[0]["name"], roads[1]["name"] = "fibre", "radio"
        self.node.config["instances"][1:] = roads
        self.node.config["gateway"] = {"report": {"interval": "10s"},
                                       "probe": {"interval": "1s", "retry_interval": "1s"}}
        self.node.write_config()
        self.node.start()
        folder = os.path.join(self.node.data_dir, "transfers", "outgoing")
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, "evidence.jpg")
        shutil.copyfile(pictures(self.trial)[0], path)
        self.node.ctl("transfers", "send", path)

    def stop(self):
        if self.node.stop() != 0:
            raise Failure("the edge did not end well")

    def orders(self):
        return {"edge": self.start, "cut-road": lambda: self.cut_off.say("refuse"),
                "heal-road": lambda: self.cut_off.say("pass"), "stop-edge": self.stop}


def serve_orders(process, orders):
    """The script asks for what only this side can do: one word a line, answered by 'done'."""
    for line in process.stdout:
        word = line.strip()
        if word.startswith("ORDER "):
            orders[word[6:]]()
            process.stdin.write("done\n")
            process.stdin.flush()
        else:
            print("   ", line, end="", flush=True)


def run_script(script, trial, orders, options=()):
    process = subprocess.Popen(["node", os.path.join(HERE, script), *options], text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               env={**os.environ, "DASHBOARD_TRIAL": json.dumps(trial)},
                               preexec_fn=die_with_parent)
    guard = threading.Timer(LIMIT_S, process.kill)
    guard.start()
    try:
        serve_orders(process, orders)
        return process.wait()
    finally:
        guard.cancel()
        process.kill()


def run(t):
    server, sockets = guarded_server(t)
    relay = t.relay(sockets)
    trial = {"url": f"http://127.0.0.1:{relay.port}", "direct": f"http://127.0.0.1:{sockets}",
             "plain": f"http://127.0.0.1:{server.http_port}", "password": PASSWORD,
             "key": accounts(t, server), "pictures": pictures(t), "crops": pictures(t, "crops"),
             "only": os.environ.get("VIADUCT_DASHBOARD_ONLY"),
             "shots": os.environ.get("VIADUCT_DASHBOARD_SHOTS")}
    orders = {"cut": lambda: relay.say("refuse"), "heal": lambda: relay.say("pass"),
              "restart": lambda: (server.stop(), server.start()),
              **Edge(t, server, sockets).orders()}
    if run_script("pages.mjs", trial, orders) != 0:
        raise Failure("the pages are not as they should be, see above")
    if server.stop() != 0:
        raise Failure("the node did not end well")


if __name__ == "__main__":
    main(run, limit=LIMIT_S + 60)
