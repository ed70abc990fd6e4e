#!/usr/bin/env python3
"""Runs every example of docs/API.md as it is, one after the other, against a real node, and compares
what is answered with what the document shows: members, values, and which ids are the same.

The node's wall clock stands at the time of the document. It stores, and hands on to another server over
one link; a road for files has no peer, and its folder for files of devices is empty.
"""

import calendar
import json
import os
import shlex
import shutil
import subprocess
import time

import common_path  # noqa: F401
from documented_answers import Likeness, read_examples
from documents import claimed_blocks
from harness import Failure, main, say, wait_for
from wall_clock import WallClock

DOCUMENT, TRANSFERS = "docs/API.md", "docs/TRANSFERS.md"
FILE_NAME, FILE_BYTES = "2024/01/15/a.jpg", 150000
LINE_LIMIT_S = 60
PATIENCE_S = 60
PASSWORD = "correct horse battery staple"
AT = "2024-01-15T10:30:00Z"
MEASURED = {"age_s", "average_latency", "bytes", "latency_ms", "p50", "p99", "quality", "score", "success_rate"}
CONFIG = """\
node:
  id: SERVER1
  data_dir: {data}
  sinks: [store, uplink]
log: {{level: info}}
auth: {{}}
plugins: {{path: [{plugins}]}}
store: {{sqlite: {{path: store.db}}, images: images}}
spool: {{path: spool.db}}
dashboard: {{path: {pages}}}
incoming: {{folder: {incoming}, settle: 100ms}}
transfers: {{roots: [{outgoing}], announce: false}}
alerts:
  link_down: {{hold: 0s}}
  disk_free: {{raise: 0.001, clear: 0.002}}
instances:
  - {{name: http, plugin: rest, config: {{role: server, listen: "127.0.0.1:{port}"}}}}
  - {{name: uplink, plugin: rest, config: {{role: client, base_url: "http://127.0.0.1:{hub}"}}}}
"""


def expect(condition, what):
    if not condition:
        raise Failure(what)


