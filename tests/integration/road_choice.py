#!/usr/bin/env python3
"""An edge with a free road, MQTT, and a metered one, REST: when the broker dies, what waits goes over
the metered one, the edge says that the free one is gone, and uses it again afterwards. Then edges
that choose by rules, with fallback and without: a road that is down stops no other, and what waits
for it goes when it is back; the order of fallback is that of the configuration.
"""

import json
import subprocess
import uuid

import common_path  # noqa: F401
from broker import Broker
from harness import main, wait_for
from mqtt_road import expect, mqtt, server_on

PATIENCE_S = 60
TIME = "2024-01-15T10:30:00.000Z"
SMALL, MIDDLE, LARGE = 200, 5_000, 50_000  # By the rules: for websocket or REST, REST, MQTT.
FEW = 5


def envelope(size, priority="normal"):
    return {"message_id": str(uuid.uuid4()), "timestamp": TIME, "protocol": "rest",
            "edge_device_id": "CAM001", "data_type": "detection",
            "payload": {"camera_id": "CAM001", "checkpoint_id": "CP1", "note": "x" * size},
            "metadata": {"priority": priority}}


class Site:
    def __init__(self, t, name, gateway, metered=False):
        self.t = t
        self.broker = Broker(t, f"broker-{name}").start()
        self.server = server_on(t, self.broker.port, f"server-{name}", f"S-{name}")
        self.edge = t.edge(self.server.http_port, f"edge-{name}", node_id=f"E-{name}")
        self.edge.config["instances"][-1].update(name="rest", link={"metered": metered})
        self.edge.config["instances"].append(
            mqtt(self.broker.port, "client", f"E-{name}"))
        self.edge.config["gateway"].update(gateway)
        self.edge.write_config()
        self.server.start()
        self.edge.start()
        self.sent = 0
        wait_for(lambda: self.ready("mqtt"), PATIENCE_S, "MQTT to be connected")

    def ask(self, *arguments):
        done = subprocess.run([self.t.build.program("viaductctl"), "-s",
                               self.edge.control[len("unix:"):], "-j", *arguments],
                              capture_output=True, text=True, check=False)
        expect(done.returncode == 0, f"viaductctl {arguments}: {done.stderr}")
        return json.loads(done.stdout)

    def confirmed(self, name):
        shown = self.ask("stats", "show")["snapshot"]["instances"]
        return sum(int(one.get("confirmed", 0)) for one in shown if one["instance"] == name)

    def ready(self, name):
        return any(link["link"] == name and link.get("eligible", False)
                   for link in self.explain(SMALL).get("links", []))

    def explain(self, size, *options):
        return self.ask("gateway", "explain", "--bytes", str(size), *options)

    def send(self, size, priority="normal", count=FEW):
        for _ in range(count):
            reply = self.edge.post("/api/lpr/data", envelope(size, priority))
            expect(reply.status == 200, f"the edge: {reply.status} {reply.body[:200]}")
        self.sent += count

    def arrived(self):
        return self.server.total_detections()

    def all_arrive(self, what):
        wait_for(lambda: self.arrived() == self.sent, PATIENCE_S, what)

    def stop(self):
        for node in (self.edge, self.server):
            expect(node.stop() == 0, f"{node.name}: not 0\n{node.tail()}")
        self.broker.kill()


def free_and_metered(t):
    site = Site(t, "metered", {}, metered=True)
    site.send(SMALL)
    site.send(SMALL, "low")
    site.all_arrive("what goes over MQTT")
    expect(site.confirmed("rest") == 0, "paid for what is not urgent")
    site.broker.kill()
    wait_for(lambda: not site.ready("mqtt"), PATIENCE_S, "the edge to see it")
    expect(site.explain(SMALL, "--backlog")["link"] == "rest", f"{site.explain(SMALL)}")
    site.send(SMALL)
    site.send(SMALL, "low")
    site.all_arrive("what goes over the metered road")
    expect(site.confirmed("rest") >= 2 * FEW, f"over REST: {site.confirmed('rest')}")
    site.broker.start()
    wait_for(lambda: site.ready("mqtt"), PATIENCE_S, "MQTT to be back")

    def free_again():
        before = site.confirmed("mqtt")
        site.send(SMALL, count=1)
        site.all_arrive("one more")
        return site.confirmed("mqtt") > before
    wait_for(free_again, 2 * PATIENCE_S, "MQTT to be used again", 1)
    site.stop()


def rules_without_fallback(t):
    site = Site(t, "rules", {"selection": {"strategy": "size_priority"},
                             "fallback": {"enabled": False}})
    site.send(MIDDLE)
    site.send(LARGE)
    site.all_arrive("what goes by the rules")
    site.broker.kill()
    wait_for(lambda: not site.ready("mqtt"), PATIENCE_S, "the edge to see it")
    before = site.arrived()
    site.send(LARGE)
    site.send(SMALL)
    site.send(MIDDLE)
    site.send(MIDDLE, "low")
    wait_for(lambda: site.arrived() == before + 3 * FEW, PATIENCE_S, "what is for REST")
    expect(site.explain(LARGE).get("link", "") == "", f"{site.explain(LARGE)}")
    site.broker.start()
    site.all_arrive("what waited for MQTT")
    site.stop()


def rules_with_another_order(t):
    """Nothing is measured yet: by the score all goes over MQTT, and from there as it is configured."""
    site = Site(t, "order", {"selection": {"strategy": "connectivity_score"},
                             "probe": {"enabled": False}, "fallback": {"order": {"mqtt": ["rest"]}}})
    expect(site.explain(LARGE)["link"] == "mqtt", f"{site.explain(LARGE)}")
    site.broker.kill()
    wait_for(lambda: not site.ready("mqtt"), PATIENCE_S, "the edge to see it")
    explained = site.explain(LARGE)
    expect(explained["link"] == "rest" and explained["why"].endswith("it falls back to rest"),
           f"{explained}")
    site.send(LARGE)
    site.all_arrive("what falls back")
    site.stop()


def run(t):
    free_and_metered(t)
    rules_without_fallback(t)
    rules_with_another_order(t)


if __name__ == "__main__":
    main(run)
