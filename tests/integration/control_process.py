#!/usr/bin/env python3
"""viaduct-host as a process: start and stop, signals, locks, sockets, health, hostile callers, exit
codes. Each check stands alone on a node of its own.
"""

import json
import os
import signal
import socket
import subprocess

import common_path  # noqa: F401
from control_checks import (LIMIT_S, ctl, ctl_json, descriptors, expect, follow, host, read_line,
                            revision, run_checks)
from harness import free_port, main, monotonic, wait_for

# --- start and stop -----------------------------------------------------------------------------

def starts_fast_and_stops_in_order(t):
    node = t.server("start")
    node.start()
    info = ctl_json(t, node, "node", "info")["node"]
    t.figures["ready_ms"] = round(float(info["start_time"][:-1]) * 1000, 1)
    t.figures["idle_rss_mib"] = round(node.rss_kib() / 1024, 1)
    expect(info["state"] == "NODE_STATE_RUNNING", f"state {info['state']}")
    path = node.control[len("unix:"):]
    expect(os.stat(path).st_mode & 0o777 == 0o600, "the control socket is open to others")
    expect(node.stop() == 0, f"SIGTERM: not 0\n{node.tail()}")
    expect(not os.path.exists(path), "the socket file is still there")
    done = ctl(t, node, "node", "info")
    expect(done.returncode == 3 and "no node answers" in done.stderr, f"no node: {done}")


def two_nodes_cannot_share_a_folder(t):
    node = t.server("lock")
    node.start()
    second = host(t, "--config", node.config_path)
    expect(second.returncode == 1, f"second node: {second.returncode}")
    expect("in use by process" in second.stderr, f"second node: {second.stderr}")
    expect(ctl(t, node, "node", "info").returncode == 0, "the first node no longer answers")
    node.stop()


def a_stale_socket_is_replaced(t):
    node = t.server("stale")
    node.start()
    node.kill()
    expect(os.path.exists(node.control[len("unix:"):]), "kill -9 left no socket: nothing is shown")
    node.start()
    expect(ctl(t, node, "health").returncode == 0, "does not serve after kill -9")
    node.stop()


def mistakes_are_all_reported(t):
    path = os.path.join(t.folder, "bad.yaml")
    with open(path, "w") as f:
        f.write("node:\n  id: CAM001\n  colour: blue\nspool:\n  max_bytes: many\ninstnces: []\n")
    done = host(t, "--config", path, "--check")
    expect(done.returncode == 78, f"--check: {done.returncode}")
    for wanted in ("bad.yaml:3:", "bad.yaml:5:", "bad.yaml:6:"):
        expect(wanted in done.stdout, f"--check does not name {wanted}\n{done.stdout}")
    done = host(t, "--config", path)
    expect(done.returncode == 78 and "bad.yaml:3:" in done.stderr, f"start: {done}")
    expect(host(t, "--config", os.path.join(t.folder, "none.yaml"), "--check").returncode == 2,
           "--check of a file that is not there")
    expect(done.stderr.count("bad.yaml:3:") == 1, f"a mistake is told twice\n{done.stderr}")
    expect(host(t, "--config", os.path.join(t.folder, "none.yaml")).returncode == 2,
           "a start with a file that is not there")
    expect(host(t, "--colour").returncode == 2, "an unknown option")
    expect(host(t, "--version").returncode == 0, "--version")


def plugins_have_a_say_in_every_check(t):
    """What only a plugin can know is found by all checks, with line and pointer."""
    node = t.server("refused")
    node.start()
    sound = json.dumps(node.config)
    for config, pointer in (({"role": "client"}, "/instances/1/config/base_url"),
                            ({"role": "client", "base_url": "ftp://x"},
                             "/instances/1/config/base_url"),
                            ({"role": "server", "listen": "127.0.0.1:99999"},
                             "/instances/1/config/listen")):
        node.config = json.loads(sound)
        node.config["instances"].append({"name": "odd", "plugin": "rest", "config": config})
        node.write_config()
        path = node.config_path
        checked = host(t, "--config", path, "--check")
        expect(checked.returncode == 78, f"--check of {config}: {checked}")
        expect(f"instance odd, {pointer}, refused" in checked.stdout, f"--check: {checked.stdout}")
        for command in ("validate", "plan", "apply"):
            done = ctl(t, node, "config", command, path)
            expect(done.returncode == 6, f"{command} of {config}: {done}")
            expect(pointer in done.stdout + done.stderr, f"{command} names no place: {done}")
        expect(revision(t, node) == 1, f"{config} became a revision")
    node.stop()


