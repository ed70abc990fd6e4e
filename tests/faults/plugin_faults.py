#!/usr/bin/env python3
"""Fault 11: a plugin that throws, hangs, completes twice, never, for others, takes more than it was
offered or says that it would take everything. It stands beside a good road on the edge; nothing is
lost or doubled by it, the node lives, the good road goes on, and the bad instance is shown for
what it is. Also as the only road: the spool keeps everything until a good one comes.
"""

import json
import os
import subprocess

import common_path  # noqa: F401
from harness import Failure, main, say

BESIDE = ["throw", "hang", "twice", "unknown_tokens", "retry", "overtake", "fail_often",
          "throw_start", "hang_start", "hang_stop"]
# These take messages and are silent: the host gives them to another road after a minute.
SILENT, SILENT_LONG = ["never"], ["never", "greedy"]
PATIENCE_S = 120
ALONE = ["throw", "never", "retry", "twice"]
MESSAGES = 300


def faulty(fault):
    return {"name": "bad-road", "plugin": "faulty", "config": {"fault": fault, "hang_ms": 2000}}


def instances(t, node):
    done = subprocess.run([t.build.program("viaductctl"), "-s", node.control[len("unix:"):], "-j",
                           "instances", "list"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"viaductctl instances list: {done.stderr}")
    return json.loads(done.stdout)


def bad_state(t, node):
    text = json.dumps(instances(t, node))
    found = [i for i in json.loads(text).get("instances", []) if i.get("name") == "bad-road"]
    if not found:
        raise Failure(f"the bad instance is not listed: {text}")
    return str(found[0].get("state", "")).replace("INSTANCE_STATE_", "").lower()


def make_edge(t, server, name, fault):
    edge = t.edge(server.http_port, name=name)
    edge.config["plugins"]["path"].append(os.path.join(t.build.folder, "tests", "plugins"))
    # First in the file, so that a selector that takes the first road takes this one.
    edge.config["instances"].insert(0, faulty(fault))
    edge.write_config()
    return edge


def send(t, edge):
    for load in (t.http_load(edge.http_port, connections=4, messages=MESSAGES, seconds=20),
                 t.grpc_load(edge, messages=MESSAGES, frame=16, seconds=20)):
        result = load.result()
        if result["accepted"] != MESSAGES:
            raise Failure(f"{load.name}: {result}")


def beside(t, fault):
    server = t.server(name=f"server-{fault}")
    edge = make_edge(t, server, f"edge-{fault}", fault)
    server.start()
    edge.start()
    send(t, edge)
    t.await_stored(server, PATIENCE_S)
    state = bad_state(t, edge)
    t.conclude(server, [edge])
    return state


def alone(t, fault):
    server = t.server(name=f"server-alone-{fault}")
    edge = make_edge(t, server, f"edge-alone-{fault}", fault)
    good = edge.config["instances"].pop()
    edge.write_config()
    server.start()
    edge.start()
    send(t, edge)
    if server.total_detections() != 0:
        raise Failure("something reached the server by a road that carries nothing")
    state = bad_state(t, edge)
    edge.stop()
    edge.config["instances"][0] = good
    edge.write_config()
    edge.start()
    t.conclude(server, [edge])
    return state


def forget(t):
    t.nodes.clear()
    t.logs.clear()
    return t.figures.pop("ledger")["obligations"]


def run(t):
    states, obligations = {}, 0
    silent = SILENT_LONG if t.long else SILENT
    for kind, faults in ((beside, BESIDE + silent), (alone, ALONE)):
        for fault in faults:
            states[f"{fault}, {kind.__name__}"] = kind(t, fault)
            say(f"{fault}, {kind.__name__} a good road: shown as "
                f"{states[f'{fault}, {kind.__name__}']}")
            obligations += forget(t)
    t.figure(states=states, obligations=obligations)


main(run, limit=900)
