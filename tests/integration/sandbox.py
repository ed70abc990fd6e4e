#!/usr/bin/env python3
"""deploy/systemd: the unit is sound and tight by systemd's own judgement, and nodes really run in it.
tests/support/unit_sandbox.py binds them to its list of system calls, as a user without any capability,
and kills whatever calls another one: server and edge with every plugin, messages by three roads, files
by sftp and by rsync over ssh, a camera program, calls of the control plane, a change of the
configuration, drain and stop. Then a systemd of the trial's own runs the unit as it is installed.
"""

import json
import os
import re
import shutil
import subprocess
import sys

import common_path  # noqa: F401
from broker import Broker
from harness import ROOT, CannotRun, Failure, free_port, main, say, wait_for
from own_systemd import OwnSystemd
from ssh_server import SshServer
from websocket_nodes import add_listener

UNITS = os.path.join(ROOT, "deploy", "systemd")
UNIT = os.path.join(UNITS, "viaduct.service")
NODE = os.path.join(ROOT, "deploy", "node", "edge.yaml")
SANDBOX = os.path.join(ROOT, "tests", "support", "unit_sandbox.py")
MOST_EXPOSURE = 2.0
USER = 65534
PATIENCE_S = 60
PICTURES = 40


def expect(condition, what):
    if not condition:
        raise Failure(what)


