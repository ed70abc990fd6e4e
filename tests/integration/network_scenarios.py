#!/usr/bin/env python3
"""An edge and a server with emulated roads between them: what cameras hand to the edge reaches the
server's store over REST, each detection once, on suburban and rural roads, over two of which one is
cut meanwhile, and (long) from a vehicle. Figures of each scenario: the time from the moment a
detection is due to its commit on the server, the time that the edge waited for the confirmation,
and what each road has carried and lost.
Short: 200 detections each. Long: 2000, and the vehicle, an hour in a minute.
"""

import collections
import json
import subprocess

import common_path  # noqa: F401
from emulated_network import GOOD, RURAL, SUBURBAN, URBAN, EmulatedNetwork, become_root, vehicle
from harness import Failure, main, say, wait_for

SHORT_MESSAGES, LONG_MESSAGES = 200, 2000
PATIENCE_S = 200

# The roads of the edge (name -> settings), detections a second, and a function of the trial that
# makes the timeline that is played meanwhile.
Scenario = collections.namedtuple("Scenario", "name roads rate timeline", defaults=[None])


def wifi_is_cut(_t):
    return [{"at": 1, "do": "cut", "link": "wifi"}, {"at": 3, "do": "heal", "link": "wifi"}]


def drive(t):
    return vehicle(["lte", "gsm"], t.seed, 3600, compression=60)


SCENARIOS = [
    Scenario("suburban", {"lte": SUBURBAN}, 50),
    Scenario("rural", {"lte": RURAL}, 12),
    Scenario("two roads, one is cut", {"wifi": URBAN, "lte": SUBURBAN}, 50, wifi_is_cut),
]
LONG_SCENARIOS = [Scenario("vehicle", {"lte": GOOD, "gsm": GOOD}, 30, drive)]


def snapshot(t, edge):
    done = subprocess.run([t.build.program("viaductctl"), "-s", edge.control[len("unix:"):], "-j",
                           "stats", "show"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"viaductctl stats: {done.stderr}")
    return json.loads(done.stdout)["snapshot"]


def milliseconds(duration):
    return round(1000 * float(duration.rstrip("s")), 1)


def confirmation_figures(uplink):
    """How long the edge waited from the acceptance to the confirmation; the quantiles are those of
    the road alone, and the upper bounds of their buckets."""
    phases = {phase["phase"]: phase["latency"] for phase in uplink["phases"]}
    confirmed = int(uplink["confirmed"])
    if not confirmed:
        return {}
    total = sum(milliseconds(latency["sum"]) for latency in phases.values())
    return {"mean": round(total / confirmed, 1),
            **{f"{name} at most": milliseconds(phases["deliver"][name]) for name in ("p50", "p99")}}


def road_figures(network, stats):
    """Per road: what the edge has had confirmed over it, what was lost on it."""
    figures = {}
    instances = {instance["instance"]: instance for instance in stats["instances"]}
    links = network.stats()["links"]
    for name in network.roads:
        uplink, link = instances[f"uplink-{name}"], links[name]
        packets = {what: sum(link[direction][what]["packets"] for direction in ("up", "down"))
                   for what in ("passed", "lost", "queue_dropped", "cut")}
        figures[name] = {"confirmed": int(uplink["confirmed"]), "retried": int(uplink["retried"]),
                         "confirmed_ms": confirmation_figures(uplink), "packets": packets}
    return figures


def check_roads(scenario, roads, messages):
    """Everything came over these roads, and they were as bad as they were said to be."""
    confirmed = sum(road["confirmed"] for road in roads.values())
    if confirmed != messages:
        raise Failure(f"{scenario.name}: {confirmed} confirmed, {messages} sent")
    for name, settings in scenario.roads.items():
        packets = roads[name]["packets"]
        if packets["lost"] == 0 and packets["passed"] * settings["loss_percent"] > 2000:
            raise Failure(f"{scenario.name}: {name} has lost nothing: {packets}")
    if scenario.timeline and not sum(road["packets"]["cut"] for road in roads.values()):
        raise Failure(f"{scenario.name}: no packet went into a cut: {roads}")


def least_way_ms(scenario):
    """No commit can be sooner than the fastest road brings its message."""
    return min(settings["delay_ms"] for settings in scenario.roads.values())


def commit_figures(scenario, result, messages):
    if result["accepted"] != messages or result["answers"]["commits heard"] != messages:
        raise Failure(f"{scenario.name}: {result}")
    commits = {name: round(result["latency_ms"][name], 1) for name in ("p50", "p90", "p99", "max")}
    if commits["p50"] < least_way_ms(scenario):
        raise Failure(f"{scenario.name}: a commit after {commits} ms has not come over these roads")
    return commits


def play(t, scenario, number):
    """One scenario, from empty nodes to the verdict of the ledger; its figures."""
    network = EmulatedNetwork(t, scenario.roads)
    server = network.server(name=f"server{number}")
    edge = network.edge(server, name=f"edge{number}")
    server.start()
    edge.start()
    if scenario.timeline:
        network.play(scenario.timeline(t))
    messages = LONG_MESSAGES if t.long else SHORT_MESSAGES
    load = t.grpc_load(edge, messages=messages, rate=scenario.rate, seconds=PATIENCE_S,
                       watch=server.control, watch_drain_seconds=PATIENCE_S)
    result = load.result(2 * PATIENCE_S)
    commits = commit_figures(scenario, result, messages)
    wait_for(lambda: int(snapshot(t, edge)["spool"]["confirmed"]) == messages, PATIENCE_S,
             f"{messages} confirmed messages", 0.1)
    figures = {"commit_ms": commits, "roads": road_figures(network, snapshot(t, edge))}
    check_roads(scenario, figures["roads"], messages)
    network.say("stop")
    network.heal()
    t.conclude(server, [edge], seconds=PATIENCE_S)
    network.close()
    t.logs.clear()
    figures["ledger"] = t.figures.pop("ledger")["sqlite"]
    return figures


def run(t):
    for number, scenario in enumerate(SCENARIOS + (LONG_SCENARIOS if t.long else [])):
        t.figure(**{scenario.name: play(t, scenario, number)})
        say(f"{scenario.name}: {json.dumps(t.figures[scenario.name])}")


if __name__ == "__main__":
    become_root()
    main(run)
