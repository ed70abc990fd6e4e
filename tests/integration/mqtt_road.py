#!/usr/bin/env python3
"""Edge, mosquitto, server: what the edge takes in arrives over MQTT once, in either version of the
protocol, also when it is 12 MiB large; the server's answer, not the broker's, makes it delivered.
"""

import base64
import json
import os
import subprocess

import common_path  # noqa: F401
from broker import Broker
from harness import ROOT, Failure, main, wait_for

PATIENCE_S = 30
TIME = "2024-01-15T10:30:00.000Z"
LARGE_BYTES = 12 << 20


def expect(condition, what):
    if not condition:
        raise Failure(what)


def mqtt(broker_port, role, client_id, **more):
    return {"name": "mqtt", "plugin": "mqtt",
            "config": {"role": role, "broker_url": f"127.0.0.1:{broker_port}",
                       "client_id": client_id, **more}}


def server_on(t, port, name="server", client_id="SERVER1", **more):
    node = t.server(name)
    node.config["instances"].append(mqtt(port, "server", client_id, **more))
    node.write_config()
    return node


def edge_on(t, port, name="edge", client_id="CAM001", **more):
    node = t.edge(1, name, node_id=client_id)
    node.config["instances"][-1] = mqtt(port, "client", client_id, **more)
    node.write_config()
    return node


def spool(t, edge):
    done = subprocess.run([t.build.program("viaductctl"), "-s", edge.control[len("unix:"):], "-j",
                           "spool", "info"], capture_output=True, text=True, check=False)
    expect(done.returncode == 0, f"viaductctl spool info: {done.stderr}")
    return json.loads(done.stdout)["spool"]


def detection(i, **more):
    return {"type": "detection_result", "camera_id": "CAM001", "checkpoint_id": "CP1",
            "timestamp": TIME, "ocr_results": [f"AB{i}"], **more}


def large_goes_through(server, edge):
    picture = base64.b64encode(os.urandom(LARGE_BYTES * 3 // 4)).decode()
    before = server.total_detections()
    reply = edge.post("/api/detection", detection(0, annotated_image=picture), timeout=30)
    expect(reply.status == 200, f"12 MiB: {reply.status} {reply.body[:200]}")
    wait_for(lambda: server.total_detections() == before + 1, PATIENCE_S, "the large detection")


def one_road(t, broker, version):
    server = server_on(t, broker.port, f"server-{version}", f"S-{version}", protocol=version,
                       share=f"g{version}")
    edge = edge_on(t, broker.port, f"edge-{version}", f"E-{version}", protocol=version)
    server.start()
    edge.start()
    load = t.http_load(edge.http_port, connections=4, messages=300, seconds=20, drain_seconds=20,
                       ledger=False)
    result = load.result()
    expect(result["accepted"] == 300, f"the edge accepted {result}")
    wait_for(lambda: server.total_detections() == 300, PATIENCE_S, "300 detections")
    large_goes_through(server, edge)
    wait_for(lambda: int(spool(t, edge).get("messages", 0)) == 0, PATIENCE_S, "an empty spool")
    expect(int(spool(t, edge).get("rejected", 0)) == 0, f"set aside: {spool(t, edge)}")
    for node in (edge, server):
        expect(node.stop() == 0, f"{node.name}: not 0\n{node.tail()}")


def example_is_sound(t):
    done = subprocess.run([t.build.program("viaduct-host"), "--config",
                           os.path.join(ROOT, "plugins", "mqtt", "example.yaml"), "--check"],
                          capture_output=True, text=True, check=False)
    expect(done.returncode == 0 and "warning" not in done.stderr + done.stdout,
           f"example.yaml: {done.stdout} {done.stderr}")


def run(t):
    example_is_sound(t)
    broker = Broker(t).start()
    for version in ("mqtt5", "mqtt311"):
        one_road(t, broker, version)


if __name__ == "__main__":
    main(run)
