#!/usr/bin/env python3
"""Runs every example line of docs/CONTROL.md against a real node, through viaductctl and through
buf curl, which finds the services by reflection; and shows that no method is left out. Then what
docs/TROUBLESHOOTING.md tells people to type.
"""

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import threading

import common_path  # noqa: F401
from documents import read_document, shell_lines
from harness import CannotRun, Failure, free_port, main, say

LINE_LIMIT_S = 60
# What the server itself adds beside the documented services.
OWN_SERVICES = {"grpc.channelz.v1.Channelz", "grpc.reflection.v1alpha.ServerReflection"}


def read_examples():
    """(call function, [(heading, [lines])])."""
    text = read_document("docs/CONTROL.md")
    call = re.search(r"^call\(\) .*$", text, re.MULTILINE).group(0)
    sections = []
    for part in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        heading = part.split("\n", 1)[0].strip()
        sections.append((heading, shell_lines(part)))
    return call, sections


class Runner:
    def __init__(self, t, node, call):
        self.t = t
        self.folder = t.folder
        self.call = call
        self.env = dict(os.environ, VIADUCT_SOCKET=node.control[len("unix:"):])
        self.env["PATH"] = os.path.dirname(t.build.program("viaductctl")) + ":" + self.env["PATH"]

    def run(self, line):
        line = line.replace("/usr/lib/viaduct/plugins", self.t.build.plugins)
        return subprocess.run(["bash", "-c", f"{self.call}\n{line}"], cwd=self.folder, env=self.env,
                              capture_output=True, text=True, timeout=LINE_LIMIT_S, check=False)

    def watch(self, line):
        """A line that would be left by timeout(1) is left as soon as it has shown something."""
        command = re.sub(r"^timeout \d+ ", "", line)
        process = subprocess.Popen(["bash", "-c", command], cwd=self.folder, env=self.env,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   start_new_session=True)
        limit = threading.Timer(LINE_LIMIT_S, os.killpg, (process.pid, signal.SIGKILL))
        limit.start()
        shown = process.stdout.readline()
        limit.cancel()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        errors = process.communicate()[1]
        if not shown.strip():
            raise Failure(f"{line}\n  showed nothing\n{errors}")

    def check(self, line):
        if line.startswith("timeout "):
            self.watch(line)
            return
        expected = {0}
        wanted = re.search(r"# exit (\d+)$", line)
        if wanted:
            expected = {int(wanted.group(1))}
        done = self.run(line)
        good = done.returncode != 0 if line.endswith("# fails") else done.returncode in expected
        if not good:
            raise Failure(f"{line}\n  returned {done.returncode}\n{done.stdout}{done.stderr}")


