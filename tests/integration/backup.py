#!/usr/bin/env python3
"""The restore drill: a node under load is backed up, killed and made again elsewhere from its
backup, and has every row and image that was committed before the backup began, by digest.

An edge keeps what waits; killed in the middle of a backup a node leaves none that is called good;
a flipped bit in any file is found; secrets are there with their key and else nowhere; a full disk
is an error that hurts nobody. With --store postgresql the store is dumped and loaded again.
"""

import json
import os
import shutil
import subprocess

import common_path  # noqa: F401
from harness import Failure, main, say, wait_for
from private_mounts import enter_namespace

SMALL_DISK = "2m"
CRASH_POINTS = ("backup.database.after", "backup.manifest.before", "backup.manifest.after")


def expect(condition, what):
    if not condition:
        raise Failure(what)


def ctl(t, node, *words):
    socket = () if node is None else ("-s", node.control[len("unix:"):])
    return subprocess.run([t.build.program("viaductctl"), *socket, *words], capture_output=True,
                          text=True, check=False)


def good(done, what):
    expect(done.returncode == 0, f"{what}: {done.returncode} {done.stdout}{done.stderr}")
    return done.stdout


def create(t, node):
    lines = good(ctl(t, node, "-j", "backup", "create"), "create").splitlines()
    return json.loads(lines[-1])["made"]


def verify(t, folder):
    return ctl(t, None, "backup", "verify", folder).returncode


def read_ledger(paths, word):
    found = {}
    for path in paths:
        if os.path.exists(path):
            with open(path) as f:
                for line in f:
                    fields = line.split()
                    if fields[0] == word:
                        found.setdefault(fields[-2], []).append(fields[-1])
    return found


def accepted(t):
    """As of now: the generator is writing, and its last line may not be whole."""
    ids = set()
    for path in t.logs:
        if os.path.exists(path):
            with open(path) as f:
                lines = f.read().split("\n")[:-1]
            ids.update(line[9:] for line in lines if line.startswith("accepted "))
    return ids


def stored(t, database, images):
    """Digests of the rows of a store, with their images, by id."""
    out = os.path.join(t.folder, "restored.ledger")
    good(subprocess.run([t.build.program("ledger"), "read", "--db", database, "--images", images,
                         "--source", "sqlite", "--out", out],
                        capture_output=True, text=True, check=False), "ledger read")
    with open(out) as f:
        lines = [line.split() for line in f]
    os.unlink(out)
    found = {}
    for fields in lines:
        if fields[1] == "sqlite":
            found.setdefault(fields[2], []).append(fields[3])
    return found


def equal_by_digest(t, owed, found):
    """What was accepted before is there once, and nothing is there that nobody sent so."""
    sent = read_ledger(t.logs, "claimed")
    missing = [one for one in owed if one not in found]
    expect(not missing, f"{len(missing)} of {len(owed)} are not in what was restored: {missing[:3]}")
    for one, digests in found.items():
        expect(len(digests) == 1, f"{one} is there {len(digests)} times")
        expect(digests[0] in sent.get(one, []), f"{one} is another one than was sent")


def restored_node(t, server, folder, made):
    """Made again in another folder, with another database where it is one."""
    backup = os.path.join(server.config["backup"]["path"], made["name"])
    data = os.path.join(folder, "data")
    words = ["backup", "restore", backup, "--data-dir", data]
    database = None
    if t.store == "postgresql":
        refused = ctl(t, None, *words)
        expect(refused.returncode == 6, f"without a database: {refused.returncode}")
        database = t.postgres().new_database()
        words += ["--database", t.postgres().url(database)]
    os.makedirs(folder, exist_ok=True)
    good(ctl(t, None, *words), "restore")
    expect(ctl(t, None, *words).returncode != 0, "restored over what is there")
    return t.server(name=os.path.basename(folder), folder=folder, database=database)


def rows_of(t, node):
    images = os.path.join(node.data_dir, "images")
    if t.store != "postgresql":
        return stored(t, node.store_path, images)
    file = os.path.join(t.folder, "export.db")
    if os.path.exists(file):
        os.unlink(file)
    t.postgres().export(node.database, file)
    return stored(t, file, images)


