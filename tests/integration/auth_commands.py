#!/usr/bin/env python3
"""`viaductctl auth` against a real node: the first key of a fresh node, what keys of every kind may do
by REST and by gRPC, rotation, revocation that outlives a kill, users whose passwords are asked for on
a terminal, the audit with and without the node. Each check stands alone on a node of its own.
"""

import json
import os
import pty
import re
import select
import subprocess
import time

import common_path  # noqa: F401
from control_checks import LIMIT_S, ctl, ctl_json, expect, run_checks
from harness import free_port, main
from mqtt_security import Authority

PASSWORD = "correct horse battery"


def guarded(t, name, **changes):
    node = t.server(name)
    node.config["auth"] = {"limits": {"failures": {"per_second": 1000, "burst": 1000}}}
    node.config.update(changes)
    node.write_config()
    node.start()
    return node


def secret_file(t, name, text, mode=0o600):
    path = os.path.join(t.folder, name)
    with open(path, "w", opener=lambda p, f: os.open(p, f, mode)) as f:
        f.write(text + "\n")
    os.chmod(path, mode)
    return path


def make_key(t, node, *words):
    made = ctl_json(t, node, "auth", "key", "create", *words)
    return made["key"], made["record"]["key_id"]


def status(node, key):
    return node.get("/api/records?camera_id=CAM001", headers={"X-API-Key": key}).status


# --- keys ---------------------------------------------------------------------------------------

def a_fresh_node_needs_no_other_first_step(t):
    node = guarded(t, "fresh")
    done = ctl(t, node, "auth", "key", "create", "--device", "CAM001")
    expect(done.returncode == 0 and "vdk_" in done.stdout, f"the first key: {done}")
    key = next(line for line in done.stdout.splitlines() if line.startswith("vdk_"))
    expect(node.get("/api/records").status == 401, "without a key")
    expect(status(node, key) == 200, "with the key")
    listed = ctl_json(t, node, "auth", "key", "list")["keys"]
    expect(len(listed) == 1 and listed[0].get("last_used_at"), f"listed: {listed}")
    expect(key not in json.dumps(listed), "a key is shown twice")
    who = ctl_json(t, node, "auth", "whoami")
    expect(who["enforced"] and who["principal"]["role"] == "ROLE_ADMIN", f"whoami: {who}")
    node.stop()


def a_key_may_what_its_role_may(t):
    node = guarded(t, "roles")
    viewer, _ = make_key(t, node, "--user", "anna", "--role", "viewer")
    device, _ = make_key(t, node, "--device", "CAM001")
    wrong = viewer[:-1] + ("b" if viewer[-1] == "a" else "a")
    narrow, _ = make_key(t, node, "--tool", "backup", "--role", "admin", "--scope", "ingest")
    for name, key, words, code in (
            ("viewer", viewer, ("node", "info"), 0), ("viewer", viewer, ("auth", "key", "list"), 8),
            ("viewer", viewer, ("instances", "stop", "http"), 8),
            ("device", device, ("node", "info"), 8), ("narrow", narrow, ("node", "info"), 8),
            ("no", wrong, ("node", "info"), 8), ("device", device, ("auth", "whoami"), 0)):
        path = secret_file(t, f"{name}.key", key)
        done = ctl(t, node, "--key-file", path, *words)
        expect(done.returncode == code, f"{name} {words}: {done}")
        done = subprocess.run(
            [t.build.program("viaductctl"), "-s", node.control[len("unix:"):], *words],
            env=dict(os.environ, VIADUCT_API_KEY_FILE=path), capture_output=True, text=True,
            check=False)
        expect(done.returncode == code, f"{name} {words} by the environment: {done}")
    open_to_all = secret_file(t, "open.key", viewer, 0o644)
    done = ctl(t, node, "--key-file", open_to_all, "node", "info")
    expect(done.returncode == 2 and "0600" in done.stderr, f"a key that others may read: {done}")
    node.stop()