def write_inputs(folder, config):
    with open(os.path.join(folder, "edge.yaml"), "w") as f:
        json.dump(config, f, indent=1)
    with open(os.path.join(folder, "apply.json"), "w") as f:
        json.dump({"yaml": json.dumps(config)}, f)
    payload = {"type": "detection_result", "camera_id": "CAM001", "checkpoint_id": "CP1",
               "timestamp": "2024-01-15T10:30:00.000Z"}
    with open(os.path.join(folder, "detection.json"), "w") as f:
        json.dump(payload, f)
    with open(os.path.join(folder, "detections.jsonl"), "w") as f:
        for number in range(1000):
            f.write(json.dumps({**payload, "vehicles_count": number}) + "\n")
    with open(os.path.join(folder, "picture.jpg"), "wb") as f:
        f.write(bytes(range(256)) * 500)
    with open(os.path.join(folder, "file.json"), "w") as f:
        for part in ({"file": {"name": "notes/a.txt"}}, {"data": "aGVsbG8="}, {"end": {"size": 5}}):
            f.write(json.dumps(part) + "\n")
    with open(os.path.join(folder, "plate.jpg"), "rb") as f:
        picture = base64.b64encode(f.read()).decode()
    with open(os.path.join(folder, "infer.json"), "w") as f:
        json.dump({"picture": {"data": picture}, "omit_crops": True}, f)
    user = {"kind": "PRINCIPAL_KIND_USER", "id": "bert", "role": "ROLE_VIEWER"}
    for name, content in (("user.json", {"user": {"principal": user}, "password": "an old phrase"}),
                          ("password.json", {"name": "bert", "password": "another phrase"})):
        with open(os.path.join(folder, name), "w") as f:
            json.dump(content, f)
    with open(os.path.join(folder, "password.txt"), "w",
              opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
        f.write("a new pass phrase\n")
    envelope = {"data_type": "DATA_TYPE_DETECTION", "payload_json": json.dumps(payload)}
    with open(os.path.join(folder, "frame.json"), "w") as f:
        json.dump({"envelopes": [envelope, envelope]}, f)


def methods_by_reflection(runner):
    curl = ('buf curl --unix-socket "$VIADUCT_SOCKET" --http2-prior-knowledge --protocol grpc '
            "--list-methods http://node")
    done = runner.run(curl)
    if done.returncode != 0:
        raise Failure(f"buf curl --list-methods: {done.stderr}")
    methods = [line.strip() for line in done.stdout.splitlines() if "/" in line]
    return {m for m in methods if m.split("/")[0] not in OWN_SERVICES}


def short_name(method):
    service, name = method.split("/")
    return service.rsplit(".", 1)[1] + "." + name


def check_channelz(runner):
    done = runner.run('buf curl --unix-socket "$VIADUCT_SOCKET" --http2-prior-knowledge '
                      "--protocol grpc -d '{}' http://node/grpc.channelz.v1.Channelz/GetServers")
    if done.returncode != 0 or "server" not in done.stdout:
        raise Failure(f"channelz: {done.stdout}{done.stderr}")


def run(t):
    if subprocess.run(["bash", "-c", "command -v buf"], capture_output=True,
                      check=False).returncode != 0:
        raise CannotRun("buf is not installed: ./dev test installs it from npm")
    call, sections = read_examples()
    edge = t.edge(free_port())  # Nobody answers there: the messages stay in the spool.
    edge.config["auth"] = {}  # Who runs the examples is who may do everything at the socket.
    # What looks at pictures in the examples.
    edge.config["plugins"]["path"].append(os.path.join(t.build.folder, "tests", "plugins"))
    edge.config["instances"].append(
        {"name": "plates", "plugin": "framebox", "config": {"role": "infer"}})
    edge.write_config()
    edge.start()
    shutil.copy(t.picture(size=20000, width=320, height=240), os.path.join(t.folder, "plate.jpg"))
    runner = Runner(t, edge, call)
    write_inputs(t.folder, edge.config)

    methods = methods_by_reflection(runner)
    missing = {short_name(m) for m in methods} ^ {heading for heading, _ in sections}
    if missing:
        raise Failure(f"docs/CONTROL.md and the node disagree about {sorted(missing)}")
    check_channelz(runner)
    last = []
    count = 0
    for heading, lines in sections:
        if not any("viaductctl " in line for line in lines):
            raise Failure(f"{heading}: no line for viaductctl")
        if not any(line.startswith(("call ", "buf ", "timeout 2 buf ")) for line in lines):
            raise Failure(f"{heading}: no line for buf curl")
        if heading == "Node.Drain":
            last = lines  # A drained node answers, but takes no messages any more.
            continue
        for line in lines:
            runner.check(line)
            count += 1
    for line in [*shell_lines(read_document("docs/TROUBLESHOOTING.md")), *last]:
        runner.check(line)
        count += 1
    if edge.stop() != 0:
        raise Failure(f"the node did not stop in order\n{edge.tail()}")
    say(f"{count} lines for {len(methods)} methods of {len({m.split('/')[0] for m in methods})} services")
    t.figures["lines"] = count
    t.figures["methods"] = len(methods)


if __name__ == "__main__":
    main(run, limit=280)
