#!/usr/bin/env python3
"""The configuration of a running node: revisions, confirmation, roll-back, SIGHUP, secrets. Each check
stands alone on a node of its own.
"""

import json
import os
import shutil
import signal
import socket

import common_path  # noqa: F401
from control_checks import (LIMIT_S, component_reasons, ctl, ctl_json, expect, follow,
                            read_line, revision, run_checks)
from harness import main, monotonic, wait_for


def hangup_reads_the_file_again(t):
    node = t.server("hangup")
    node.start()
    node.config["log"]["level"] = "debug"
    node.write_config()
    node.process.send_signal(signal.SIGHUP)
    wait_for(lambda: revision(t, node) == 2, LIMIT_S, "revision 2")
    levels = ctl_json(t, node, "logs", "levels")["levels"]
    expect(levels[0]["level"] == "LOG_LEVEL_DEBUG", f"levels {levels}")
    node.config["log"]["level"] = "loud"
    node.write_config()
    node.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "SIGHUP" in ctl(t, node, "logs", "tail", "--component", "audit").stdout
             and "INVALID_ARGUMENT" in ctl(t, node, "logs", "tail", "--component", "audit").stdout,
             LIMIT_S, "an audit record of the refusal")
    expect(revision(t, node) == 2, "a file with mistakes became a revision")
    node.stop()


def hangup_finds_a_plugin_that_was_put_there_meanwhile(t):
    node = t.server("plugin")
    plugins = os.path.join(t.folder, "plugins")
    os.makedirs(plugins)
    shutil.copy(os.path.join(t.build.plugins, "rest.so"), plugins)
    node.config["plugins"] = {"path": [plugins]}
    node.config["instances"].append({"name": "new", "plugin": "good"})
    node.write_config()
    node.start()
    shown = ctl(t, node, "instances", "list").stdout
    expect("is not installed" in shown, f"without the plugin: {shown}")
    shutil.copy(os.path.join(t.build.folder, "tests", "bad_plugins", "good.so"), plugins)
    node.process.send_signal(signal.SIGHUP)
    wait_for(lambda: ctl(t, node, "health", "viaduct.instance/new").returncode == 0, LIMIT_S,
             "the instance to serve")
    node.stop()


def apply_is_compare_and_set(t):
    node = t.server("cas")
    node.start()
    done = ctl(t, node, "config", "apply", node.config_path, "--if-revision", "7")
    expect(done.returncode == 5, f"moved revision: {done.returncode} {done.stderr}")
    first = ctl_json(t, node, "config", "apply", node.config_path, "--request-id", "r-1")
    again = ctl_json(t, node, "config", "apply", node.config_path, "--request-id", "r-1")
    expect(first["revision"]["number"] == again["revision"]["number"], "not idempotent")
    done = ctl(t, node, "config", "apply", "/dev/null")
    expect(done.returncode == 6, f"empty document: {done.returncode} {done.stderr}")
    expect(revision(t, node) == int(first["revision"]["number"]), "the revision moved")
    node.stop()


def an_unconfirmed_revision_goes_back(t):
    node = t.server("confirm")
    node.start()
    watch = follow(t, node, "--json", "config", "watch")
    for _ in range(2):
        read_line(watch)  # The running one and the synced marker.
    node.config["log"]["level"] = "debug"
    node.write_config()
    applied = ctl_json(t, node, "config", "apply", node.config_path, "--confirm-within", "1s")
    expect(applied["revision"]["state"] == "REVISION_STATE_UNCONFIRMED", f"{applied}")
    states = {}
    end = monotonic() + LIMIT_S
    while "REVISION_STATE_ROLLED_BACK" not in states.values() and monotonic() < end:
        line = json.loads(read_line(watch) or "{}").get("revision")
        if line:
            states[line["number"]] = line["state"]
    watch.kill()
    expect(states.get("2") == "REVISION_STATE_ROLLED_BACK", f"states {states}")
    wait_for(lambda: revision(t, node) == 3, LIMIT_S, "revision 3")
    levels = ctl_json(t, node, "logs", "levels")["levels"]
    expect(levels[0]["level"] == "LOG_LEVEL_INFO", f"levels {levels}")
    node.stop()


def a_revision_that_kills_the_node_gives_way(t):
    node = t.server("crash")
    node.start()
    ctl_json(t, node, "config", "apply", node.config_path, "--confirm-within", "1m")
    ctl_json(t, node, "config", "confirm", "2")  # Now there is a last good one.
    node.stop()
    node.config["log"]["level"] = "debug"
    node.write_config()
    for _ in range(2):
        node.start(wait=False, env={"VIADUCT_CRASH_AT": "host.start.before_ready"})
        expect(node.wait_exit(LIMIT_S) == -signal.SIGKILL, "the crash point was not reached")
    node.start()
    revisions = ctl_json(t, node, "config", "revisions")["revisions"]
    by_number = {r["number"]: r["state"] for r in revisions}
    expect(by_number.get("3") == "REVISION_STATE_FAILED", f"revisions {by_number}")
    expect(revisions[0]["origin"] == "rollback", f"newest {revisions[0]}")
    levels = ctl_json(t, node, "logs", "levels")["levels"]
    expect(levels[0]["level"] == "LOG_LEVEL_INFO", f"levels {levels}")
    node.stop()


