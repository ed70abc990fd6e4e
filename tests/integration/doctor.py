#!/usr/bin/env python3
"""`viaductctl doctor` on a machine with nothing wrong, with the node running and not, and with each
fault made for real: its line says what is wrong and what to do, and no secret.
"""

import contextlib
import json
import os
import resource
import socket
import sqlite3
import subprocess

import common_path  # noqa: F401
from broker import Broker
from certificates import DAY, Authority
from harness import Failure, free_port, main, say
from private_mounts import enter_namespace
from ssh_server import SshServer
from wall_clock import WallClock

SECRET = "very-s3cret-word"
FEW_FILES = 256
HEALTHY, UNHEALTHY = 0, 9


def expect(condition, what):
    if not condition:
        raise Failure(what)


def doctor(t, node, env=None, few_files=False):
    limit = (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (FEW_FILES, FEW_FILES))) \
        if few_files else None
    done = subprocess.run([t.build.program("viaductctl"), "-j", "doctor", "--config",
                           node.config_path], capture_output=True, text=True, check=False,
                          env=dict(os.environ, **(env or {})), preexec_fn=limit)
    expect(done.returncode in (HEALTHY, UNHEALTHY), f"doctor: {done.returncode} {done.stderr}")
    expect(SECRET not in done.stdout + done.stderr, "a secret is shown")
    report = json.loads(done.stdout)
    expect((report["verdict"] == "fail") == (done.returncode == UNHEALTHY), "the exit code is wrong")
    return report["checks"]


def finds(checks, verdict, area, *words):
    """A line of that kind with all of these words, and something to do."""
    for one in checks:
        text = one["subject"] + " " + one["found"]
        if one["verdict"] == verdict and one["area"] == area and all(w in text for w in words):
            expect(one["advice"] or verdict == "ok", f"nothing to do about {one}")
            return
    raise Failure(f"no {verdict} of {area} with {words} in {json.dumps(checks, indent=1)}")


def fails_of(checks):
    return [one for one in checks if one["verdict"] == "fail"]


def nothing_wrong(t):
    server = t.server()
    edge = t.edge(server.http_port)
    expect(not fails_of(doctor(t, server)), f"before the start: {fails_of(doctor(t, server))}")
    server.start()
    checks = doctor(t, edge)
    expect(not fails_of(checks), f"the edge: {fails_of(checks)}")
    finds(checks, "ok", "instances", "uplink", "ready")
    finds(checks, "ok", "ports", "free")
    checks = doctor(t, server)
    expect(not fails_of(checks), f"while it runs: {fails_of(checks)}")
    finds(checks, "ok", "ports", "the node listens")
    finds(checks, "ok", "configuration", "a node runs there")
    finds(checks, "ok", "database", "schema")
    finds(checks, "ok", "disk", "a sync takes")
    server.stop()
    finds(doctor(t, edge), "fail", "instances", "uplink")


def configuration(t):
    server = t.server(name="mistaken", nonsense={"a": 1})
    finds(doctor(t, server), "fail", "configuration", "nonsense")
    server.config_path = os.path.join(t.folder, "absent.yaml")
    finds(doctor(t, server), "fail", "configuration", "absent.yaml")


def ports(t):
    server = t.server(name="ports")
    with socket.create_server(("127.0.0.1", server.http_port)):
        finds(doctor(t, server), "fail", "ports", str(server.http_port), "taken by python")
    server.config["instances"][0]["config"]["listen"] = "192.0.2.1:8000"
    server.config["auth"] = "none"
    server.write_config()
    finds(doctor(t, server), "fail", "ports", "192.0.2.1", "cannot be had")


@contextlib.contextmanager
def mode(path, bits):
    was = os.stat(path).st_mode & 0o7777
    os.chmod(path, bits)
    try:
        yield
    finally:
        os.chmod(path, was)


