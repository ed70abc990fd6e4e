#!/usr/bin/env python3
"""Runs every command of docs/OPERATIONS.md against a real node, and shows that its log rotates by
itself, is opened anew at SIGHUP, and loses no line.
"""

import os
import re
import shutil
import signal
import subprocess

import common_path  # noqa: F401
from documents import read_document, shell_lines
from harness import Failure, main, wait_for

LINE_LIMIT_S = 60


def expect(condition, what):
    if not condition:
        raise Failure(what)


def damaged_spool(t, edge):
    """As a disk would leave it: one page in the middle is noise."""
    folder = os.path.join(t.folder, "work", "broken")
    os.makedirs(folder)
    path = os.path.join(folder, "spool.db")
    shutil.copy(os.path.join(edge.data_dir, "spool.db"), path)
    pages = os.path.getsize(path) // 4096
    expect(pages > 12, f"the spool has {pages} pages only")
    with open(path, "r+b") as f:
        f.seek(pages // 2 * 4096)
        f.write(b"\xff" * 4096)


def documented(t):
    edge = t.edge(1, name="spooled")
    edge.start()
    load = t.http_load(edge.http_port, connections=2, messages=300, seconds=30)
    expect(load.result()["accepted"] == 300, "the edge did not take all")
    edge.stop()
    damaged_spool(t, edge)
    work = os.path.join(t.folder, "work")
    server = t.server(backup={"path": os.path.join(work, "backups"), "min_free_bytes": 0},
                      privacy={"retention": {"detections": "90d"}})
    server.start()
    shutil.copy(server.config_path, os.path.join(work, "node.yaml"))
    env = dict(os.environ, VIADUCT_SOCKET=server.control[len("unix:"):])
    env["PATH"] = os.path.dirname(t.build.program("viaductctl")) + ":" + env["PATH"]
    lines = shell_lines(read_document("docs/OPERATIONS.md"))
    expect(len(lines) > 8, f"only {len(lines)} examples")
    for line in lines:
        wanted = re.search(r"# exit (\d+)$", line)
        done = subprocess.run(["bash", "-c", line], cwd=work, env=env, capture_output=True,
                              text=True, timeout=LINE_LIMIT_S, check=False)
        expect(done.returncode == int(wanted.group(1) if wanted else 0),
               f"{line}\n  returned {done.returncode}\n{done.stdout}{done.stderr}")
    server.stop()


def log_lines(folder):
    lines = []
    for name in os.listdir(folder):
        with open(os.path.join(folder, name)) as f:
            lines += f.read().splitlines()
    return lines


def rotates(t):
    server = t.server(name="logged", log={
        "level": "info", "format": "text",
        "file": {"path": "log/node.log", "max_bytes": "64KiB", "max_files": 3}})
    server.start()
    folder = os.path.join(server.data_dir, "log")
    path = os.path.join(folder, "node.log")
    wait_for(lambda: any("ready" in line for line in log_lines(folder)), 20, "the first lines")
    os.rename(path, path + ".moved")
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: os.path.exists(path), 20, "a new file after SIGHUP")
    with open(path, "a") as f:
        f.write("x" * 70000 + "\n")
    wait_for(lambda: os.path.exists(path + ".1"), 60, "the file to be set aside")
    server.stop()
    expect(any("stopped" in line for line in log_lines(folder)), "the last line is missing")
    with open(server.log_path) as f:
        expect("ready" not in f.read(), "the log is on standard error as well")
    expect(os.stat(path).st_mode & 0o007 == 0, "others may read the log")


def run(t):
    documented(t)
    rotates(t)


if __name__ == "__main__":
    main(run, limit=240)