# --- health -------------------------------------------------------------------------------------

def health_shows_an_instance_failing_and_recovering(t):
    blocker = socket.socket()
    blocker.bind(("127.0.0.1", 0))
    blocker.listen()
    node = t.server("health", port=blocker.getsockname()[1])
    node.start()
    watch = follow(t, node, "health", "viaduct.instance/http", "--watch")
    first = read_line(watch)
    expect(first == "NOT_SERVING", f"port taken: {first}")
    # Now and then it is being tried again.
    wait_for(lambda: "failed" in ctl(t, node, "instances", "list").stdout, LIMIT_S,
             "the instance to be shown as failed")
    expect(ctl(t, node, "health", "viaduct.instance/http").returncode == 9, "exit code of health")
    expect(ctl(t, node, "health", "viaduct.instance/none").returncode == 4, "unknown instance")
    blocker.close()
    second = read_line(watch)
    expect(second == "SERVING", f"port free again: {second}")
    ctl(t, node, "instances", "stop", "http")
    third = read_line(watch)
    expect(third == "NOT_SERVING", f"stopped: {third}")
    ctl(t, node, "instances", "start", "http")
    fourth = read_line(watch)
    expect(fourth == "SERVING", f"started: {fourth}")
    watch.kill()
    node.stop()


def a_drained_node_stays_drained(t):
    blocker = socket.socket()
    blocker.bind(("127.0.0.1", 0))
    blocker.listen()
    node = t.server("drained")
    node.config["instances"].append(
        {"name": "late", "plugin": "rest", "config":
         {"role": "server", "listen": f"127.0.0.1:{blocker.getsockname()[1]}"}})
    node.write_config()
    node.start()
    wait_for(lambda: "retry_in" in ctl_json(t, node, "instances", "get", "late")["instance"],
             LIMIT_S, "another start to be planned, the port is taken")
    done = ctl(t, node, "node", "drain", "--deadline", "5s")
    expect(done.returncode == 0, f"drain: {done}")
    for instance in ctl_json(t, node, "instances", "list")["instances"]:
        expect(instance["state"] == "INSTANCE_STATE_STOPPED" and "retry_in" not in instance,
               f"after the drain: {instance}")
    for service in ("", "viaduct.node"):
        done = ctl(t, node, "health", *([service] if service else []))
        expect(done.returncode == 9, f"health of \"{service}\" after the drain: {done}")
    node.stop()
    blocker.close()


def statistics_begin_with_the_process(t):
    node = t.edge(free_port(), "stats")
    text = os.path.join(t.folder, "counted.json")
    with open(text, "w") as f:
        json.dump({"type": "detection_result", "camera_id": "CAM001", "checkpoint_id": "CP1",
                   "timestamp": "2024-01-15T10:30:00.000Z"}, f)
    for start in range(2):
        node.start()
        expect(ctl(t, node, "send", text).returncode == 0, "the message was not taken")
        spool = ctl_json(t, node, "stats", "show")["snapshot"]["spool"]
        expect(int(spool["messages"]) == start + 1, f"start {start}: {spool}")
        expect(int(spool["accepted"]) == 1, f"accepted since the epoch, start {start}: {spool}")
        node.stop()