def permissions(t):
    keys = os.path.join(t.folder, "payload.keys")
    with open(os.open(keys, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
        f.write("k1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")
    server = t.server(name="modes", encryption={"keys": keys})
    server.start()
    expect(not fails_of(doctor(t, server)), "something is wrong with a fresh node")
    socket_path = server.control[len("unix:"):]
    for path, bits in ((os.path.join(server.data_dir, "audit"), 0o755),
                       (os.path.join(server.data_dir, "config"), 0o750),
                       (server.config_path, 0o666), (keys, 0o644), (socket_path, 0o666),
                       (server.data_dir, 0o777)):
        with mode(path, bits):
            finds(doctor(t, server), "fail", "permissions", path, f"{bits:04o}")
    server.stop()
    with open(socket_path, "w"):
        finds(doctor(t, server), "fail", "permissions", socket_path, "no socket")
    os.unlink(socket_path)
    if os.geteuid() == 0:
        os.chown(server.data_dir, 65534, 65534)
        checks = doctor(t, server)
        finds(checks, "warn", "host", "belongs to")
        finds(checks, "warn", "instances", "not tried")
        os.chown(server.data_dir, 0, 0)


def machine(t):
    server = t.server(name="machine")
    clock = WallClock(t, "doctor")
    clock.set(10)
    finds(doctor(t, server, env=clock.env), "fail", "host", "clock", "1970")
    finds(doctor(t, server, few_files=True), "warn", "host", "limits", str(FEW_FILES))
    server.config["node"]["timezone"] = "Europe/Berlin"
    server.write_config()
    finds(doctor(t, server), "ok", "host", "Europe/Berlin")


def tmpfs(t, name, options):
    folder = os.path.join(t.folder, name)
    os.makedirs(folder, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder],
                          capture_output=True, text=True, check=False)
    expect(done.returncode == 0, f"mount: {done.stderr}")
    t.cleanups.append(lambda: subprocess.run(["umount", "-l", folder], check=False))
    return folder


def disks(t):
    small = tmpfs(t, "small", "size=8m")
    finds(doctor(t, t.server(name="small-disk", folder=small)), "fail", "disk", small, "free")
    few = tmpfs(t, "few", "size=2g,nr_inodes=40")
    server = t.server(name="few-inodes", folder=few)
    for i in range(38):
        with contextlib.suppress(OSError), open(os.path.join(few, str(i)), "w"):
            pass
    finds(doctor(t, server), "fail", "disk", "inodes")
    fixed = tmpfs(t, "fixed", "size=1g")
    server = t.server(name="read-only", folder=fixed)
    subprocess.run(["mount", "-o", "remount,ro", fixed], check=True)
    finds(doctor(t, server), "fail", "disk", "read-only")


def certificates(t):
    authority = Authority(t.folder)
    for name, begin, end, verdict, words in (
            ("old", -2 * DAY, -DAY, "fail", "expired"), ("soon", -DAY, 5 * DAY, "warn", "expires"),
            ("early", DAY, 20 * DAY, "fail", "not valid before"),
            ("good", -DAY, 200 * DAY, "ok", "until")):
        certificate, key = authority.sign(name, ["IP:127.0.0.1"], begin=begin, end=end)
        server = t.server(name=f"tls-{name}")
        server.config["instances"][0]["config"].update(certificate=certificate, key=key)
        server.write_config()
        finds(doctor(t, server), verdict, "certificates", certificate, words)
        if name == "good":
            with mode(key, 0o644):
                finds(doctor(t, server), "fail", "certificates", key, "others may read")
            other = authority.sign("other", ["IP:127.0.0.1"])[1]
            server.config["control"] = {"tcp": {"listen": f"127.0.0.1:{free_port()}", "key": other,
                                                "certificate": certificate,
                                                "client_ca": authority.pem}}
            server.write_config()
            finds(doctor(t, server), "fail", "certificates", "control.tcp")


def databases(t):
    server = t.server(name="base", store={
        "postgresql": {"url": f"postgresql://viaduct:{SECRET}@127.0.0.1:{free_port()}/viaduct"},
        "images": "images"})
    finds(doctor(t, server), "fail", "database", "postgresql")
    server.config["store"]["postgresql"]["url"] = t.postgres().url("nowhere")
    server.write_config()
    finds(doctor(t, server), "fail", "database", "nowhere")
    server.config["store"]["postgresql"]["url"] = t.postgres().url(t.postgres().new_database())
    server.write_config()
    finds(doctor(t, server), "ok", "database", "reached")
    server = t.server(name="foreign")
    with contextlib.closing(sqlite3.connect(server.store_path)) as db, db:
        db.execute("CREATE TABLE theirs (id)")
    finds(doctor(t, server), "fail", "database", "another program")


def roads(t):
    """With the plugins' own eyes: a broker that knows these credentials, and one that does not."""
    passwords = os.path.join(t.folder, "passwords")
    with open(passwords, "w") as f:
        f.write(f"CAM001:{SECRET}\n")
    subprocess.run(["mosquitto_passwd", "-U", passwords], check=True)
    broker = Broker(t, settings=("allow_anonymous false", f"password_file {passwords}"))
    edge = t.edge(free_port(), name="by-broker")
    edge.config["instances"][1] = {"name": "broker", "plugin": "mqtt", "config": {
        "role": "client", "broker_url": f"mqtt://127.0.0.1:{broker.port}", "client_id": "CAM001",
        "username": "CAM001", "password": SECRET}}
    edge.write_config()
    finds(doctor(t, edge), "fail", "instances", "broker")
    broker.start()
    edge.config["instances"][1]["config"]["password"] = "wrong-" + SECRET
    edge.write_config()
    finds(doctor(t, edge), "fail", "instances", "broker")
    edge.config["instances"][1]["config"]["password"] = SECRET
    edge.write_config()
    finds(doctor(t, edge), "ok", "instances", "broker")


def files(t):
    """A server whose host key is the one that is known, then another one."""
    sshd = SshServer(t).start()
    strange = os.path.join(t.folder, "strange_hosts")
    with open(sshd.path("user.pub")) as f, open(strange, "w") as out:
        out.write(f"[{sshd.address}]:{sshd.port} {f.read()}")
    edge = t.edge(free_port(), name="by-sftp")
    for plugin, made in (("sftp", sshd.client_config), ("rsync", sshd.rsync_config)):
        for verdict, changes in (("ok", {}), ("fail", {"known_hosts": strange})):
            edge.config["instances"][1] = {"name": "files", "plugin": plugin,
                                           "config": made(**changes)}
            edge.write_config()
            finds(doctor(t, edge), verdict, "instances", "files")
    sshd.kill()


def run(t):
    for part in (nothing_wrong, configuration, ports, permissions, machine, disks, certificates,
                 databases, roads, files):
        part(t)
        say(f"{part.__name__.replace('_', ' ')}: seen")


if __name__ == "__main__":
    enter_namespace()
    main(run, limit=400)
