"""What the checks of a steered node share: viaductctl beside it, what it shows, running them all."""

import json
import os
import subprocess
import threading

import common_path  # noqa: F401
from harness import Failure, monotonic, say

LIMIT_S = 30


def expect(condition, what):
    if not condition:
        raise Failure(what)


def ctl(t, node, *arguments, limit=LIMIT_S):
    return subprocess.run(
        [t.build.program("viaductctl"), "--socket", node.control[len("unix:"):], *arguments],
        capture_output=True, text=True, timeout=limit, check=False)


def ctl_json(t, node, *arguments):
    done = ctl(t, node, "--json", *arguments)
    expect(done.returncode == 0, f"viaductctl {arguments}: {done.returncode} {done.stderr}")
    return json.loads(done.stdout)


def follow(t, node, *arguments):
    return subprocess.Popen(
        [t.build.program("viaductctl"), "--socket", node.control[len("unix:"):], *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def read_line(process, limit=LIMIT_S):
    timer = threading.Timer(limit, process.kill)
    timer.start()
    try:
        return process.stdout.readline().strip()
    finally:
        timer.cancel()


def component_reasons(t, node):
    """What the parts of the node say of themselves, up to the synced marker of a watch."""
    watch = follow(t, node, "--json", "instances", "watch")
    reasons = []
    while True:
        line = json.loads(read_line(watch) or '{"synced": {}}')
        if "synced" in line:
            break
        reasons.append(line.get("component", {}).get("reason", ""))
    watch.kill()
    return "; ".join(reasons)


def descriptors(node):
    return len(os.listdir(f"/proc/{node.process.pid}/fd"))


def revision(t, node):
    return int(ctl_json(t, node, "node", "info")["node"]["config_revision"])


def host(t, *arguments):
    return subprocess.run([t.build.program("viaduct-host"), *arguments], capture_output=True,
                          text=True, timeout=LIMIT_S, check=False)


def run_checks(t, checks):
    """Each on nodes of its own; all of them, whatever fails."""
    failures = []
    for check in checks:
        begin = monotonic()
        try:
            check(t)
            say(f"ok   {check.__name__} ({monotonic() - begin:.1f} s)")
        except Failure as failure:
            failures.append(f"{check.__name__}: {failure}")
            say(f"FAIL {check.__name__}: {failure}")
            for node in t.nodes:
                if node.alive():
                    node.kill()
    if failures:
        raise Failure(f"{len(failures)} of {len(checks)} checks failed:\n" + "\n".join(failures))