def statistics_of_a_link_are_in_stats_and_metrics(t):
    server = t.server("links-server")
    server.start()
    edge = t.edge(server.http_port, "links")
    edge.start()
    body = {"type": "detection_result", "camera_id": "CAM001", "checkpoint_id": "CP1"}
    for second in range(3):
        text = json.dumps({**body, "timestamp": f"2024-01-15T10:30:0{second}.000Z"})
        expect(edge.post("/api/detection", text).status == 200, "the message was not taken")
    wait_for(lambda: server.total_detections() == 3, LIMIT_S, "all on the server")

    def uplink():
        shown = ctl_json(t, edge, "stats", "show")["snapshot"]
        return shown, next(i for i in shown["instances"] if i["instance"] == "uplink")
    wait_for(lambda: int(uplink()[1].get("confirmed", 0)) == 3, LIMIT_S, "three confirmations")
    snapshot, link = uplink()
    expect(link["usage"] == 1 and link["success_rate"] == 1, f"shares: {link}")
    latency = {p["phase"]: p["latency"] for p in link["phases"]}["deliver"]
    expect(int(latency["count"]) == 3 and {"p50", "p90", "p99"} <= set(latency), f"{latency}")
    first = snapshot["switches"][0]
    expect(first["reason"] == "SWITCH_REASON_FIRST" and first["to"] == "uplink" and first["at"],
           f"switches: {snapshot['switches']}")
    shown = ctl(t, edge, "stats", "show").stdout
    expect("SUCCESS" in shown and "100.0 %" in shown and "the first choice" in shown, shown)

    def metrics():
        return edge.get("/metrics").body.decode()
    label = 'instance="uplink"'
    wait_for(lambda: f"viaduct_link_confirmed_total{{{label}}} 3" in metrics(), LIMIT_S, "metrics")
    for line in (f"viaduct_link_sent_total{{{label}}} 3", f"viaduct_link_ready{{{label}}} 1",
                 f"viaduct_link_confirmation_seconds_count{{{label}}} 3",
                 f'viaduct_link_failed_total{{{label},reason="retried"}} 0',
                 f'viaduct_link_switches_total{{{label},reason="first"}} 1'):
        expect(line in metrics(), f"not in the metrics: {line}\n{metrics()}")
    edge.stop()
    server.stop()


def long_drains_keep_nobody_waiting(t):
    silent = socket.socket()  # Takes connections and never answers.
    silent.bind(("127.0.0.1", 0))
    silent.listen()
    node = t.edge(silent.getsockname()[1], "drains")
    node.start()
    text = os.path.join(t.folder, "one.json")
    with open(text, "w") as f:
        json.dump({"type": "detection_result", "camera_id": "CAM001", "checkpoint_id": "CP1",
                   "timestamp": "2024-01-15T10:30:00.000Z"}, f)
    expect(ctl(t, node, "send", text).returncode == 0, "the message was not taken")
    wait_for(lambda: int(ctl_json(t, node, "spool", "info")["spool"]["in_flight"]) == 1, LIMIT_S,
             "a message in flight")
    drains = [follow(t, node, "--timeout", "60s", "instances", "drain", "uplink", "--deadline",
                     "50s") for _ in range(5)]
    wait_for(lambda: any(d.poll() is not None for d in drains), LIMIT_S, "one drain to be refused")
    node.config["log"]["level"] = "debug"
    node.write_config()
    done = ctl(t, node, "--timeout", "10s", "config", "apply", node.config_path)
    expect(done.returncode == 0, f"apply during the drains: {done}")
    done = ctl(t, node, "--timeout", "10s", "instances", "restart", "http")
    expect(done.returncode == 0, f"restart during the drains: {done}")
    for drain in drains:
        drain.kill()
        drain.wait()
    node.kill()
    silent.close()


# --- hostile callers ----------------------------------------------------------------------------

def garbage_on_the_socket_harms_nobody(t):
    node = t.server("garbage")
    node.start()
    path = node.control[len("unix:"):]
    before = None
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    for round_number in range(300):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.connect(path)
            kind = round_number % 4
            data = t.random.randbytes(t.random.randint(1, 2000))
            if kind == 1:
                data = preface + data
            elif kind == 2:
                data = preface + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + data
            elif kind == 3:
                data = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
            try:
                s.sendall(data)
            except OSError:
                pass
        if round_number == 50:
            wait_for(lambda: ctl(t, node, "node", "info").returncode == 0, LIMIT_S, "an answer")
            before = descriptors(node)
    expect(ctl(t, node, "node", "info").returncode == 0, "no answer after garbage")
    wait_for(lambda: descriptors(node) <= before + 3, LIMIT_S,
             f"descriptors to be given back ({before} before)")
    node.stop()