def keys_are_rotated_and_revoked(t):
    node = guarded(t, "rotate")
    old, key_id = make_key(t, node, "--device", "CAM001", "--days", "30")
    path = os.path.join(t.folder, "new.key")
    done = ctl(t, node, "auth", "key", "rotate", key_id, "--overlap", "3s", "--out", path)
    expect(done.returncode == 0 and "vdk_" not in done.stdout, f"rotate: {done}")
    expect(os.stat(path).st_mode & 0o777 == 0o600, "the file of a key is open to others")
    with open(path) as f:
        new = f.read().strip()
    expect(status(node, new) == 200, "the new key")
    again = ctl(t, node, "auth", "key", "rotate", key_id, "--out", path)
    expect(again.returncode == 5, f"over a file that is there: {again}")
    end = time.monotonic() + LIMIT_S
    while status(node, old) == 200:
        expect(time.monotonic() < end, "the old key holds after the overlap")
        time.sleep(0.1)
    new_id = [key["key_id"] for key in ctl_json(t, node, "auth", "key", "list")["keys"]
              if key.get("replaces") == key_id][0]
    expect(ctl(t, node, "auth", "key", "revoke", new_id).returncode == 0, "revoke")
    expect(status(node, new) == 401, "a revoked key holds")
    node.kill()
    node.start()
    expect(status(node, new) == 401, "a revoked key holds after kill -9")
    expect(ctl(t, node, "auth", "key", "revoke", "nothing").returncode == 4, "no such key")
    expect(ctl(t, node, "auth", "key", "revoke", new_id, "--forget").returncode == 0, "forget")
    expect(len(ctl_json(t, node, "auth", "key", "list")["keys"]) == 1, "a forgotten key is listed")
    for words in ((), ("--user", "anna"), ("--device", "a", "--user", "b")):
        expect(ctl(t, node, "auth", "key", "create", *words).returncode == 2, f"create {words}")
    done = ctl(t, node, "auth", "key", "create", "--device", "a\nb")
    expect(done.returncode == 6, f"an id that is none: {done}")
    node.stop()


