#!/usr/bin/env python3
"""Two network namespaces and the roads between them, through link_emulator. Python's standard
library only.

    network = EmulatedNetwork(t, {"lte": RURAL, "wifi": URBAN})
    with network.near.inside():         # what is started or opened here lives there
        edge.start()
    network.cut("lte")

The near end is an edge's, the far end a server's; every road has an address at each. The namespaces
have no names: they are held by descriptors of this process and by what runs in them, and so they
are gone when it is, however it ends.

By hand: commands of link_commands.h on standard input, an empty line ends it.

    tests/support/emulated_network.py --build build/dev --road lte=rural --road wifi=vehicle
"""

import argparse
import contextlib
import ctypes
import json
import os
import random
import socket
import subprocess
import sys

from processes import STOP_LIMIT_S, CannotRun, Failure, die_with_parent

CLONE_NEWNET = 0x40000000
CONTROL_LIMIT_S = 10
NO_LIMIT = 0

_libc = ctypes.CDLL(None, use_errno=True)


def road(round_trip_ms, loss_percent=0, rate_kbit=NO_LIMIT, queue_bytes=256 << 10, jitter_ms=0):
    """Settings of a road, every one of them. The delay is a round trip, as people measure it, half
    of it each way; loss and rate are those of each direction."""
    return {"delay_ms": round_trip_ms / 2, "jitter_ms": jitter_ms, "reorder": False,
            "rate_kbit": rate_kbit, "queue_bytes": queue_bytes, "loss_percent": loss_percent}


URBAN = road(5)
SUBURBAN = road(80, loss_percent=1)
RURAL = road(400, loss_percent=8, rate_kbit=256, queue_bytes=32 << 10)
GOOD = road(40, rate_kbit=20_000)  # The vehicle in reach of a mast.
PRESETS = {"urban": URBAN, "suburban": SUBURBAN, "rural": RURAL}

# How many seconds a vehicle has a road of this kind.
STAYS = {"good": (10, 120), "poor": (5, 90), "none": (3, 60)}


def vehicle(roads, seed, seconds, compression=1):
    """A timeline for each of the roads by itself: good, poor or none for seconds to minutes, all of
    it so many times faster. Only the stays are compressed: a packet is as slow as it is."""
    timeline = []
    for name in roads:
        chance = random.Random(f"{seed}/{name}")
        at, state = 0.0, chance.choice(sorted(STAYS))
        while at < seconds:
            timeline += _turn(name, round(at / compression, 3), state)
            at += chance.uniform(*STAYS[state])
            state = chance.choice([other for other in sorted(STAYS) if other != state])
    return sorted(timeline, key=lambda entry: entry["at"])


def _turn(name, at, state):
    if state == "none":
        return [{"at": at, "do": "cut", "link": name}]
    settings = GOOD if state == "good" else RURAL
    return [{"at": at, "do": "set", "link": name, "settings": settings},
            {"at": at, "do": "heal", "link": name}]


def become_root():
    """Where this script is not root, runs it again as root of a user namespace of its own. To be
    called before anything else."""
    if os.environ.get("VIADUCT_PRIVATE_USERS") == "1":
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    elif os.geteuid() != 0:
        os.environ["VIADUCT_PRIVATE_USERS"] = "1"
        # With a network of its own: there is no way back to one of another user.
        os.execvp("unshare", ["unshare", "-Urn", sys.executable, *sys.argv])


def _must(result, what):
    if result != 0:
        raise CannotRun(f"{what}: {os.strerror(ctypes.get_errno())}")


def _own_namespace():
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY)


class Namespace:
    """A network namespace of its own, in which nothing but loopback is up."""

    def __init__(self):
        home = _own_namespace()
        try:
            _must(_libc.unshare(CLONE_NEWNET), "no network namespace")
            self.fd = _own_namespace()
            _must(_libc.setns(home, CLONE_NEWNET), "no way back from a namespace")
        finally:
            os.close(home)
        with self.inside():
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            # Or its neighbours' talk is among the packets that are counted.
            if os.path.exists("/proc/sys/net/ipv6"):
                with open("/proc/sys/net/ipv6/conf/all/disable_ipv6", "w") as f:
                    f.write("1")

    @property
    def path(self):
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    @property
    def inode(self):
        return os.fstat(self.fd).st_ino

    @contextlib.contextmanager
    def inside(self):
        """The calling thread opens sockets and starts processes in the namespace."""
        home = _own_namespace()
        _must(_libc.setns(self.fd, CLONE_NEWNET), "cannot enter a namespace")
        try:
            yield self
        finally:
            _must(_libc.setns(home, CLONE_NEWNET), "no way back from a namespace")
            os.close(home)

    def devices(self):
        with self.inside():
            return [name for _, name in socket.if_nameindex()]

    def close(self):
        os.close(self.fd)