def bad_requests_name_their_fields(t):
    node = t.edge(free_port(), "bad")
    node.start()
    cases = [
        (["spool", "drop", "--reason", "x"], "filter: missing"),
        (["logs", "tail", "-n", "5000"], "last: at most 1000"),
        (["instances", "watch", "nobody"], "nobody"),
        (["config", "confirm", "9"], ""),
        (["node", "drain", "--deadline", "20m"], "deadline: out of range"),
    ]
    for arguments, wanted in cases:
        done = ctl(t, node, *arguments)
        expect(done.returncode in (4, 5, 6), f"{arguments}: {done.returncode} {done.stderr}")
        expect(wanted in done.stderr, f"{arguments}: {done.stderr}")
    silent = os.path.join(t.folder, "silent.sock")
    with socket.socket(socket.AF_UNIX) as nobody:  # Who connects is never answered.
        nobody.bind(silent)
        nobody.listen()
        done = subprocess.run([t.build.program("viaductctl"), "-s", silent, "--timeout", "200ms",
                               "node", "info"], capture_output=True, text=True, check=False)
    expect(done.returncode == 7, f"deadline: {done.returncode} {done.stderr}")
    curl = subprocess.run(
        ["buf", "curl", "--unix-socket", node.control[len("unix:"):], "--http2-prior-knowledge",
         "--protocol", "grpc", "-d", '{"level": 99, "time_to_live": "-5s"}',
         "http://node/viaduct.control.v1.Logs/SetLevel"],
        capture_output=True, text=True, timeout=LIMIT_S, check=False)
    expect(curl.returncode != 0 and "level: expected TRACE to OFF, got 99" in curl.stderr,
           f"bad enum: {curl.stderr}")
    node.stop()


def cancelled_streams_leave_nothing_behind(t):
    node = t.edge(free_port(), "cancel")
    node.start()
    ctl(t, node, "node", "info")
    before = descriptors(node)
    for _ in range(3):
        watchers = [follow(t, node, "--json", *arguments)
                    for arguments in (["instances", "watch"], ["node", "watch"],
                                      ["config", "watch"], ["stats", "watch", "-i", "100ms"],
                                      ["logs", "tail", "-f"], ["subscribe"])
                    for _ in range(3)]
        for watcher in watchers:
            expect(read_line(watcher), "a watch showed nothing")
        for watcher in watchers:
            watcher.kill()
            watcher.wait()
    wait_for(lambda: descriptors(node) <= before + 2, LIMIT_S,
             f"descriptors to be given back ({before} before)")
    node.stop()


def watchers_are_told_of_the_end(t):
    node = t.server("end")
    node.start()
    watch = follow(t, node, "node", "watch")
    expect(read_line(watch), "a watch showed nothing")
    begin = monotonic()
    expect(node.stop() == 0, f"did not stop in order\n{node.tail()}")
    t.figures["stop_with_watcher_ms"] = round((monotonic() - begin) * 1000)
    expect(watch.wait(LIMIT_S) == 3, "the watcher was not told")


def changes_are_audited(t):
    node = t.server("audit")
    node.start()
    ctl(t, node, "instances", "restart", "http")
    tail = ctl(t, node, "logs", "tail", "--component", "audit").stdout
    expect("Instances.Restart" in tail and f"uid {os.getuid()} (pid" in tail, f"audit: {tail}")
    node.stop()


def audit_records_are_never_held_back(t):
    node = t.server("flood")
    node.config["log"]["level"] = "warning"
    node.write_config()
    node.start()
    done = ctl(t, node, "logs", "set-level", "audit", "off")
    expect(done.returncode == 6 and "audit" in done.stderr, f"level of audit: {done}")
    for _ in range(60):
        ctl(t, node, "logs", "reset-level", "nothing")
    ctl(t, node, "instances", "restart", "http")
    tail = ctl(t, node, "logs", "tail", "--component", "audit", "-n", "1000").stdout
    expect(tail.count("Logs.ResetLevel") == 60, f"{tail.count('Logs.ResetLevel')} of 60 records")
    expect("Instances.Restart" in tail, f"the restart has no record: {tail[-300:]}")
    node.config["log"]["level"] = "loud"
    node.write_config()
    node.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "the file was not taken over" in node.tail(100), LIMIT_S, "a warning")
    node.stop()


