#!/usr/bin/env python3
"""Fault 4 on whole nodes: the files of a stopped node are flipped, truncated, zeroed, deleted or
come from a newer version. It starts in time, says what it lost, loses only what was hit, and takes
new messages.
"""

import json
import os
import re
import shutil
import sqlite3
import subprocess

import common_path  # noqa: F401
from harness import Failure, main, say, wait_for

MESSAGES = 400
READY_S = 10


FLIPS = 3


def flip(t, path):
    with open(path, "r+b") as f:
        size = os.path.getsize(path)
        for _ in range(FLIPS):
            # Not in the first page: that case is `header`.
            at = t.random.randrange(min(4096, size - 1), size)
            f.seek(at)
            old = f.read(1)[0]
            f.seek(at)
            f.write(bytes([old ^ (1 << t.random.randrange(8))]))


def header(t, path):
    with open(path, "r+b") as f:
        f.write(t.random.randbytes(100))


def zero_page(t, path):
    pages = os.path.getsize(path) // 4096
    with open(path, "r+b") as f:
        f.seek(4096 * t.random.randrange(1, max(2, pages)))
        f.write(bytes(4096))


def truncate(t, path):
    size = os.path.getsize(path)
    os.truncate(path, t.random.randrange(size // 4, size))


def empty(_t, path):
    os.truncate(path, 0)


def garbage(t, path):
    with open(path, "wb") as f:
        f.write(t.random.randbytes(20000))


def delete(_t, path):
    os.unlink(path)


KINDS = [flip, header, zero_page, truncate, empty, garbage, delete]


# A wound of a few bytes may cost the messages of the pages it hit, and no more.
SMALL_WOUNDS = {"flip": 40, "zero_page": 20}
# SQLite has no checksums: a bit that flips inside a text of the store is that text from then on. The
# spool has its own, and lets nothing of the kind through.
STORE_ALTERED = {"flip": FLIPS}
# Nothing of the file is left, so nothing can be counted; that it was so must be said.
WHOLE_FILE = {"empty", "garbage", "delete"}


def log_of(node):
    with open(node.log_path, errors="replace") as f:
        return f.read()


def spool_info(node):
    done = subprocess.run([ctl(node), "-s", node.control[len("unix:"):], "-j", "spool", "info"],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"viaductctl spool info: {done.stderr}")
    info = json.loads(done.stdout)
    return info.get("spool", info)


def said_lost(node):
    """What the node itself counts as lost or has put aside as unreadable."""
    counted = sum(int(n) for n in re.findall(r"\blost\W{1,3}(\d+)", log_of(node)))
    return counted + int(spool_info(node).get("rejected", 0))


def ctl(node):
    return node.trial.build.program("viaductctl")


def fill(t, node, messages, picture=None):
    loads = [t.http_load(node.http_port, connections=4, messages=messages, seconds=30),
             t.grpc_load(node, messages=messages, frame=16, seconds=30)]
    if picture:
        loads.append(t.http_load(node.http_port, connections=2, messages=10, image=picture,
                                 seconds=30))
    for load in loads:
        result = load.result()
        if result["accepted"] != result["made"]:
            raise Failure(f"{load.name}: {result}")


def spool_round(t, name, wound, file, kill):
    """The edge's spool is hurt while the server is away."""
    server = t.server(name=f"server-{name}")
    edge = t.edge(server.http_port, name=f"edge-{name}")
    edge.start()
    fill(t, edge, MESSAGES)
    if kill:
        edge.kill()
    else:
        edge.stop()
    path = os.path.join(edge.data_dir, file)
    if not os.path.exists(path):
        return None
    owed = len(t.obligations())
    wound(t, path)
    ready = edge.start(ready_limit=READY_S)
    server.start()
    # A new message is the proof that it goes on; how many come through is counted by the ledger.
    t.mark("damage-done")
    fill(t, edge, 20)
    wait_for(lambda: int(spool_info(edge).get("messages", 0)) == 0, 60, "the spool to drain", 0.1)
    said = said_lost(edge)
    kind = wound.__name__
    # The end of a log that is gone looks as if it had never been written: SQLite cannot tell.
    blind = kind in WHOLE_FILE or file.endswith("-wal")
    allowed = owed if blind else said
    t.read_rest(server)
    edge.stop()
    server.stop()
    t.read_store(server)
    t.judge(max_lost=allowed, fresh_mark="damage-done")
    really = t.figures["ledger"]["sqlite"]["lost"]
    if really and not blind and not re.search("damage", log_of(edge)):
        raise Failure(f"{name}: lost {really} without a word\n{edge.tail()}")
    if really > SMALL_WOUNDS.get(kind, owed):
        raise Failure(f"{name}: lost {really} of {owed} by so small a wound\n{edge.tail()}")
    return {"owed": owed, "lost": really, "said": said, "ready_ms": round(ready)}


def store_round(t, name, wound, kill):
    """The server's database is hurt; what is salvaged stays, and sending again repairs the rest."""
    server = t.server(name=f"server-{name}")
    server.start()
    picture = t.picture("DM1", 8000, 240, 136)
    fill(t, server, MESSAGES, picture)
    if kill:
        server.kill()
    else:
        server.stop()
    owed = len(t.obligations())
    kind = wound.__name__
    wound(t, server.store_path)
    ready = server.start(ready_limit=READY_S)
    t.mark("damage-done")
    fill(t, server, 20, picture)
    t.read_rest(server)
    server.stop()
    t.read_store(server)
    t.judge(max_lost=owed, fresh_mark="damage-done", max_altered=STORE_ALTERED.get(kind, 0))
    seen = t.figures["ledger"]["sqlite"]
    # A row whose own name was hit is missing under the one and unknown under the other.
    really = max(0, seen["lost"] - seen["unknown"])
    # An empty file is what SQLite calls a new one: like a missing one, it cannot tell.
    silent = kind in ("delete", "empty")
    if really and not silent and not re.search(r"damage|set aside|corrupt", log_of(server)):
        raise Failure(f"{name}: lost {really} without a word\n{server.tail()}")
    if really > SMALL_WOUNDS.get(kind, owed):
        raise Failure(f"{name}: lost {really} of {owed} by so small a wound\n{server.tail()}")
    return {"owed": owed, "lost": really, "ready_ms": round(ready)}


def newer_version(t, name, which):
    """A file of a newer program is refused with a clear word and left as it is."""
    server = t.server(name=f"server-{name}")
    edge = t.edge(server.http_port, name=f"edge-{name}")
    node = edge if which == "edge" else server
    path = os.path.join(node.data_dir, "spool.db" if which == "edge" else "store.db")
    node.start()
    fill(t, node, 10)
    node.stop()
    db = sqlite3.connect(path)
    if which == "server":
        db.execute("INSERT INTO schema_version VALUES (9999, 0)")
    else:
        make_newer_spool(db)
    db.commit()
    db.close()
    shutil.copy(path, path + ".before")
    node.start(wait=False)
    status = node.wait_exit(READY_S)
    words = node.tail()
    if status in (0, -9, -11, -6) or not re.search(r"newer|version", words):
        raise Failure(f"{name}: a file of a newer version ended with {status}\n{words}")
    with open(path, "rb") as a, open(path + ".before", "rb") as b:
        if a.read() != b.read():
            raise Failure(f"{name}: the file of a newer version was changed")
    return {"exit": status}


def make_newer_spool(db):
    """The format is written twice: a single damaged byte must not make a file look newer."""
    number = db.execute("PRAGMA application_id").fetchone()[0]
    db.execute(f"PRAGMA application_id = {number & ~0xff | 99}")
    db.execute("PRAGMA user_version = 99")


def forget(t):
    t.figures.pop("ledger", None)
    t.nodes.clear()
    t.logs.clear()


def run(t):
    rounds = {}
    repeats = 10 if t.long else 1
    plans = []
    for repeat in range(repeats):
        for wound in KINDS:
            kill = t.random.random() < 0.5
            plans.append((f"spool-{wound.__name__}{repeat}",
                          lambda n, w=wound, k=kill: spool_round(t, n, w, "spool.db", k)))
            plans.append((f"store-{wound.__name__}{repeat}",
                          lambda n, w=wound, k=kill: store_round(t, n, w, k)))
        for file in ("spool.db-wal", "spool.db-shm"):
            for wound in (truncate, garbage, delete):
                plans.append((f"{file}-{wound.__name__}{repeat}",
                              lambda n, w=wound, f=file: spool_round(t, n, w, f, True)))
    plans.append(("newer-edge", lambda n: newer_version(t, n, "edge")))
    plans.append(("newer-server", lambda n: newer_version(t, n, "server")))
    for name, plan in plans:
        rounds[name] = plan(name)
        say(f"{name}: {rounds[name]}")
        for node in t.nodes:
            if node.alive():
                node.kill()
        forget(t)
    t.figure(rounds=rounds)


main(run, limit=900)