def hangup_keeps_what_was_applied_since(t):
    node = t.server("hangup2")
    node.start()
    text = os.path.join(t.folder, "applied.yaml")
    with open(text, "w") as f:
        json.dump({**node.config, "log": {"level": "debug", "format": "text"}}, f)
    ctl_json(t, node, "config", "apply", text)
    node.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "SIGHUP" in ctl(t, node, "logs", "tail", "--component", "audit").stdout,
             LIMIT_S, "an audit record")
    expect(revision(t, node) == 2, "the unchanged file took the place of what was applied")
    ctl_json(t, node, "config", "apply", text, "--confirm-within", "1m")
    node.config["log"]["level"] = "warning"
    node.write_config()
    node.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "waits for its confirmation" in node.tail(100), LIMIT_S, "a refusal")
    ctl_json(t, node, "config", "confirm", "3")
    node.config["log"]["level"] = "loud"
    node.write_config()
    node.process.send_signal(signal.SIGHUP)
    wait_for(lambda: f"{node.config_path}:" in node.tail(100), LIMIT_S, "the name of the file")
    expect(revision(t, node) == 3, "a file with mistakes became a revision")
    node.stop()


def a_start_that_fails_gives_way(t):
    """on_start_failure: fail ends the node; the revision counts as one that does not start."""
    blocker = socket.socket()
    blocker.bind(("127.0.0.1", 0))
    blocker.listen()
    node = t.server("fatal")
    node.start()
    ctl_json(t, node, "config", "apply", node.config_path, "--confirm-within", "1m")
    ctl_json(t, node, "config", "confirm", "2")
    node.stop()
    node.config["instances"].append(
        {"name": "must", "plugin": "rest", "on_start_failure": "fail", "config":
         {"role": "server", "listen": f"127.0.0.1:{blocker.getsockname()[1]}"}})
    node.write_config()
    for _ in range(2):
        node.start(wait=False)
        expect(node.wait_exit(LIMIT_S) == 1, f"on_start_failure: fail\n{node.tail()}")
    node.start()
    revisions = ctl_json(t, node, "config", "revisions")["revisions"]
    by_number = {r["number"]: r["state"] for r in revisions}
    expect(by_number.get("3") == "REVISION_STATE_FAILED", f"revisions {by_number}")
    expect(revisions[0]["origin"] == "rollback", f"newest {revisions[0]}")
    node.stop()
    blocker.close()


def a_restart_takes_the_whole_revision_over(t):
    node = t.server("takeover")
    node.start()
    changed = json.loads(json.dumps(node.config))
    changed["log"]["format"] = "json"
    text = os.path.join(t.folder, "changed.yaml")

    def apply(config, *options):
        with open(text, "w") as f:
            json.dump(config, f)
        return ctl(t, node, "config", "apply", text, *options)

    moved = json.loads(json.dumps(changed))
    moved["node"]["data_dir"] = os.path.join(t.folder, "elsewhere")
    done = apply(moved)
    expect(done.returncode == 6 and "/node/data_dir" in done.stderr, f"another folder: {done}")
    expect(apply(changed).returncode == 0, "the format was not applied")
    waits = "a restart of the node takes over: log"
    expect(waits in component_reasons(t, node), "nothing says that a restart is due")
    node.stop()
    node.start()
    last = node.tail(1).strip()
    expect(last.startswith("{"), f"the log is not JSON: {last}")
    expect(waits not in component_reasons(t, node), "a restart is due after the restart")
    node.stop()


def a_file_that_is_not_used_does_no_harm(t):
    secret = os.path.join(t.folder, "key")
    with open(secret, "w") as f:
        f.write("sesame")
    node = t.server("unused")
    plain = json.dumps(node.config)
    node.config["instances"].append(
        {"name": "up", "plugin": "rest", "start": "manual", "config":
         {"role": "client", "base_url": "http://127.0.0.1:1", "api_key": f"file:{secret}"}})
    node.write_config()
    node.start()
    text = os.path.join(t.folder, "plain.yaml")
    with open(text, "w") as f:
        f.write(plain)
    ctl_json(t, node, "config", "apply", text)
    node.stop()
    os.unlink(secret)
    node.start()
    expect(revision(t, node) == 2, "another revision runs")
    node.stop()


def secrets_never_come_back(t):
    node = t.server("secret")
    secret = "sesame-3f9c2a"
    node.config["instances"].append(
        {"name": "up", "plugin": "rest", "start": "manual",
         "config": {"role": "client", "base_url": "http://127.0.0.1:1", "api_key": secret}})
    node.write_config()
    node.start()
    shown = ""
    for arguments in (["config", "get"], ["instances", "get", "up"], ["config", "plan",
                      node.config_path], ["logs", "tail", "-n", "1000", "--level", "trace"]):
        done = ctl(t, node, "--json", *arguments)
        expect(done.returncode == 0, f"{arguments}: {done.stderr}")
        shown += done.stdout
    expect(secret not in shown, "a secret was shown")
    expect(secret not in node.tail(10000), "a secret is in the log")
    node.stop()


CHECKS = [
    hangup_reads_the_file_again,
    hangup_finds_a_plugin_that_was_put_there_meanwhile,
    hangup_keeps_what_was_applied_since,
    apply_is_compare_and_set,
    an_unconfirmed_revision_goes_back,
    a_revision_that_kills_the_node_gives_way,
    a_start_that_fails_gives_way,
    a_restart_takes_the_whole_revision_over,
    a_file_that_is_not_used_does_no_harm,
    secrets_never_come_back,
]


if __name__ == "__main__":
    main(lambda t: run_checks(t, CHECKS), limit=280)