class EmulatedNetwork:
    """`roads`: name -> settings. Closed with the trial. To be made on the trial's main thread: the
    emulator ends with the thread that started it."""

    def __init__(self, trial, roads, seed=None):
        self.trial = trial
        self.roads = list(roads)
        self.seed = trial.seed if seed is None else seed
        self._number = len(trial.cleanups)
        self._timelines = 0
        self._open = contextlib.ExitStack()
        trial.cleanups.append(self.close)
        self.near = self._namespace()
        self.far = self._namespace()
        self._start(roads)

    def _namespace(self):
        namespace = Namespace()
        self._open.callback(namespace.close)
        return namespace

    def near_address(self, name):
        return f"10.77.{self.roads.index(name) + 1}.1"

    def far_address(self, name):
        return f"10.77.{self.roads.index(name) + 1}.2"

    def _path(self, ending):
        return os.path.join(self.trial.folder, f"network{self._number}.{ending}")

    def config(self, roads):
        links = [{"name": name, "settings": settings, "ends": [
            {"namespace": end.path, "device": name, "address": address(name) + "/30"}
            for end, address in ((self.near, self.near_address), (self.far, self.far_address))]}
            for name, settings in roads.items()]
        return {"seed": self.seed, "control": self._path("sock"), "links": links}

    def _start(self, roads):
        with open(self._path("json"), "w") as f:
            json.dump(self.config(roads), f, indent=2)
        self.process = subprocess.Popen(
            [self.trial.build.program("link_emulator"), self._path("json")],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
        self._open.callback(self._stop)
        if not self.process.stdout.readline().startswith("seed "):
            status, error = self.process.wait(), self.process.stderr.read().strip()
            if status == 1:
                raise CannotRun(error)
            raise Failure(f"link_emulator ended with {status}: {error}")
        self.process.stdout.readline()
        control = self._open.enter_context(socket.socket(socket.AF_UNIX))
        control.settimeout(CONTROL_LIMIT_S)
        control.connect(self._path("sock"))
        self._control = self._open.enter_context(control.makefile("rw"))

    def _stop(self):
        self.process.terminate()
        self.process.communicate(timeout=STOP_LIMIT_S)

    def close(self):
        self._open.close()

    # --- Commands ---

    def ask(self, line):
        """One command as text; the answer as text."""
        self._control.write(line + "\n")
        self._control.flush()
        return self._control.readline().strip()

    def say(self, do, **fields):
        words = {key: value for key, value in fields.items() if value is not None}
        answer = json.loads(self.ask(json.dumps({"do": do, **words})))
        if not answer["ok"]:
            raise RuntimeError(f"link_emulator: {do}: {answer['error']}")
        return answer

    def set(self, settings, name=None):
        self.say("set", settings=settings, link=name)

    def cut(self, name=None, direction=None):
        self.say("cut", link=name, direction=direction)

    def heal(self, name=None, direction=None):
        self.say("heal", link=name, direction=direction)

    def stats(self):
        return self.say("stats")

    def counts(self, name, direction, what="passed"):
        return self.stats()["links"][name][direction][what]["packets"]

    def play(self, timeline):
        """From now on."""
        self._timelines += 1
        path = self._path(f"timeline{self._timelines}")
        with open(path, "w") as f:
            json.dump(timeline, f)
        self.say("play", timeline=path)

    # --- Nodes ---

    def server(self, **changes):
        """A server at the far end, behind all of its addresses."""
        node = self.trial.server(**changes)
        node.config["instances"][0]["config"]["listen"] = f"0.0.0.0:{node.http_port}"
        node.config["auth"] = "none"  # The network is the trial's own.
        node.inside = self.far.inside
        node.write_config()
        return node

    def edge(self, server, **changes):
        """An edge at the near end, with an uplink to the server for every road."""
        node = self.trial.edge(server.http_port, **changes)
        listener, uplink = node.config["instances"]
        node.config["instances"] = [listener]
        for name in self.roads:
            url = f"http://{self.far_address(name)}:{server.http_port}"
            node.config["instances"].append({**uplink, "name": f"uplink-{name}", "config": {
                **uplink["config"], "base_url": url}})
        node.inside = self.near.inside
        node.write_config()
        return node


def _by_hand():
    from harness import Trial
    parser = argparse.ArgumentParser(description=__doc__.strip(),
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/dev")
    parser.add_argument("--road", action="append", metavar="NAME=PRESET",
                        help="urban, suburban, rural or vehicle; default road=urban")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3600, help="of the vehicle's drive")
    parser.add_argument("--compression", type=float, default=1, help="of the vehicle's drive")
    args = parser.parse_args()
    presets = dict(word.split("=", 1) for word in args.road or ["road=urban"])
    if not set(presets.values()) <= {*PRESETS, "vehicle"}:
        parser.error(f"--road: presets are {', '.join(PRESETS)} and vehicle")
    trial = Trial(args.build, False, args.seed, "network")
    try:
        network = EmulatedNetwork(trial, {name: PRESETS.get(preset, GOOD)
                                          for name, preset in presets.items()})
        for end in ("near", "far"):
            print(f"{end}: nsenter --net={getattr(network, end).path} sh")
        for name in network.roads:
            print(f"{name}: {network.near_address(name)} to {network.far_address(name)}")
        print(f"emulator: {network.process.pid}", flush=True)
        moving = [name for name, preset in presets.items() if preset == "vehicle"]
        if moving:
            network.play(vehicle(moving, args.seed, args.seconds, args.compression))
        for line in sys.stdin:
            if not line.strip():
                break
            print(network.ask(line.strip()), flush=True)
    except (CannotRun, Failure) as e:
        sys.exit(f"network: {e}")
    except KeyboardInterrupt:
        pass
    finally:
        trial.close(True)


if __name__ == "__main__":
    become_root()
    _by_hand()
