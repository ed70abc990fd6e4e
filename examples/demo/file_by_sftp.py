"""The demo's file: it travels over SFTP, and the edge is killed half-way. Needs openssh-server."""

import hashlib
import json
import os

from harness import Failure, wait_for
from processes import CannotRun
from ssh_server import SshServer

NAME = "video.bin"
SIZE = 48 << 20
RATE = "32MiB"  # A second, of which an ordinary file gets three quarters.
KILL_AFTER = 12 << 20
PATIENCE_S = 60


def prepare(demo):
    """The server that takes files, and what the edge's configuration has to say of it; None and
    nothing on a machine without one."""
    try:
        sshd = SshServer(demo).start()
    except CannotRun:
        return None, ""
    instance = {"name": "files", "plugin": "sftp", "config": sshd.client_config()}
    return sshd, (f"  - {json.dumps(instance)}\n"
                  f"transfers: {{bandwidth: {RATE}, "
                  "retry: {initial_delay: 100ms, max_delay: 1s}}\n")


def _transfer(edge):
    return edge.ctl("transfers", "list")["transfers"][0]


def _sent(edge, what):
    return int(_transfer(edge).get(what, 0))


def show(demo, edge, sshd):
    demo.step(f"4  A file of {SIZE >> 20} MiB goes to the server by SFTP")
    data = os.urandom(SIZE)
    path = os.path.join(edge.data_dir, "transfers", "outgoing", NAME)
    with open(path, "wb") as f:
        f.write(data)
    edge.ctl("transfers", "send", path, "--name", NAME)
    demo.done("the edge has it in its queue of files, with its digest")
    wait_for(lambda: _sent(edge, "durable") >= KILL_AFTER, PATIENCE_S, "a part of the file")
    edge.kill()
    demo.done("edge killed with -9 in the middle of it")
    edge.start()
    wait_for(lambda: _sent(edge, "durable") > 0, PATIENCE_S, "the file to go on", interval=0)
    known = _sent(edge, "durable")
    if known < KILL_AFTER:
        raise Failure(f"the edge began anew, {known} octets are safe")
    demo.done(f"edge started again, goes on behind the {known >> 20} MiB that are safe there")
    wait_for(lambda: "DONE" in _transfer(edge).get("state", ""), PATIENCE_S, "the file to arrive")
    arrived = os.path.join(sshd.incoming, "CAM001", NAME)
    with open(arrived, "rb") as f:
        if hashlib.sha256(f.read()).digest() != hashlib.sha256(data).digest():
            raise Failure(f"{arrived}: another digest")
    if os.listdir(os.path.dirname(arrived)) != [NAME]:
        raise Failure(f"beside it: {os.listdir(os.path.dirname(arrived))}")
    demo.done("it is there under its name, with its SHA-256, and nothing beside it")