def drill(t, picture):
    path = os.path.join(t.folder, "backups")
    server = t.server(backup={"path": path, "rate": "0", "min_free_bytes": 0})
    server.start()
    load = t.http_load(server.http_port, connections=4, seconds=120, rate=60, image=picture)
    wait_for(lambda: len(accepted(t)) > 50, 60, "messages before the first backup")
    create(t, server)
    before = len(accepted(t))
    wait_for(lambda: len(accepted(t)) > before + 100, 60, "messages between the backups")
    owed = accepted(t)
    made = create(t, server)
    expect(int(made["shared_files"]) > 0, f"nothing is shared with the backup before: {made}")
    server.kill()
    load.process.terminate()
    load.process.wait()
    listed = json.loads(good(ctl(t, None, "-j", "backup", "list", "--dir", path), "list"))
    expect(len(listed["backups"]) == 2, f"listed: {listed}")
    for one in listed["backups"]:
        expect(verify(t, os.path.join(path, one["name"])) == 0, f"{one['name']} is not good")
    again = restored_node(t, server, os.path.join(t.folder, "again"), made)
    rows = rows_of(t, again)
    equal_by_digest(t, owed, rows)
    again.start()
    expect(again.total_detections() == len(rows), "the node that was made again counts otherwise")
    again.stop()
    flipped_bits(t, os.path.join(path, made["name"]))
    say(f"{len(owed)} messages were owed, {len(rows)} are there, {made['files']} files, "
        f"{made['shared_files']} shared")
    t.figure(owed=len(owed), restored=len(rows), files=int(made["files"]))