class Site:
    """The node of the examples, and what they find in the folder in which they are typed."""

    def __init__(self, t):
        self.t = t
        self.folder = os.path.join(t.folder, "typed")
        self.homes = {}
        for name in ("pages", "incoming", "outgoing", "typed", "anna", "nobody"):
            os.mkdir(os.path.join(t.folder, name))
        with open(os.path.join(t.folder, "pages", "index.html"), "w") as f:
            f.write("<!doctype html><title>Viaduct</title>")
        self.hub = t.server("hub", node_id="HUB1")
        self.node = t.server("server")
        with open(self.node.config_path, "w") as f:
            f.write(CONFIG.format(data=self.node.data_dir, plugins=t.build.plugins, port=self.node.http_port,
                                  hub=self.hub.http_port, pages=os.path.join(t.folder, "pages"),
                                  incoming=os.path.join(t.folder, "incoming"),
                                  outgoing=os.path.join(t.folder, "outgoing")))
        shutil.copy(self.node.config_path, os.path.join(self.folder, "node.yaml"))
        for name, text, size in (("car", "1AB2345", 30000), ("plate", "1AB2345", 9000)):
            shutil.copy(t.picture(text, size, 320, 160), os.path.join(self.folder, f"{name}.jpg"))

    def start(self):
        clock = WallClock(self.t, "server")
        clock.set(calendar.timegm(time.strptime(AT, "%Y-%m-%dT%H:%M:%SZ")))
        self.hub.start()
        self.node.start(env=clock.env)
        path = os.path.join(self.t.folder, "password")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
            f.write(PASSWORD)
        self.node.ctl("auth", "user", "add", "anna", "--role", "admin", "--password-file", path)
        # The last line of each answer is its status.
        for name, more in (("nobody", ""), ("anna", f'user = "anna:{PASSWORD}"\n')):
            with open(os.path.join(self.t.folder, name, ".curlrc"), "w") as f:
                f.write(more + r'write-out = "\n%{http_code}"' + "\n")

    def type(self, command, who):
        """(status, what it showed)"""
        env = dict(os.environ, S=f"http://127.0.0.1:{self.node.http_port}",
                   CURL_HOME=os.path.join(self.t.folder, who), no_proxy="127.0.0.1")
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=self.folder, env=env,
                              capture_output=True, text=True, timeout=LINE_LIMIT_S, check=False)
        expect(done.returncode == 0, f"{command}\n  returned {done.returncode}\n{done.stdout}{done.stderr}")
        shown, _, status = done.stdout.rpartition("\n")
        return int(status or 0), shown

    def keep_body(self, command):
        """detection.json is what the first example sends, as the shell makes it."""
        shell = 'curl() { printf %s "${@: -1}" >detection.json; }; ' + command
        subprocess.run(["bash", "-euc", shell], cwd=self.folder, env=dict(os.environ, S=""),
                       timeout=LINE_LIMIT_S, check=True)

    # --- What has to have happened before a section ------------------------------------------

    def everything_is_handed_on(self):
        wait_for(lambda: self.node.spool_messages() == 0, PATIENCE_S, "the messages to be handed on")
        links = "curl -s $S/api/communication/links"
        wait_for(lambda: json.loads(self.type(links, "anna")[1])["links"][0]["recent_share"], PATIENCE_S,
                 "the last minutes to be counted")

    def a_node_has_told(self):
        """As an edge reports (docs/GATEWAY.md)."""
        link = {"link": "uplink", "plugin": "rest", "state": "ready", "ready": True, "breaker": "closed",
                "metered": False, "share": 1, "recent_share": 1, "confirmed": 7, "success_rate": 1,
                "recent_success_rate": 1, "latency_ms": {"p50": 1.2, "p90": 2.5, "p99": 4.1},
                "quality": "excellent", "score": 0.98}
        report = {"type": "health_check", "camera_id": "EDGE1", "checkpoint_id": "EDGE1", "timestamp": AT,
                  "component": "gateway", "status": "healthy",
                  "details": {"interval_s": 60, "links": [link], "switches": [], "files": [],
                              "backlog": {"messages": 0, "bytes": 0, "oldest_s": 0}}}
        self.type(f"curl -s $S/api/health -d {shlex.quote(json.dumps(report))}", "anna")

    def a_file_waits(self):
        path = os.path.join(self.t.folder, "outgoing", "a.jpg")
        with open(path, "wb") as f:
            f.write(bytes(FILE_BYTES))
        self.node.ctl("transfers", "send", path, "--name", FILE_NAME)

    def a_file_is_announced(self):
        """As docs/TRANSFERS.md says."""
        payload = claimed_blocks(__file__, [TRANSFERS])[0].text
        message = {"message_id": json.loads(payload)["transfer_id"], "timestamp": AT, "protocol": "rest",
                   "edge_device_id": "CAM001", "data_type": "control", "payload": payload, "metadata": {}}
        self.type(f"curl -s $S/api/lpr/data -d {shlex.quote(json.dumps(message))}", "anna")

    def a_link_is_down(self):
        """It is noticed when something is to be sent."""
        self.hub.stop()
        report = {"type": "health_check", "camera_id": "CAM001", "checkpoint_id": "CP01", "timestamp": AT,
                  "component": "disk", "status": "PASS"}
        self.type(f"curl -s $S/api/health -d {shlex.quote(json.dumps(report))}", "anna")
        wait_for(lambda: json.loads(self.type("curl -s $S/api/alerts", "anna")[1])["alerts"], PATIENCE_S,
                 "an alert")


BEFORE = {"GET /api/communication/links": Site.everything_is_handed_on,
          "GET /api/communication/nodes?limit=50&cursor=": Site.a_node_has_told,
          "GET /api/transfers?limit=50&cursor=": Site.a_file_waits,
          "GET /api/file_transfers": Site.a_file_is_announced,
          "GET /api/alerts": Site.a_link_is_down}


def try_example(site, likeness, block, command, told):
    who = "nobody" if "cookies" in command else "anna"
    status, shown = site.type(likeness.translate(command), who)
    where = f"{block.path}:{block.line}: {command}"
    if told is None:
        expect(status in (0, 200), f"{where}\n  {status} {shown}")
        return
    real = json.loads(shown)
    expect((status < 400) == told["success"], f"{where}\n  {status} {shown}")
    differences = likeness.differences(told, real)
    expect(not differences, "\n  ".join([where, *differences, shown]))


def run(t):
    site = Site(t)
    site.start()
    likeness = Likeness(MEASURED)
    count = 0
    for block in claimed_blocks(__file__, [DOCUMENT]):
        BEFORE.get(block.heading, lambda _site: None)(site)
        for command, told in read_examples(block.text):
            if count == 0:
                site.keep_body(command)
            try_example(site, likeness, block, command, told)
            count += 1
    expect(site.node.stop() == 0, f"the node did not stop in order\n{site.node.tail()}")
    say(f"{count} examples, {len(likeness.ids)} ids")
    t.figure(examples=count)


if __name__ == "__main__":
    main(run)
