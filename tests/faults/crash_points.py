#!/usr/bin/env python3
"""Fault 2: SIGKILL at every named crash point of the host, twice in a row, over the whole road
edge -> server.

The names are read from the sources (VD_CRASH_POINT in core/, host/); a build with test hooks
honours VIADUCT_CRASH_AT. Points of the spool kill the edge, points of the store and the server's
half kill the server, the rest is tried on both. What a normal road never passes (salvage of a
damaged file, say) is listed as not reached here; unit tests of its room do that.
Short: each point once on fresh nodes with one more kill at the same place after the restart. Long:
also at the 2nd, 5th and 20th pass. With --store postgresql: the points of the store.
"""

import os
import re

import common_path  # noqa: F401
from harness import ROOT, Failure, main, monotonic, say, wait_for

POINT = re.compile(r'VD_CRASH_POINT\(\s*"([^"]+)"')
EDGE_AREAS = {"spool", "dispatcher", "gateway"}
SERVER_AREAS = {"store", "images", "lpr"}
# Only on roads that a fault-free file never takes; core/spool and core/store kill there.
UNIT_ONLY = re.compile(r"\.(salvage|dead|damage|set_aside|quarantine|migrate)\b")
# Those of files that come in: tests/integration/incoming_files.py kills there.
OF_FILES = re.compile(r"^(receive|store\.file)\.")
# Of backups: tests/integration/backup.py kills there.
OF_BACKUPS = re.compile(r"^backup\.")
MESSAGES = 40
DEATHS = 2


def crash_points():
    names = set()
    for area in ("core", "host"):
        for folder, _, files in os.walk(os.path.join(ROOT, area)):
            for file in files:
                if file.endswith((".cc", ".h")) and not file.endswith("_test.cc"):
                    with open(os.path.join(folder, file)) as f:
                        names.update(POINT.findall(f.read()))
    return sorted(n for n in names if "<" not in n and not n.startswith("test."))


def victims(name):
    area = name.split(".")[0]
    if area in EDGE_AREAS:
        return ["edge"]
    if area in SERVER_AREAS:
        return ["server"]
    return ["edge", "server"]


def traffic(t, server, edge, picture):
    """A little of everything; the loads wait for a dead node and try again."""
    named = {"retry": True, "seconds": 30, "drain_seconds": 30, "timeout_ms": 3000,
             "messages": MESSAGES, "reconnect_delay_ms": 20}
    return [t.http_load(edge.http_port, connections=2, **named),
            t.grpc_load(edge, frame=8, window=64, **named),
            t.http_load(server.http_port, connections=2, image=picture, **{**named, "messages": 6}),
            t.http_load(edge.http_port, connections=1, image=picture, **{**named, "messages": 6})]


def await_end(loads, node, seconds=30):
    """Until the victim has died ("died") or all loads are through and stored ("passed")."""
    end = monotonic() + seconds
    while monotonic() < end:
        if not node.alive():
            return True
        if not any(load.running() for load in loads):
            return False
        try:
            node.process.wait(0.02)
        except Exception:  # noqa: BLE001: only a look.
            pass
    raise Failure(f"{node.name}: neither dead nor through after {seconds} s\n{node.tail()}")


def start_armed(node, env):
    """True: it died at the point while it was starting."""
    try:
        node.start(env=env)
        return False
    except Failure:
        if node.process.poll() is None or node.process.returncode != -9:
            raise
        node.exits[-9] += 1
        return True


def one_point(t, name, n, victim_name, picture, number):
    """How often the victim died at this point (0: never reached)."""
    tag = f"{number:03d}{victim_name[0]}"
    server = t.server(name=f"server{tag}")
    edge = t.edge(server.http_port, name=f"edge{tag}")
    node = edge if victim_name == "edge" else server
    other = server if node is edge else edge
    env = {"VIADUCT_CRASH_AT": f"{name}:{n}"}
    deaths = 0
    other.start()
    died = start_armed(node, env)
    loads = traffic(t, server, edge, picture)
    for _ in range(DEATHS):
        if not died:
            died = await_end(loads, node)
        if not died:
            # Not on the way of traffic: perhaps while it drains, or on the way out.
            owed = len(t.obligations())
            wait_for(lambda o=owed: not node.alive() or server.total_detections() >= o, 30,
                     f"{owed} detections on {server.name}, or the end of {node.name}", 0.05)
            if node.alive():
                node.process.terminate()
            died = node.wait_exit(20) == -9
            if not died:
                break
        else:
            node.wait_exit(5)
        deaths += 1
        if deaths < DEATHS:
            died = start_armed(node, env)
            if not died and not any(load.running() for load in loads):
                loads += traffic(t, server, edge, picture)
    if not node.alive():
        node.start()
    for load in loads:
        result = load.result(60)
        if result["accepted"] != result["made"]:
            raise Failure(f"{name}: {load.name}: {result}")
    t.conclude(server, [edge], fresh=False, seconds=30)
    return deaths


def forget(t):
    """The next point has nodes, ids and a store of its own."""
    for node in t.nodes:
        if node.alive():
            raise Failure(f"{node.name} still runs")
    totals = t.figures.pop("ledger", {})
    t.nodes.clear()
    t.loads.clear()
    for path in t.logs:
        if os.path.exists(path):
            os.unlink(path)
    t.logs.clear()
    return totals.get("obligations", 0)


def run(t):
    names = [n for n in crash_points()
             if not (UNIT_ONLY.search(n) or OF_FILES.search(n) or OF_BACKUPS.search(n))]
    if t.store == "postgresql":
        # The rest is as it was; here every new database passes the migrations.
        names = [n for n in crash_points() if n.startswith("store.") and not OF_FILES.search(n) and
                 (".migrate." in n or not UNIT_ONLY.search(n))]
    if not names:
        raise Failure("no crash points in the sources")
    picture = t.picture("CP1", 8000, 240, 136)
    reached, missed, obligations, kills = [], [], 0, 0
    passes = (1, 2, 5, 20) if t.long else (1,)
    number = 0
    for name in names:
        best = 0
        for victim in victims(name):
            for n in passes:
                number += 1
                deaths = one_point(t, name, n, victim, picture, number)
                obligations += forget(t)
                kills += deaths
                best = max(best, deaths)
        (reached if best else missed).append(name)
        say(f"{name}: {best} kills in a row" if best else f"{name}: not reached")
    t.figure(points=len(names), reached=len(reached), not_reached=missed, kills=kills,
             obligations=obligations)
    if len(reached) * 2 < len(names):
        raise Failure(f"only {len(reached)} of {len(names)} points were reached: {missed}")


main(run, limit=900)
