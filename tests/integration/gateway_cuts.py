#!/usr/bin/env python3
"""An edge with websocket, REST and MQTT uplinks, each on a road of its own, under steady traffic: the
road that is used is cut silently, then the next one, then all of them, and each time healed. How
long until another uplink is used (at most 2 s), until the first commit after a total outage, and
until the best road is used again; what waited meanwhile is committed once. A road that is not used
may be cut and healed without any effect, and nothing flaps while nothing happens.
Short: one round. Long: ten, with more peace between them.
"""

import json
import threading

import common_path  # noqa: F401
from emulated_network import EmulatedNetwork, become_root, road
from harness import SLOW, Failure, main, monotonic, say, wait_for
from uplinks import PROTOCOLS, Site

RATE = 20
ROADS = {"websocket": road(10), "rest": road(60), "mqtt": road(100)}
SHORT_ROUNDS, LONG_ROUNDS = 1, 10
SWITCH_LIMIT_S = 2
LOOK_S = 0.02
LOOKING_S = 0.3  # A look is a process, and a machine may be busy.
RETURN_LIMIT_S = 150
SHORT_STEADY_S, LONG_STEADY_S = 10, 70
SECONDS_PER_SWITCH = 30
OUTAGE_S = 3
FOREVER_S = 3600
PATIENCE_S = 120


class Watch:
    """What the edge says of its switches."""

    def __init__(self, site):
        self.site = site

    def switches(self):
        snapshot = self.site.snapshot()
        return int(snapshot.get("switched", 0)), snapshot.get("switches", [])

    def used(self):
        return self.switches()[1][-1]["to"]

    def confirmed(self):
        return sum(self.site.confirmed().values())

    def await_used(self, is_it, seconds, what):
        """Seconds until messages take an uplink that is so."""
        begin = monotonic()
        try:
            wait_for(lambda: is_it(self.used()), seconds, what, LOOK_S)
        except Failure:
            say(json.dumps(self.site.explain()))
            raise
        return round(monotonic() - begin, 2)


def wait_out(seconds):
    threading.Event().wait(seconds)


def steady(watch, seconds):
    """Nothing happens, and nothing changes, but for what is still being learnt."""
    before, _ = watch.switches()
    wait_out(seconds)
    after, switches = watch.switches()
    if after - before > max(1, seconds / SECONDS_PER_SWITCH):
        raise Failure(f"{after - before} switches in {seconds} s of peace: {switches[-5:]}")
    return after - before


def cut_unused(site, watch):
    """Each road that is not used."""
    used, (before, _) = watch.used(), watch.switches()
    unused = [name for name in PROTOCOLS if name != used]
    for name in unused:
        site.network.cut(name)
        wait_out(OUTAGE_S)
        site.network.heal(name)
    if watch.used() != used or watch.switches()[0] != before:
        raise Failure(f"{used} was left when {unused} were cut: {watch.switches()}")


def cut_used(site, watch):
    """The road that is used is cut: its name, and how long until another one is."""
    used = watch.used()
    site.network.cut(used)
    took = watch.await_used(lambda now: now != used, PATIENCE_S, f"another road than {used}")
    if took > (SWITCH_LIMIT_S + LOOKING_S) * SLOW:
        raise Failure(f"{took} s until {used} was left")
    return used, took


def cut_all(site, watch):
    """No road for a while; seconds from the heal to the first confirmation."""
    site.network.cut()
    wait_out(OUTAGE_S)
    before = watch.confirmed()
    begin = monotonic()
    site.network.heal()
    wait_for(lambda: watch.confirmed() > before, PATIENCE_S, "a confirmation", LOOK_S)
    return round(monotonic() - begin, 2)


def one_round(site, watch, steady_s):
    first, switch_1 = cut_used(site, watch)
    second, switch_2 = cut_used(site, watch)
    say(f"{first} left after {switch_1} s, {second} after {switch_2} s")
    site.network.heal()
    back = watch.await_used(lambda now: now == "websocket", RETURN_LIMIT_S, "the best road again")
    first_commit = cut_all(site, watch)
    back_2 = watch.await_used(lambda now: now == "websocket", RETURN_LIMIT_S, "the best road again")
    cut_unused(site, watch)
    return {"switch_s": {first: switch_1, second: switch_2}, "return_s": [back, back_2],
            "first_commit_s": first_commit, "switches_in_peace": steady(watch, steady_s)}


def run(t):
    network = EmulatedNetwork(t, ROADS)
    site = Site(t, network, {name: name for name in PROTOCOLS})
    site.start()
    watch = Watch(site)
    load = site.begin_for(FOREVER_S, RATE)
    wait_for(lambda: watch.confirmed() > 4 * RATE, PATIENCE_S, "traffic")
    watch.await_used(lambda now: now == "websocket", RETURN_LIMIT_S, "the best road")
    rounds = []
    for _ in range(LONG_ROUNDS if t.long else SHORT_ROUNDS):
        rounds.append(one_round(site, watch, LONG_STEADY_S if t.long else SHORT_STEADY_S))
        say(json.dumps(rounds[-1]))
    load.stop()
    figures = site.figures()
    t.figure(rounds=rounds, **figures, ledger=site.conclude())


if __name__ == "__main__":
    become_root()
    main(run)
