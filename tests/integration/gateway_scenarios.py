#!/usr/bin/env python3
"""An edge with websocket, REST and MQTT uplinks (a real mosquitto at the server) over emulated roads:
urban, suburban, rural, one suburban road for all three, and from a vehicle whose roads are good, poor
or gone by themselves. Everything arrives once; the figures of each scenario are the share of each
uplink, its switches, and the time from the moment a detection is due to its commit on the server.
Short: the edge that chooses, some seconds each, all at once, with coarse bounds.
Long: beside it, at the same time, with the same roads, seed and load, an edge for each uplink alone:
the one that chooses is as good as the best of them (10 %), and from the vehicle better than each.
"""

import collections
import json
import statistics

import common_path  # noqa: F401
from emulated_network import (GOOD, RURAL, SUBURBAN, URBAN, EmulatedNetwork, become_root,
                              vehicle)
from harness import SLOW, Failure, main, say
from uplinks import PROTOCOLS, Site

REPEATS = 3
ALLOWED = 1.1
NOISE_MS = {"mean": 3, "p50": 3, "p99": 15}  # Of a busy machine, beside that.
SECONDS_PER_SWITCH = 30
FIRST_SWITCHES = 2  # The first choice, and another once each uplink has confirmed something.
DRIVE_S = 3600

# Detections a second, for how many seconds (short, long), and what the median and the 99th
# percentile must be below in any case.
Scenario = collections.namedtuple(
    "Scenario", "name settings rate short_s long_s p50_ms p99_ms shared drive", defaults=[False] * 2)
SCENARIOS = [
    Scenario("urban", URBAN, 20, 8, 60, 500, 5000),
    Scenario("suburban", SUBURBAN, 20, 8, 60, 1000, 8000),
    Scenario("rural", RURAL, 5, 12, 240, 4000, 20_000),
    Scenario("one road for all", SUBURBAN, 20, 8, 60, 1000, 8000, shared=True),
    Scenario("vehicle", GOOD, 10, 25, 300, 5000, 25_000, drive=True),
]


class Run:
    """One edge in one scenario."""

    def __init__(self, t, scenario, uplinks, number):
        self.t, self.scenario = t, scenario
        self.seconds = scenario.long_s if t.long else scenario.short_s
        roads = ["shared"] if scenario.shared else list(PROTOCOLS)
        self.network = EmulatedNetwork(t, {name: scenario.settings for name in roads})
        self.site = Site(t, self.network,
                         {p: "shared" if scenario.shared else p for p in uplinks}, str(number))
        self.messages = int(scenario.rate * self.seconds)

    def start(self):
        self.site.start()

    def begin(self):
        if self.scenario.drive:
            # As much of the drive in the short form as keeps the stays as long.
            drive_s = DRIVE_S if self.t.long else DRIVE_S * self.seconds / self.scenario.long_s
            self.network.play(vehicle(list(PROTOCOLS), self.t.seed, drive_s,
                                      compression=drive_s / self.seconds))
        self.site.begin(self.messages, self.scenario.rate)

    def end(self):
        figures = self.site.figures()
        figures["ledger"] = self.site.conclude()
        return figures


def check(scenario, figures, seconds):
    """What holds in the short form too."""
    commits = figures["commit_ms"]
    if commits["p50"] < scenario.settings["delay_ms"]:
        raise Failure(f"{scenario.name}: a commit after {commits} ms has not come over these roads")
    if commits["p50"] > scenario.p50_ms * SLOW or commits["p99"] > scenario.p99_ms * SLOW:
        raise Failure(f"{scenario.name}: commits after {commits} ms")
    used = [name for name, share in figures["share"].items() if share > 0]
    if len(used) < 2:
        raise Failure(f"{scenario.name}: nothing was learnt of the others: {figures['share']}")
    most = FIRST_SWITCHES + seconds / SECONDS_PER_SWITCH
    if not scenario.drive and figures["switched"] > most:
        raise Failure(f"{scenario.name}: {figures['switched']} switches in {seconds} s: "
                      f"{figures['switches']}")


def short(t):
    runs = [Run(t, scenario, PROTOCOLS, number) for number, scenario in enumerate(SCENARIOS)]
    for run_ in runs:
        run_.start()
    for run_ in runs:
        run_.begin()
    for run_ in runs:
        figures = run_.end()
        t.figure(**{run_.scenario.name: figures})
        say(f"{run_.scenario.name}: {json.dumps(figures)}")
        check(run_.scenario, figures, run_.seconds)


def beside_each_other(t, scenario, number):
    """The edge that chooses and those that have no choice; figures by name."""
    choices = {"adaptive": PROTOCOLS, **{name: (name,) for name in PROTOCOLS}}
    runs = {name: Run(t, scenario, uplinks, f"{number}{name}")
            for name, uplinks in choices.items()}
    for run_ in runs.values():
        run_.start()
    for run_ in runs.values():
        run_.begin()
    figures = {name: run_.end() for name, run_ in runs.items()}
    check(scenario, figures["adaptive"], scenario.long_s)
    t.nodes.clear()
    return figures


def compare(scenario, rounds):
    """Medians over the rounds; the ratio of adaptive to the best uplink alone, by mean."""
    medians = {name: {what: statistics.median(r[name]["commit_ms"][what] for r in rounds)
                      for what in ("mean", "p50", "p99")} for name in rounds[0]}
    adaptive = medians["adaptive"]
    best = min(PROTOCOLS, key=lambda name: medians[name]["mean"])
    ratio = {what: round(adaptive[what] / medians[best][what], 2) for what in adaptive}
    figures = {"medians": medians, "best alone": best, "ratio": ratio,
               "p99 of each": {name: [r[name]["commit_ms"]["p99"] for r in rounds]
                               for name in ("adaptive", best)},
               "share": [r["adaptive"]["share"] for r in rounds],
               "switched": [r["adaptive"]["switched"] for r in rounds]}
    say(f"{scenario.name}: {json.dumps(figures)}")
    for what, value in adaptive.items():
        if value > medians[best][what] * ALLOWED + NOISE_MS[what]:
            raise Failure(f"{scenario.name}: {what} {value} ms, {best} alone {medians[best]}")
        if scenario.drive and value >= min(medians[name][what] for name in PROTOCOLS):
            raise Failure(f"{scenario.name}: {what} {value} ms is not better than alone: {medians}")
    return figures


def run(t):
    if not t.long:
        short(t)
        return
    for place, scenario in enumerate(SCENARIOS):
        rounds = [beside_each_other(t, scenario, f"{place}-{number}-")
                  for number in range(REPEATS)]
        t.figure(**{scenario.name: compare(scenario, rounds)})


if __name__ == "__main__":
    become_root()
    main(run)