def run_tool(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    return done.returncode, done.stdout + done.stderr


# --- the files ----------------------------------------------------------------------------------

def judge_unit(t, name, *drop_ins):
    """The exposure of the unit as it is installed, with those drop-ins."""
    folder = os.path.join(t.folder, name)
    os.makedirs(os.path.join(folder, "viaduct.service.d"))
    with open(UNIT) as f:
        text = f.read().replace("/usr/bin/viaduct-host", t.build.program("viaduct-host"))
    path = os.path.join(folder, "viaduct.service")
    with open(path, "w") as f:
        f.write(text)
    for drop_in in drop_ins:
        shutil.copy(os.path.join(UNITS, drop_in), os.path.join(folder, "viaduct.service.d"))
    code, out = run_tool("systemd-analyze", "--no-pager", "--man=no", "verify", path)
    ours = [line for line in out.splitlines() if "viaduct" in line and "does not exist" not in line]
    expect(not ours, f"systemd-analyze verify: {code} {ours}")
    code, out = run_tool("systemd-analyze", "--no-pager", "security", "--offline=true", path)
    found = re.search(r"exposure level for viaduct\.service: ([0-9.]+)", out)
    expect(found, f"systemd-analyze security: {code} {out}")
    exposure = float(found.group(1))
    expect(exposure < MOST_EXPOSURE, f"{name}: exposure {exposure}, at most {MOST_EXPOSURE}\n{out}")
    return exposure


def files_are_sound(t):
    if shutil.which("systemd-analyze") is None:
        raise CannotRun("systemd is not installed")
    t.figure(exposure=judge_unit(t, "unit"),
             exposure_with_devices=judge_unit(t, "unit-devices", "edge-devices.conf"))
    root = os.path.join(t.folder, "root")
    os.makedirs(os.path.join(root, "etc"))
    for tool, name in (("systemd-sysusers", "viaduct.sysusers"),
                       ("systemd-tmpfiles", "viaduct.tmpfiles")):
        arguments = ["--create"] if tool == "systemd-tmpfiles" else []
        code, out = run_tool(tool, f"--root={root}", *arguments, os.path.join(UNITS, name))
        expect(code == 0, f"{tool}: {code} {out}")
    for name, mode in (("etc/viaduct", 0o750), ("etc/viaduct/secrets", 0o700)):
        found = os.stat(os.path.join(root, name)).st_mode & 0o777
        expect(found == mode, f"{name} has mode {found:o}")


# --- a node in it -------------------------------------------------------------------------------

def give(*paths):
    """To the user of the sandbox, where this is root."""
    if os.geteuid() != 0:
        return
    for path in paths:
        os.chown(path, USER, USER)
        for folder, folders, files in os.walk(path):
            for name in [*folders, *files]:
                os.chown(os.path.join(folder, name), USER, USER)


def start(node, **env):
    """As the unit does."""
    give(node.folder)
    before = os.umask(0)  # That user tells of its readiness through a socket of this one.
    try:
        node.start(env=env, prefix=[sys.executable, SANDBOX, UNIT, "--user", str(USER), "--"])
    finally:
        os.umask(before)


def is_bound(node):
    """The filters are there, and no power is."""
    with open(f"/proc/{node.process.pid}/status") as f:
        status = dict(line.split(":", 1) for line in f if ":" in line)
    expect(int(status["Seccomp"]) == 2, "no filter of system calls")
    expect(int(status["NoNewPrivs"]) == 1, "new privileges are possible")
    for kind in ("CapEff", "CapPrm", "CapInh", "CapAmb", *(["CapBnd"] if os.geteuid() == 0 else [])):
        expect(int(status[kind], 16) == 0, f"{kind} is {status[kind].strip()}")


def find_filter(t):
    """The sandbox itself: what the list does not have ends the process."""
    folder = os.path.join(t.folder, "own")
    os.mkdir(folder)
    if os.geteuid() == 0:
        os.chmod(t.folder, 0o711)
    give(folder)
    code, out = run_tool(sys.executable, SANDBOX, UNIT, "--", "/usr/bin/python3", "-c",
                         "import os; os.close(os.open('x', os.O_CREAT)); os.chmod('x', 0o755)",
                         cwd=folder)
    expect(code == 0, f"what is allowed: {code} {out}")
    for what in ("import os; os.chroot('/')", "import ctypes; ctypes.CDLL(None).personality(0)",
                 "import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)",
                 "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
                 "import os; os.chmod('x', 0o4755)"):
        code, out = run_tool(sys.executable, SANDBOX, UNIT, "--", "/usr/bin/python3", "-c", what,
                             cwd=folder)
        expect(code == -31, f"{what}: {code} {out}, not SIGSYS")


def server_of(t, broker):
    server = t.server()
    port = add_listener(server)
    server.config["instances"].append(
        {"name": "mqtt", "plugin": "mqtt",
         "config": {"role": "server", "broker_url": f"127.0.0.1:{broker.port}",
                    "client_id": "SERVER1"}})
    server.write_config()
    return server, port


def pinned(sshd, config):
    """By its fingerprint: for rsync a program in the node's own TMPDIR compares it."""
    _, shown = run_tool("ssh-keygen", "-lf", sshd.path("host.pub"))
    del config["known_hosts"]
    return {**config, "host_key": [shown.split()[1]]}


def edge_of(t, server, sockets, broker, sshd, film):
    edge = t.edge(server.http_port)
    edge.config["instances"] += [
        {"name": "sockets", "plugin": "websocket",
         "config": {"role": "client", "server_url": f"http://127.0.0.1:{sockets}"}},
        {"name": "mqtt", "plugin": "mqtt",
         "config": {"role": "client", "broker_url": f"127.0.0.1:{broker.port}",
                    "client_id": "CAM001"}},
        {"name": "sftp", "plugin": "sftp", "config": pinned(sshd, sshd.client_config())},
        {"name": "rsync", "plugin": "rsync", "config": pinned(sshd, sshd.rsync_config())},
        film_reader(film)]
    edge.write_config()
    return edge


def film_reader(path):
    return {"name": "film", "plugin": "hailo_lpr",
            "config": {"source": "video", "path": path, "pace": "fast", "camera_id": "CAM001",
                       "checkpoint_id": "film", "recorded_at": "2024-01-15T10:30:00Z"}}


def film_of(t):
    """Pictures one behind the other are a video to what decodes it."""
    path = os.path.join(t.folder, "film.mjpeg")
    with open(t.picture(size=60_000, width=640, height=360), "rb") as f:
        picture = f.read()
    with open(path, "wb") as f:
        f.write(picture * PICTURES)
    return path


def messages_arrive(server, edge, minute):
    before = server.total_detections()
    for road in ("uplink", "sockets", "mqtt"):
        others = [name for name in ("uplink", "sockets", "mqtt") if name != road]
        for name in others:
            edge.ctl("instances", "stop", name)
        for i in range(10):
            reply = edge.post("/api/detection", {
                "type": "detection_result", "camera_id": "CAM001", "checkpoint_id": road,
                "timestamp": f"2024-01-15T10:{minute}:{i:02d}.000Z", "ocr_results": [f"AB{i}"]})
            expect(reply.status == 200, f"a detection: {reply.status} {reply.body[:200]}")
        before += 10
        wait_for(lambda want=before: server.total_detections() >= want, PATIENCE_S,
                 f"detections by {road}")
        for name in others:
            edge.ctl("instances", "start", name)


def files_arrive(t, ask, sshd):
    """`ask` is viaductctl of the edge."""
    for name, size, priority in (("sftp", 150_000, "high"), ("rsync", 3_000_000, "normal")):
        path = os.path.join(t.folder, f"{t.random.getrandbits(32)}-{name}.bin")
        with open(path, "wb") as f:
            f.write(t.random.randbytes(size))
        other = "rsync" if name == "sftp" else "sftp"
        ask("instances", "stop", other)
        sent = ask("transfers", "send", "--stream", path, "--priority", priority)
        transfer = sent["receipt"]["transfer_id"]
        wait_for(lambda: ask("transfers", "show", transfer)["transfer"]["state"] ==
                 "TRANSFER_STATE_DONE", PATIENCE_S, f"a file by {name}", interval=0.1)
        arrived = os.path.join(sshd.incoming, "CAM001", os.path.basename(path))
        with open(path, "rb") as f, open(arrived, "rb") as g:
            expect(f.read() == g.read(), f"the file by {name} is another one")
        ask("instances", "start", other)


def film_ends(ask):
    def ended():
        film = ask("instances", "get", "film")["instance"]
        return f"has ended after {PICTURES} pictures" in film.get("reason", "")
    wait_for(ended, PATIENCE_S, f"{PICTURES} pictures of the film", interval=0.2)


def control_works(t, node):
    for words in (("node", "info"), ("plugins", "list"), ("plugins", "describe", "rest"),
                  ("plugins", "reload", "mqtt"), ("instances", "list"), ("config", "revisions"),
                  ("config", "validate", node.config_path), ("logs", "tail"), ("stats", "show"),
                  ("alerts",)):
        code, out = run_tool(t.build.program("viaductctl"), "-s", node.control[len("unix:"):],
                             *words)
        expect(code == 0, f"viaductctl {words}: {code} {out}")
    node.config["log"]["level"] = "debug"
    node.write_config()
    code, out = run_tool(t.build.program("viaductctl"), "-s", node.control[len("unix:"):],
                         "config", "apply", node.config_path)
    expect(code == 0, f"config apply: {code} {out}")


def node_runs(t):
    temporary = os.path.join(t.folder, "tmp")
    os.mkdir(temporary)
    broker = Broker(t).start()
    sshd = SshServer(t).start()
    give(temporary, sshd.path("user"))
    server, sockets = server_of(t, broker)
    edge = edge_of(t, server, sockets, broker, sshd, film_of(t))
    start(server, TMPDIR=temporary)
    start(edge, TMPDIR=temporary)
    for node in (server, edge):
        is_bound(node)
    messages_arrive(server, edge, 30)
    files_arrive(t, edge.ctl, sshd)
    film_ends(edge.ctl)
    for node in (server, edge):
        control_works(t, node)
    messages_arrive(server, edge, 31)
    edge.ctl("node", "drain", "--deadline", "10s")
    for node in (edge, server):
        status = node.stop()
        expect(status == 0, f"{node.name} ended with {status}\n{node.tail()}")
        with open(node.log_path, errors="replace") as f:
            log = f.read()
        expect("signal 31" not in log and "SIGSYS" not in log, f"{node.name}: a child was killed")


# --- the whole unit -----------------------------------------------------------------------------

def service_of(t, port, sshd):
    """A systemd with the unit, its user, its example of a configuration with roads for files and a
    film, and its secrets."""
    with open(UNIT) as f:
        unit = f.read().replace("/usr/bin/viaduct-host", t.build.program("viaduct-host"))
    log = os.path.join(t.folder, "service.log")
    drop_in = f"[Service]\nStandardOutput=append:{log}\nStandardError=append:{log}\n"
    prepare = [f"systemd-sysusers {UNITS}/viaduct.sysusers",
               f"systemd-tmpfiles --create {UNITS}/viaduct.tmpfiles",
               "install -d -m 700 -o viaduct -g viaduct /var/lib/viaduct",
               f"install -m 600 -o viaduct {sshd.path('user')} /var/lib/viaduct/key",
               f"install -m 644 {film_of(t)} /var/lib/viaduct/film.mjpeg"]
    secrets = re.findall(r"^#LoadCredential=(\w+):(\S+)", unit, re.MULTILINE)
    expect(secrets, "the unit shows no LoadCredential=")
    for name, path in secrets:
        drop_in += f"LoadCredential={name}:{path}\n"
        prepare.append(f"install -m 600 <(echo a-secret-{name}) {path}")
    key = {"key_file": "/var/lib/viaduct/key"}
    path = os.path.join(t.folder, "service.yaml")
    broker = {"role": "client", "broker_url": "mqtts://broker.site.example:8883",
              "client_id": "CAM001", "username": "CAM001",
              "password": "file:${CREDENTIALS_DIRECTORY}/mqtt_password"}
    with open(NODE) as f, open(path, "w") as g:
        g.write(f.read().replace("EDGE001", "CAM001").replace("127.0.0.1:8000", f"127.0.0.1:{port}"))
        for instance in ({"name": "mqtt", "plugin": "mqtt", "config": broker},
                         {"name": "sftp", "plugin": "sftp",
                          "config": pinned(sshd, sshd.client_config(**key))},
                         {"name": "rsync", "plugin": "rsync",
                          "config": pinned(sshd, sshd.rsync_config(**key))},
                         film_reader("/var/lib/viaduct/film.mjpeg")):
            g.write(f"  - {json.dumps(instance)}\n")
        g.write(f"plugins: {{path: [{t.build.plugins}]}}\n")
    prepare.append(f"install -m 640 -g viaduct {path} /etc/viaduct/node.yaml")
    return OwnSystemd(t, {"viaduct.service": unit, "viaduct.service.d/test.conf": drop_in},
                      "\n".join(prepare) + "\n"), log


def whole_unit_runs(t):
    port = free_port()
    sshd = SshServer(t, name="sshd-of-service").start()
    systemd, log = service_of(t, port, sshd)
    systemd.start()
    systemd.run("systemctl", "start", "viaduct")  # Returns when the node has said that it is ready.
    with open(log, errors="replace") as f:
        said = f.read()
    expect(systemd.show("viaduct", "ActiveState") == "active",
           f"the service is not active\n{said}\n{systemd.tail()}")
    pid = systemd.show("viaduct", "MainPID")
    status = systemd.shell(f"cat /proc/{pid}/status")
    uid = re.search(r"Uid:\s+(\d+)", status).group(1)
    expect(uid == systemd.shell("id -u viaduct").strip() != "0", f"runs as {uid}")
    for kind in ("CapEff", "CapBnd", "CapPrm"):
        expect(re.search(rf"{kind}:\s+0+$", status, re.MULTILINE), f"{kind}: {status}")
    for path, mode in (("/run/viaduct/control.sock", "600"), ("/var/lib/viaduct", "700"),
                       ("/run/credentials/viaduct.service/mqtt_password", "400")):
        found = systemd.shell(f"stat -c '%a %U' {path}").strip()
        expect(found == f"{mode} viaduct", f"{path}: {found}")
    ctl = t.build.program("viaductctl")
    expect("CAM001" in systemd.shell(f"{ctl} node info"), "viaductctl as root, with its defaults")
    expect("CAM001" in systemd.shell(f"setpriv --reuid viaduct --clear-groups {ctl} node info"),
           "viaductctl as the node's user")
    detection = {"type": "detection_result", "camera_id": "CAM001", "checkpoint_id": "CP1",
                 "timestamp": "2024-01-15T10:30:00.000Z"}
    systemd.shell(f"curl -sf -H 'content-type: application/json' -d '{json.dumps(detection)}' "
                  f"http://127.0.0.1:{port}/api/detection")

    def ask(*words):
        return json.loads(systemd.shell(f"{ctl} --json {' '.join(words)}"))
    files_arrive(t, ask, sshd)
    film_ends(ask)
    systemd.shell("systemctl reload viaduct")
    systemd.run("systemctl", "kill", "--signal=KILL", "viaduct")
    wait_for(lambda: systemd.show("viaduct", "NRestarts") == "1" and
             systemd.show("viaduct", "ActiveState") == "active", PATIENCE_S, "a restart")
    expect(int(ask("spool", "info")["spool"]["messages"]) > 0, "the detection is gone")
    systemd.shell("systemctl stop viaduct")
    expect(systemd.show("viaduct", "Result") == "success", f"stopped: {systemd.tail()}")


def run(t):
    files_are_sound(t)
    find_filter(t)
    node_runs(t)
    if os.geteuid() == 0:
        whole_unit_runs(t)
    else:
        say("the whole unit needs root, and is left out")


if __name__ == "__main__":
    main(run, limit=280)
