#!/usr/bin/env python3
"""A site with one box: cameras hand detections with pictures to a hub over plain REST, Socket.IO and
MQTT, and the hub passes them on to the server over each road in turn; once it keeps them, too. The
server has each once, with the id, the camera and the picture that the camera gave, also when the
hub is killed meanwhile and when a message comes in by several listeners; and no camera is told
that the hub has what would not survive its death.
"""

import os
import sqlite3
import subprocess
import time

import common_path  # noqa: F401
from broker import Broker
from cameras import Camera, EveryRoad, MqttRoad, RestRoad, SocketIoRoad
from harness import ROOT, Failure, main, wait_for
from relayed_roads import listen_on_all, road_to

PATIENCE_S = 60
KILLS = 3
MIN_PAUSE_S, MAX_PAUSE_S = 0.3, 0.9
LEAST_EACH = 10  # Detections of each camera.


def expect(condition, what):
    if not condition:
        raise Failure(what)


class Site:
    """Cameras, a broker of their own, the hub, the broker of the centre, the server."""

    def __init__(self, t, name, road, sinks):
        self.t = t
        self.broker, self.centre = Broker(t, f"site-{name}"), Broker(t, f"centre-{name}")
        self.server = t.server(f"server-{name}")
        ports = listen_on_all(self.server, self.centre, "CENTRE")
        self.hub = t.edge(1, f"hub-{name}", node_id="SITE7")
        self.hub.config["node"]["sinks"] = sinks
        if "store" in sinks:
            self.hub.config["store"] = {"sqlite": {"path": "store.db"}, "images": "images"}
        self.hub.config["instances"][-1] = road_to(
            road, ports[road], "SITE7", **({"ack_timeout": 3} if road == "mqtt" else {}))
        self.sockets = listen_on_all(self.hub, self.broker, "SITE7-cameras")["websocket"]
        self.broker.start()
        self.centre.start()

    def cameras(self, more=True):
        made = [self.camera("REST", RestRoad(self.hub)),
                self.camera("SOCKETIO", SocketIoRoad(self.sockets)),
                self.camera("MQTT", MqttRoad(self.broker.port, "MQTT"))]
        if more:
            made.append(self.camera("TWICE", EveryRoad(
                [RestRoad(self.hub), SocketIoRoad(self.sockets),
                 MqttRoad(self.broker.port, "TWICE")])))
        return made

    def camera(self, name, road):
        picture = self.t.picture(name, 20000, 320, 180)
        return Camera(self.t, name, picture, road)

    def close(self):
        self.broker.kill()
        self.centre.kill()
        self.t.nodes.clear()
        self.t.logs.clear()


def rows(node):
    """plate -> (message_id, id, camera) of a stopped node's store, past the node."""
    with sqlite3.connect(f"file:{node.store_path}?mode=ro", uri=True) as db:
        found = db.execute(
            "SELECT json_extract(d.payload, '$.ocr_results[0]'), d.message_id, "
            "lower(hex(d.message_key)), e.device_id FROM detections d "
            "JOIN sources s ON s.id = d.source JOIN edge_devices e ON e.id = s.device").fetchall()
    return {plate: more for plate, *more in found}


def same_ids(node, cameras):
    stored = rows(node)
    for camera in cameras:
        for plate, (message_id, answered) in camera.known.items():
            expect(stored.get(plate) == [message_id, answered.replace("-", ""), camera.name],
                   f"{node.name}: {plate} of {camera.name} is {stored.get(plate)}, not "
                   f"{message_id}, {answered}")


def conclude(t, site, cameras):
    """The usual end; the hub's own store is judged like the server's."""
    t.conclude(site.server, [site.hub], seconds=PATIENCE_S)
    same_ids(site.server, cameras)
    if "store" in site.hub.config["node"]["sinks"]:
        t.read_store(site.hub, "hub")
        t.judge(fresh_mark="faults-over")
        same_ids(site.hub, cameras)


def passes_on(t, name, road, sinks):
    site = Site(t, name, road, sinks)
    site.server.start()
    site.hub.start()
    cameras = [camera.start() for camera in site.cameras()]
    for _ in range(KILLS):
        time.sleep(t.random.uniform(MIN_PAUSE_S, MAX_PAUSE_S))
        expect(site.hub.alive(), f"the hub died by itself\n{site.hub.tail()}")
        site.hub.kill()
        site.hub.start()
    for camera in cameras:
        wait_for(lambda c=camera: len(c.known) >= LEAST_EACH, PATIENCE_S,
                 f"{LEAST_EACH} detections of {camera.name}, has {len(camera.known)}")
    for camera in cameras:
        expect(camera.stop(), f"{camera.name}: its last detection is not taken")
        camera.close()
    conclude(t, site, cameras)
    shown = {camera.name: len(camera.known) for camera in cameras}
    site.close()
    return {"handed": shown, "asked again": sum(camera.unanswered for camera in cameras)}


def answers_when_durable(t, name, sinks, point):
    """The hub dies before it has committed: nobody may have read an OK. Afterwards each message is
    taken once."""
    site = Site(t, name, "rest", sinks)
    site.server.start()
    cameras = site.cameras(more=False)
    for camera in cameras:
        site.hub.start(env={"VIADUCT_CRASH_AT": f"{point}:1"})
        detection = camera.make()
        expect(not camera.hand(detection), f"{camera.name}: an answer before {point}")
        wait_for(lambda: not site.hub.alive(), PATIENCE_S, f"the hub to die at {point}")
        site.hub.wait_exit(PATIENCE_S)
        site.hub.start()
        wait_for(lambda c=camera, d=detection: c.hand(d), PATIENCE_S, f"{camera.name} to be taken")
        wait_for(lambda: site.hub.spool_messages() == 0, PATIENCE_S,
                 "an empty spool")
        expect(site.hub.stop() == 0, f"the hub: not 0\n{site.hub.tail()}")
    site.hub.start()
    for camera in cameras:
        camera.close()
    conclude(t, site, cameras)
    site.close()


def example_is_sound(t):
    """With the plugins of this build."""
    with open(os.path.join(ROOT, "examples", "hub.yaml")) as f:
        text = f.read().replace("/usr/lib/viaduct/plugins", t.build.plugins)
    path = os.path.join(t.folder, "hub-example.yaml")
    with open(path, "w") as f:
        f.write(text)
    done = subprocess.run([t.build.program("viaduct-host"), "--config", path, "--check"],
                          capture_output=True, text=True, check=False)
    expect(done.returncode == 0 and "warning" not in done.stderr + done.stdout,
           f"examples/hub.yaml: {done.stdout} {done.stderr}")


def run(t):
    example_is_sound(t)
    figures = {road: passes_on(t, road, road, ["uplink"]) for road in ("rest", "websocket", "mqtt")}
    figures["kept, too"] = passes_on(t, "both", "websocket", ["uplink", "store"])
    answers_when_durable(t, "before-spool", ["uplink"], "spool.commit.before")
    answers_when_durable(t, "before-store", ["uplink", "store"], "store.group.written")
    t.figure(roads=figures)


if __name__ == "__main__":
    main(run)
