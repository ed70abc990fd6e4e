"""A site for the scripts that judge the gateway: a server that takes websocket, REST and MQTT (through
a mosquitto beside it) at the far end of emulated roads, and an edge with an uplink for each of them
at the near end. Python's standard library only.

    network = EmulatedNetwork(t, {"websocket": URBAN, "rest": RURAL, "mqtt": URBAN})
    site = Site(t, network, {name: name for name in PROTOCOLS})   # uplink -> its road
    site.start()
"""

import json
import subprocess

from broker import Broker
from harness import Failure, free_port, wait_for

PROTOCOLS = ("websocket", "rest", "mqtt")
READY_LIMIT_S = 60
PATIENCE_S = 200
LOAD_LIMIT_S = 1800


def milliseconds(duration):
    return round(1000 * float(duration.rstrip("s")), 1)


class Site:
    """`uplinks`: protocol -> name of the road it takes, in the order of the edge's instances.
    `gateway`: of the edge's configuration; `edge`: more of it, as `Trial.edge` takes it."""

    def __init__(self, trial, network, uplinks, name="", gateway=None, **edge):
        self.trial, self.network, self.uplinks = trial, network, uplinks
        self.broker = None
        self.server = network.server(name=f"server{name}")
        self.edge = network.edge(self.server, name=f"edge{name}", **edge)
        self.load = None
        if "mqtt" in uplinks:
            self.broker = Broker(trial, f"broker{name}", address="0.0.0.0")
        self.sockets = free_port()
        self.server.config["instances"] += self._listeners()
        self.server.write_config()
        instances = self.edge.config["instances"]
        instances[1:] = [self._uplink(protocol) for protocol in uplinks]
        self.edge.config["gateway"] = gateway or {}
        self.edge.write_config()

    def _listeners(self):
        listeners = []
        if "websocket" in self.uplinks:
            listeners.append({"name": "sockets", "plugin": "websocket", "config": {
                "role": "server", "listen": f"0.0.0.0:{self.sockets}"}})
        if self.broker:
            listeners.append({"name": "mqtt", "plugin": "mqtt", "config": {
                "role": "server", "broker_url": f"127.0.0.1:{self.broker.port}",
                "client_id": "SERVER1"}})
        return listeners

    def _uplink(self, protocol):
        address = self.network.far_address(self.uplinks[protocol])
        where = {"websocket": {"server_url": f"ws://{address}:{self.sockets}"},
                 "rest": {"base_url": f"http://{address}:{self.server.http_port}"},
                 "mqtt": {"broker_url": f"{address}:{self.broker.port if self.broker else 0}",
                          "client_id": "CAM001"}}[protocol]
        return {"name": protocol, "plugin": protocol, "config": {"role": "client", **where}}

    def start(self, **edge):
        """`edge`: as `Node.start` takes it."""
        if self.broker:
            with self.network.far.inside():
                self.broker.start()
        self.server.start()
        self.edge.start(**edge)
        wait_for(self._all_ready, READY_LIMIT_S, f"the uplinks of {self.edge.name}", 0.05)

    def _all_ready(self):
        return all(link.get("eligible") for link in self.explain().get("links", []))

    def ask(self, *words):
        done = subprocess.run([self.trial.build.program("viaductctl"), "-s",
                               self.edge.control[len("unix:"):], "-j", *words],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failure(f"viaductctl {words}: {done.stderr}")
        return json.loads(done.stdout)

    def snapshot(self):
        return self.ask("stats", "show")["snapshot"]

    def explain(self, size=700, priority="normal"):
        return self.ask("gateway", "explain", "--bytes", str(size), "--priority", priority)

    def confirmed(self):
        return {i["instance"]: int(i["confirmed"]) for i in self.snapshot()["instances"]
                if i["instance"] in self.uplinks}

    def begin(self, messages, rate):
        """The load: what it measures is the time from the moment a message is due at the edge to its
        commit on the server."""
        return self._begin(rate, messages / rate + PATIENCE_S, messages=messages)

    def begin_for(self, seconds, rate):
        """The same, until it is stopped."""
        return self._begin(rate, seconds)

    def _begin(self, rate, seconds, **named):
        self.load = self.trial.grpc_load(
            self.edge, rate=rate, seconds=seconds, watch=self.server.control,
            watch_drain_seconds=PATIENCE_S, **named)
        return self.load

    def figures(self):
        """Waits for the end of the load and for every confirmation."""
        result = self.load.result(2 * PATIENCE_S + LOAD_LIMIT_S)
        messages = result["made"]
        if result["accepted"] != messages or result["answers"]["commits heard"] != messages:
            raise Failure(f"{self.edge.name}: {result}")
        wait_for(lambda: int(self.snapshot()["spool"]["confirmed"]) >= messages, PATIENCE_S,
                 f"{messages} confirmed messages of {self.edge.name}", 0.1)
        snapshot, confirmed = self.snapshot(), self.confirmed()
        total = sum(confirmed.values())
        return {"messages": messages,
                "commit_ms": {name: round(result["latency_ms"][name], 1)
                              for name in ("mean", "p50", "p90", "p99", "max")},
                "share": {name: round(n / total, 3) for name, n in confirmed.items()},
                "switched": int(snapshot.get("switched", 0)),
                "switches": [f"{s['from']} to {s['to']}: {s['why']}"
                             for s in snapshot.get("switches", [])]}

    def conclude(self):
        """0 lost, 0 double, by the judge; fresh messages flow. Of this site alone."""
        others, self.trial.logs = self.trial.logs, [self.load.log_path]
        self.network.say("stop")
        self.network.heal()
        self.trial.conclude(self.server, [self.edge], seconds=PATIENCE_S)
        self.trial.logs = [log for log in others if log != self.load.log_path]
        if self.broker:
            self.broker.stop()
        self.network.close()
        return self.trial.figures.pop("ledger")["sqlite"]