def flipped_bits(t, backup):
    """One file of each kind; the links to the node's own images are cut first."""
    copy = backup + "-copy"
    shutil.copytree(backup, copy)
    files = []
    for folder, _, names in os.walk(copy):
        files += [os.path.join(folder, name) for name in sorted(names)[:2]]
    for file in files:
        if os.path.getsize(file) == 0:
            continue
        with open(file, "r+b") as f:
            f.seek(os.path.getsize(file) // 2)
            was = f.read(1)
            f.seek(-1, os.SEEK_CUR)
            f.write(bytes([was[0] ^ 1]))
            f.flush()
            changed = verify(t, copy)
            f.seek(-1, os.SEEK_CUR)
            f.write(was)
        expect(changed != 0, f"a flipped bit in {file} is not found")
    expect(verify(t, copy) == 0, "the copy is not good any more")
    shutil.rmtree(copy)


def edge_keeps_what_waits(t):
    """What was accepted and is not confirmed comes out of the backup."""
    server = t.server(name="sink")
    edge = t.edge(server.http_port, backup={"path": "backups", "rate": "0", "min_free_bytes": 0})
    edge.start()
    load = t.http_load(edge.http_port, connections=2, messages=200, seconds=60)
    expect(load.result()["accepted"] == 200, "the edge did not take all")
    made = create(t, edge)
    edge.kill()
    kept = os.path.join(t.folder, "kept")
    shutil.move(os.path.join(edge.data_dir, "backups"), kept)
    shutil.rmtree(edge.data_dir)
    good(ctl(t, None, "backup", "restore", os.path.join(kept, made["name"]), "--data-dir",
             edge.data_dir), "restore of the edge")
    server.start()
    edge.start()
    wait_for(lambda: server.total_detections() == 200, 60, "what waited in the backup")
    wait_for(lambda: edge.spool_messages() == 0, 30, "an empty spool")
    edge.stop()
    server.stop()


def killed_in_between(t, picture):
    path = os.path.join(t.folder, "killed-backups")
    server = t.server(name="killed", backup={"path": path, "rate": "0", "min_free_bytes": 0})
    for point in CRASH_POINTS:
        server.start(env={"VIADUCT_CRASH_AT": point})
        load = t.http_load(server.http_port, connections=1, messages=5, seconds=20, image=picture)
        load.result()
        done = ctl(t, server, "backup", "create")
        expect(done.returncode != 0, f"{point}: the node was not killed")
        server.wait_exit(30)
        for name in os.listdir(path):
            if name != ".lock":
                expect(verify(t, os.path.join(path, name)) != 0, f"{point}: {name} is called good")
    server.start()
    made = create(t, server)
    left = [name for name in os.listdir(path) if name.endswith(".unfinished")]
    expect(not left, f"left behind: {left}")
    expect(verify(t, os.path.join(path, made["name"])) == 0, "not good after the kills")
    server.stop()


def secrets(t):
    keys = os.path.join(t.folder, "backup.keys")
    with open(os.open(keys, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
        f.write("b1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")
    path = os.path.join(t.folder, "sealed-backups")
    backup = {"path": path, "keys": keys, "min_free_bytes": 0}
    server = t.server(name="guarded", backup=backup, auth={"mode": "required"})
    server.start()
    good(ctl(t, server, "auth", "key", "create", "--device", "CAM001", "--out",
             os.path.join(t.folder, "cam001.key")), "a key")
    listed = [key["key_id"] for key in server.ctl("auth", "key", "list")["keys"]]
    made = create(t, server)
    server.stop()
    with open(os.path.join(server.data_dir, "auth", "api_keys.secret"), "rb") as f:
        secret = f.read().strip()
    folder = os.path.join(path, made["name"])
    for where, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(where, name), "rb") as f:
                expect(secret not in f.read(), f"{name} holds the secret in the open")
    data = os.path.join(t.folder, "unsealed", "data")
    os.makedirs(os.path.dirname(data))
    good(ctl(t, None, "backup", "restore", folder, "--data-dir", data, "--keys", keys), "restore")
    again = t.server(name="unsealed", auth={"mode": "required"})
    again.start()
    found = [key["key_id"] for key in again.ctl("auth", "key", "list")["keys"]]
    expect(found == listed and len(found) == 1, f"the keys are others: {listed}, {found}")
    again.stop()


def full_disk(t, picture):
    small = os.path.join(t.folder, "small")
    os.makedirs(small)
    good(subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK},mode=700", "tmpfs", small],
                        capture_output=True, text=True, check=False), "mount")
    t.cleanups.append(lambda: subprocess.run(["umount", "-l", small], check=False))
    path = os.path.join(small, "backups")
    server = t.server(name="full", backup={"path": path, "rate": "0", "min_free_bytes": 0})
    server.start()
    load = t.http_load(server.http_port, connections=2, messages=40, seconds=30, image=picture)
    expect(load.result()["accepted"] == 40, "not all were accepted")
    done = ctl(t, server, "backup", "create")
    expect(done.returncode == 1 and "No space left" in done.stderr,
           f"a full disk: {done.returncode} {done.stdout}{done.stderr}")
    expect(os.listdir(path) == [".lock"], f"left on the full disk: {os.listdir(path)}")
    load = t.http_load(server.http_port, connections=2, messages=10, seconds=30)
    expect(load.result()["accepted"] == 10, "the node takes nothing after the full disk")
    server.stop()


def by_itself(t):
    path = os.path.join(t.folder, "scheduled-backups")
    server = t.server(name="scheduled",
                      backup={"path": path, "every": "1m", "keep": 2, "min_free_bytes": 0})
    server.start()
    for _ in range(2):
        create(t, server)
    names = [one["name"] for one in server.ctl("backup", "list")["backups"]]
    removed = server.ctl("backup", "prune", "--keep", "1", "--dry-run")["removed"]
    expect(removed == names[:1], f"would remove {removed} of {names}")
    removed = server.ctl("backup", "prune", "--keep", "1")["removed"]
    expect(removed == names[:1], f"removed {removed} of {names}")
    server.stop()


def run(t):
    picture = t.picture(size=60000)
    drill(t, picture)
    if t.store == "postgresql":
        return
    edge_keeps_what_waits(t)
    killed_in_between(t, picture)
    secrets(t)
    full_disk(t, picture)
    by_itself(t)


if __name__ == "__main__":
    enter_namespace()
    main(run, limit=400)