def a_revoked_key_watches_no_more(t):
    node = guarded(t, "watches")
    admin, key_id = make_key(t, node, "--user", "anna", "--role", "admin")
    path = secret_file(t, "watcher.key", admin)
    watches = [subprocess.Popen(
        [t.build.program("viaductctl"), "-s", node.control[len("unix:"):], "--key-file", path, "-j",
         *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for words in (("node", "watch"), ("instances", "watch"), ("logs", "tail", "-f"),
                      ("stats", "watch", "--interval", "1s"))]
    for watch in watches:
        expect(watch.stdout.readline(), f"{watch.args}: shows nothing")
    expect(ctl(t, node, "auth", "key", "revoke", key_id).returncode == 0, "revoke")
    expect(ctl(t, node, "instances", "restart", "http").returncode == 0, "something to see")
    for watch in watches:
        _, error = watch.communicate(timeout=LIMIT_S)
        expect(watch.returncode == 8 and "no longer" in error, f"{watch.args}: {error}")
    node.stop()


def over_tcp_a_key_goes_before_the_certificate(t):
    authority = Authority(t.folder)
    server, device = authority.sign("server", "IP:127.0.0.1"), authority.sign("anna", "DNS:anna")
    port = free_port()
    node = guarded(t, "tcp", control={"tcp": {
        "listen": f"127.0.0.1:{port}", "certificate": server[0], "key": server[1],
        "client_ca": authority.cert}})
    admin, _ = make_key(t, node, "--user", "anna", "--role", "admin")
    tcp = ("--address", f"127.0.0.1:{port}", "--ca", authority.cert, "--certificate", device[0],
           "--key", device[1])

    def ask(*words):
        return subprocess.run([t.build.program("viaductctl"), *tcp, *words], capture_output=True,
                              text=True, check=False)
    expect(ask("node", "info").returncode == 8, "a certificate that no rule names")
    done = ask("--key-file", secret_file(t, "admin.key", admin), "node", "info")
    expect(done.returncode == 0, f"with a key: {done}")
    node.stop()


# --- users --------------------------------------------------------------------------------------

def type_into(t, node, words, lines):
    """On a terminal; what it showed and the exit code."""
    pid, master = pty.fork()
    if pid == 0:
        os.execv(t.build.program("viaductctl"),
                 ["viaductctl", "-s", node.control[len("unix:"):], *words])
    shown, waiting = b"", list(lines)
    while True:
        if not select.select([master], [], [], LIMIT_S)[0]:
            os.kill(pid, 9)
        try:
            got = os.read(master, 4096)
        except OSError:  # Its end.
            got = b""
        if not got:
            break
        shown += got
        if waiting and shown.endswith(b": "):
            os.write(master, waiting.pop(0).encode() + b"\n")
    os.close(master)
    return shown.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def passwords_are_typed_and_not_shown(t):
    node = guarded(t, "users")
    shown, code = type_into(t, node, ("auth", "user", "add", "anna", "--role", "operator"),
                            [PASSWORD, PASSWORD])
    expect(code == 0 and PASSWORD not in shown and "anna" in shown, f"add: {code} {shown}")
    shown, code = type_into(t, node, ("auth", "user", "password", "anna"), [PASSWORD, "another"])
    expect(code == 6 and "not the same" in shown, f"two that differ: {code} {shown}")
    shown, code = type_into(t, node, ("auth", "user", "password", "anna"), ["short", "short"])
    expect(code == 6 and "12" in shown, f"a short one: {code} {shown}")
    done = subprocess.run(
        [t.build.program("viaductctl"), "-s", node.control[len("unix:"):], "auth", "user", "add",
         "bert", "--role", "viewer"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False, start_new_session=True)
    expect(done.returncode == 6 and "--password-file" in done.stderr, f"no terminal: {done}")
    done = ctl(t, node, "auth", "user", "add", "anna", "--role", "viewer", "--password-file",
               secret_file(t, "anna.password", PASSWORD))
    expect(done.returncode == 5, f"a user that is there: {done}")
    done = ctl(t, node, "auth", "user", "add", "bert", "--role", "viewer", "--password-file",
               secret_file(t, "open.password", PASSWORD, 0o644))
    expect(done.returncode == 6, f"a file that others may read: {done}")
    done = ctl(t, node, "auth", "user", "change", "anna", "--role", "viewer", "--disable")
    expect(done.returncode == 0 and "disabled" in done.stdout, f"change: {done}")
    listed = ctl_json(t, node, "auth", "user", "list")["users"]
    expect(listed[0]["disabled"] and listed[0]["principal"]["role"] == "ROLE_VIEWER", f"{listed}")
    expect(ctl(t, node, "auth", "user", "remove", "anna").returncode == 0, "remove")
    expect(ctl(t, node, "auth", "user", "remove", "anna").returncode == 4, "no such user")
    expect(ctl(t, node, "auth", "user", "change", "anna", "--enable").returncode == 4, "no such user")
    node.stop()


# --- the audit ----------------------------------------------------------------------------------

def the_audit_is_listed_and_verified(t):
    node = guarded(t, "audit")
    for i in range(5):
        make_key(t, node, "--device", f"CAM{i}")
    status(node, "vdk_wrong")
    ctl(t, node, "instances", "restart", "http")
    listed = ctl_json(t, node, "auth", "audit", "list", "--what", "createkey", "--limit", "4")
    expect([e["result"] for e in listed["entries"]] == ["ok", "begins"] * 2, f"{listed}")
    expect("CAM4" in listed["entries"][0]["subject"], f"the newest is not the first: {listed}")
    expect(ctl_json(t, node, "auth", "audit", "list", "--what", "login")["entries"],
           "a failed login is not in it")
    expect(ctl_json(t, node, "auth", "audit", "list", "--what", "Instances/Restart")["entries"],
           "a restart is not in it")
    expect(not ctl_json(t, node, "auth", "audit", "list", "--since", "2090-01-01T00:00:00Z")["entries"],
           "from the future")
    done = ctl(t, node, "auth", "audit", "verify")
    expect(done.returncode == 0, f"verify: {done}")
    head = ctl_json(t, node, "auth", "audit", "verify")["head"]
    noted = f"{head['sequence']}:{head['hash']}"
    make_key(t, node, "--device", "CAM9")
    folder = os.path.join(node.data_dir, "audit")
    for words in (("verify", "--head", noted), ("verify", folder, "--head", noted)):
        expect(ctl(t, node, "auth", "audit", *words).returncode == 0, f"{words}")
    expect(ctl(t, node, "auth", "audit", "verify", "--head", f"{head['sequence']}:00").returncode == 1,
           "another head")
    node.stop()
    expect(ctl(t, node, "auth", "audit", "verify").returncode == 3, "without a node")
    expect(ctl(t, node, "auth", "audit", "verify", folder).returncode == 0, "its files")
    path = os.path.join(folder, "audit.jsonl")
    with open(path) as f:
        text = f.read()
    with open(path, "w") as f:
        f.write(text.replace("CAM2", "CAM3", 1))
    done = ctl(t, node, "auth", "audit", "verify", folder)
    expect(done.returncode == 1 and "line" in done.stderr, f"a changed line: {done}")


def a_node_that_asks_nobody_says_so(t):
    node = t.server("open")
    node.start()
    done = ctl(t, node, "auth", "key", "create", "--device", "CAM001")
    expect(done.returncode == 5 and "section auth" in done.stderr, f"no auth: {done}")
    expect("everything" in ctl(t, node, "auth", "whoami").stdout, "whoami")
    expect(ctl(t, node, "auth", "audit", "verify").returncode == 0, "its audit")
    node.stop()


def completion_knows_the_commands(t):
    done = subprocess.run([t.build.program("viaductctl"), "completion", "bash"],
                          capture_output=True, text=True, check=True)
    for path in ("auth key rotate", "auth user password", "auth audit verify", "auth whoami"):
        expect(f"'viaductctl {path}'" in done.stdout, f"completion does not know {path}")
    erase, = re.findall(r"'viaductctl privacy erase *'\) words='(.*)'", done.stdout)
    expect("--plate" in erase.split() and erase.count("--help") == 1, f"options of a group: {erase}")


CHECKS = [a_fresh_node_needs_no_other_first_step, a_key_may_what_its_role_may,
          keys_are_rotated_and_revoked, a_revoked_key_watches_no_more,
          over_tcp_a_key_goes_before_the_certificate,
          passwords_are_typed_and_not_shown, the_audit_is_listed_and_verified,
          a_node_that_asks_nobody_says_so, completion_knows_the_commands]

if __name__ == "__main__":
    main(lambda t: run_checks(t, CHECKS), limit=280)