def make_certificates(folder):
    """An authority, a certificate of the node for 127.0.0.1 and one of a client called admin-1."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True,
                       timeout=LIMIT_S)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test ca")
    for name, subject, alternative in (("node", "/CN=node", "IP:127.0.0.1"),
                                       ("admin", "/CN=admin-1", "DNS:admin-1")):
        openssl("req", "-x509", *key, "-CA", "ca.pem", "-CAkey", "ca.key", "-subj", subject,
                "-addext", f"subjectAltName={alternative}", "-addext",
                "basicConstraints=critical,CA:FALSE", "-keyout", f"{name}.key", "-out",
                f"{name}.pem")
    openssl("req", "-x509", *key, "-keyout", "other.key", "-out", "other.pem", "-subj", "/CN=x")


def tcp_needs_a_client_certificate(t):
    make_certificates(t.folder)
    node = t.server("tls")
    port = free_port()
    files = {name: os.path.join(t.folder, name) for name in
             ("ca.pem", "node.pem", "node.key", "admin.pem", "admin.key", "other.pem", "other.key")}
    node.config["control"] = {"tcp": {"listen": f"127.0.0.1:{port}", "certificate":
                                      files["node.pem"], "key": files["node.key"],
                                      "client_ca": files["ca.pem"]}}
    node.write_config()
    node.start()

    def call(who, *arguments):
        return subprocess.run(
            [t.build.program("viaductctl"), "--address", f"127.0.0.1:{port}", "--ca",
             files["ca.pem"], "--certificate", files[f"{who}.pem"], "--key", files[f"{who}.key"],
             "--timeout", "5s", *arguments], capture_output=True, text=True, timeout=LIMIT_S,
            check=False)

    done = call("admin", "instances", "restart", "http")
    expect(done.returncode == 0, f"with a certificate: {done.stderr}")
    expect("cert admin-1" in ctl(t, node, "logs", "tail", "--component", "audit").stdout,
           "the audit log does not name the certificate")
    done = call("other", "node", "info")
    expect(done.returncode in (3, 7), f"with a foreign certificate: {done}")
    with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
        s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")  # No TLS at all.
    expect(ctl(t, node, "node", "info").returncode == 0, "does not answer on the socket")
    node.stop()


def completion_offers_commands_and_options(t):
    script = ('source <("$0" completion bash); COMP_WORDS=(viaductctl --socket /x config ""); '
              'COMP_CWORD=4; _viaductctl; echo "${COMPREPLY[@]}"; '
              'COMP_WORDS=(viaductctl config apply --if); COMP_CWORD=3; _viaductctl; '
              'echo "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "-c", script, t.build.program("viaductctl")],
                          capture_output=True, text=True, timeout=LIMIT_S, check=False)
    lines = done.stdout.splitlines()
    expect(len(lines) == 2, f"completion: {done}")
    expect({"apply", "rollback", "validate"} <= set(lines[0].split()), f"config: {lines[0]}")
    expect(lines[1] == "--if-revision", f"config apply --if: {lines[1]}")


CHECKS = [
    starts_fast_and_stops_in_order,
    two_nodes_cannot_share_a_folder,
    a_stale_socket_is_replaced,
    mistakes_are_all_reported,
    plugins_have_a_say_in_every_check,
    health_shows_an_instance_failing_and_recovering,
    a_drained_node_stays_drained,
    statistics_begin_with_the_process,
    statistics_of_a_link_are_in_stats_and_metrics,
    long_drains_keep_nobody_waiting,
    garbage_on_the_socket_harms_nobody,
    bad_requests_name_their_fields,
    cancelled_streams_leave_nothing_behind,
    watchers_are_told_of_the_end,
    changes_are_audited,
    audit_records_are_never_held_back,
    tcp_needs_a_client_certificate,
    completion_offers_commands_and_options,
]


if __name__ == "__main__":
    main(lambda t: run_checks(t, CHECKS), limit=280)
