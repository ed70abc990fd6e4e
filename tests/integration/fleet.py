#!/usr/bin/env python3
"""A server and its nodes: one behind Socket.IO, one behind a plain WebSocket, one behind a real mosquitto. Orders go down and
answers come up over each; what a node refuses, what never answers and what lies is told apart; a node that is killed is offline
for watchers and dashboards.
"""

import json
import re
import subprocess
import sys
import threading

import common_path  # noqa: F401
from broker import Broker
from harness import Failure, die_with_parent, main, wait_for
from mqtt_clients import Paho
from websocket_nodes import add_listener, use_road
from websocket_peer import TEXT, Peer

# Where Debian's packages are, also for a Python from elsewhere.
sys.path.append("/usr/lib/python3/dist-packages")
import socketio  # noqa: E402  pylint: disable=wrong-import-position

PATIENCE_S = 60
ALL = ["get_status", "get_health", "test_connection", "restart_instance", "update_config",
       "confirm_config"]
DONE, REFUSED, NOT_FOUND, NO_ROAD, TIMED_OUT = 0, 1, 4, 5, 7


def expect(condition, what):
    if not condition:
        raise Failure(what)


class Fleet:
    """viaductctl fleet of one server."""

    def __init__(self, t, server):
        self.base = [t.build.program("viaductctl"), "-s", server.control[len("unix:"):]]

    def ask(self, *arguments, code=DONE):
        done = subprocess.run([*self.base, "-j", "fleet", *arguments], capture_output=True,
                              text=True, check=False, timeout=PATIENCE_S)
        expect(done.returncode == code, f"fleet {arguments}: returned {done.returncode}, not {code}\n"
               f"{done.stdout}{done.stderr}")
        return json.loads(done.stdout) if done.stdout else done.stderr

    def send(self, device, command, *arguments, code=DONE):
        return self.ask("send", device, command, *arguments, code=code)

    def running(self, node):
        done = subprocess.run([self.base[0], "-s", node.control[len("unix:"):], "config", "get"],
                              capture_output=True, text=True, check=True, timeout=PATIENCE_S)
        return done.stdout

    def nodes(self, *arguments):
        return {node["id"]: node for node in self.ask("list", *arguments).get("nodes", [])}

    def await_road(self, device, protocol):
        def found():
            roads = self.nodes().get(device, {}).get("roads", [])
            return next((r for r in roads if r["protocol"] == protocol), None)
        return wait_for(found, PATIENCE_S, f"{device} to be reached by {protocol}", 0.1)


class Watch:
    """viaductctl fleet watch: every line that it has written."""

    def __init__(self, fleet):
        self.events = []
        self.process = subprocess.Popen([*fleet.base, "-j", "fleet", "watch"], text=True,
                                        stdout=subprocess.PIPE, preexec_fn=die_with_parent)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def await_node(self, device, status):
        def told():
            told = [e["node"] for e in self.events if e.get("node", {}).get("id") == device]
            return told and told[-1]["status"] == f"NODE_STATUS_{status}"
        wait_for(told, PATIENCE_S, f"{device} {status} to be told, was {self.events[-5:]}")

    def close(self):
        self.process.kill()
        self.process.wait()
        self.thread.join()


def dashboard(port):
    client = socketio.Client(reconnection=False)
    seen = []
    for event in ("device_status", "communication_status", "status"):
        client.on(event, lambda body, name=event: seen.append((name, body)))
    client.connect(f"http://127.0.0.1:{port}", transports=["websocket"])
    client.emit("join_dashboard")
    wait_for(lambda: any(name == "status" for name, _ in seen), PATIENCE_S, "the dashboard's room")
    return client, seen


def nodes_of(t, port, broker):
    ws = t.edge(port, "ws", node_id="EDGE-WS", fleet={"accept": ALL})
    use_road(ws, f"ws://127.0.0.1:{port}", reconnect_attempts=1000, reconnect_delay=1)
    raw = t.edge(port, "raw", node_id="EDGE-RAW")
    use_road(raw, f"ws://127.0.0.1:{port}", form="raw", reconnect_attempts=0)
    mq = t.edge(port, "mq", node_id="EDGE-MQ",
                fleet={"accept": ["get_status", "test_connection", "restart_instance"]})
    mq.config["instances"][-1] = {"name": "uplink", "plugin": "mqtt",
                                  "config": {"role": "client", "client_id": "EDGE-MQ",
                                             "broker_url": f"127.0.0.1:{broker.port}"}}
    mq.write_config()
    return ws, raw, mq


def reading(fleet):
    """What every node tells."""
    for device, protocol in (("EDGE-WS", "socketio"), ("EDGE-RAW", "websocket"), ("EDGE-MQ", "mqtt")):
        fleet.await_road(device, protocol)
        answer = fleet.send(device, "get_status")
        expect(answer["ok"] and answer["protocol"] == protocol, f"{device}: {answer}")
        result = answer["result"]
        expect(result["node"]["id"] == device and result["spool"]["messages"] == 0, result)
        states = {i["name"]: i["state"] for i in result["instances"]}
        expect(states == {"http": "started", "uplink": "started"}, states)
        expect("round_trip" in answer or "roundTrip" in answer, answer)
    health = fleet.send("EDGE-RAW", "get_health")["result"]
    expect(health["status"] == "healthy" and health["components"], health)
    for device in ("EDGE-WS", "EDGE-MQ"):
        tried = fleet.send(device, "test_connection")["result"]["connections"]
        expect([c["instance"] for c in tried] == ["uplink"] and tried[0]["ok"], tried)
        expect(tried[0]["measured"] and tried[0]["latency_ms"] > 0, tried)
    known = fleet.nodes()
    facts = {(known[of].get("version"), known[of].get("hostname"))
             for of in ("EDGE-WS", "EDGE-RAW", "EDGE-MQ")}
    expect(len(facts) == 1 and all(facts.pop()), f"not one version and hostname of all: {known}")
    expect(set(fleet.nodes("--status", "online", "--prefix", "EDGE-")) ==
           {"EDGE-WS", "EDGE-RAW", "EDGE-MQ"}, known)
    expect(fleet.nodes("--prefix", "EDGE-M").keys() == {"EDGE-MQ"}, "the prefix")


def refusals(fleet):
    unknown = fleet.send("EDGE-WS", "dance", code=REFUSED)
    expect(unknown["status"] == 501 and unknown["result"]["commands"] == ALL, unknown)
    for device, command in (("EDGE-RAW", "restart_instance"), ("EDGE-MQ", "get_health")):
        refused = fleet.send(device, command, "instance=http", code=REFUSED)
        expect(refused["status"] == 403 and "fleet.accept" in refused["error"], refused)
    missing = fleet.send("EDGE-WS", "restart_instance", "instance=nobody", code=REFUSED)
    expect(missing["status"] == 404, missing)
    fleet.send("NOBODY", "get_status", code=NOT_FOUND)
    said = fleet.send("EDGE-WS", "get_status", "--road", "pigeon", code=NO_ROAD)
    expect("no live road" in said and "sockets" in said, said)


def revision(fleet, device="EDGE-WS"):
    return int(fleet.send(device, "get_status")["result"]["node"]["config_revision"])


def configuration(t, fleet, node):
    """The same door as Config.Apply."""
    before = revision(fleet)

    def update(change, *arguments, code=DONE):
        config = json.loads(json.dumps(node.config))
        change(config)
        path = f"{t.folder}/update.yaml"
        with open(path, "w") as f:
            json.dump(config, f, indent=1)
        return fleet.send("EDGE-WS", "update_config", "-f", path, *arguments, code=code)

    def louder(config):
        config["log"]["level"] = "debug"

    def mistaken(config):
        config["log"]["level"] = "shouting"
        config["spool"]["max_byte"] = 1

    bad = update(mistaken, code=REFUSED)
    pointers = {f["pointer"] for f in bad["result"]["findings"]}
    expect(bad["status"] == 422 and pointers == {"/log/level", "/spool/max_byte"}, bad)
    late = update(louder, f"if_revision={before + 5}", code=REFUSED)
    expect(late["status"] == 409, late)
    expect(revision(fleet) == before, "a refused configuration has made a revision")
    good = update(louder, f"if_revision={before}", "confirm_within=60s")
    number = int(good["result"]["revision"]["number"])
    expect(good["result"]["revision"]["state"] == "unconfirmed", good)
    expect(revision(fleet) == number > before, good)
    confirmed = fleet.send("EDGE-WS", "confirm_config", f"revision={number}")
    expect(confirmed["result"]["revision"]["state"] == "running", confirmed)

    patched = fleet.send("EDGE-WS", "update_config",
                         'patch={"spool":{"max_messages":5000},"gateway":{"batch":"many"}}',
                         code=REFUSED)
    expect([f["pointer"] for f in patched["result"]["findings"]] == ["/gateway/batch"], patched)
    patched = fleet.send("EDGE-WS", "update_config", 'patch={"log":{"levels":{"spool":"debug"}}}')
    expect(patched["result"]["effects"] == [{"subject": "log", "kind": "apply",
                                             "text": "changed: log.levels.spool"}], patched)
    number += 1
    expect(revision(fleet) == number, patched)
    config = fleet.running(node)
    expect('"level": "debug"' in config and '"spool": "debug"' in config, config)

    def slower(config):
        louder(config)
        config["instances"][-1]["config"]["reconnect_delay"] = 2

    def strict(config):
        slower(config)
        config["instances"][-1]["on_start_failure"] = "fail"

    # They replace the very road that carries the answer, the last two without a word to the plugin.
    for change in (slower, strict, slower):
        number += 1
        carried = update(change)
        expect(carried["status"] == 202 and carried["result"]["accepted"], carried)
        expect(carried["result"]["confirm_within"] == "5m", carried)
        change_of_road(fleet, number, carried["message_id"])


def change_of_road(fleet, number, message_id):
    """The node comes back over the changed road, says how the change ended, and has it confirmed."""
    def taken_over():
        try:
            result = fleet.send("EDGE-WS", "get_status")["result"]
        except Failure:
            return None
        done = result["last_deferred"]["status"] != 202
        return done and int(result["node"]["config_revision"]) == number and result
    last = wait_for(taken_over, PATIENCE_S, "the revision that changes the road", 0.2)["last_deferred"]
    expect(last["status"] == 200 and last["command"] == "update_config", last)
    expect(last["message_id"] == message_id, f"{last}, not {message_id}")
    confirmed = fleet.send("EDGE-WS", "confirm_config", f"revision={number}")
    expect(confirmed["result"]["revision"]["state"] == "running", confirmed)


def restarts(fleet):
    other = fleet.send("EDGE-WS", "restart_instance", "instance=http")
    expect(other["status"] == 200 and other["result"]["instance"]["state"] == "started", other)
    for device, protocol in (("EDGE-WS", "socketio"), ("EDGE-MQ", "mqtt")):
        def started(of=device):
            try:
                instances = fleet.send(of, "get_status")["result"]["instances"]
                return next(i["since"] for i in instances if i["name"] == "uplink")
            except Failure:
                return None
        before = started()
        own = fleet.send(device, "restart_instance", "instance=uplink")
        expect(own["status"] == 202 and own["result"]["accepted"], f"{device}: {own}")
        wait_for(lambda now=started, b=before: now() not in (None, b), PATIENCE_S,
                 f"{device} over its restarted road", 0.2)
        fleet.await_road(device, protocol)

        def ended(of=device):
            return fleet.send(of, "get_status")["result"]["last_deferred"]["status"] != 202
        wait_for(ended, PATIENCE_S, f"{device} to say how its restart ended", 0.2)
        last = fleet.send(device, "get_status")["result"]["last_deferred"]
        expect((last["command"], last["instance"], last["status"], last["message_id"]) ==
               ("restart_instance", "uplink", 200, own["message_id"]), last)


def restarts_under_orders(t, fleet, node):
    """A road that ends while it is asked, and while it is answered, ends well."""
    ended = threading.Event()

    def order():
        while not ended.is_set():
            try:
                fleet.send("EDGE-WS", "get_status")
            except Failure:
                pass  # No road leads there just now.
    orders = [threading.Thread(target=order) for _ in range(4)]
    for thread in orders:
        thread.start()
    try:
        for _ in range(300 if t.long else 10):
            fleet.await_road("EDGE-WS", "socketio")
            node.ctl("instances", "restart", "uplink")
    finally:
        ended.set()
        for thread in orders:
            thread.join()
    expect(node.alive(), f"{node.name} {node.standing()}")
    fleet.await_road("EDGE-WS", "socketio")


def metric(server, name):
    found = re.search(rf"^{name}(?:{{.*}})? ([0-9.]+)", server.get("/metrics").body.decode(),
                      re.MULTILINE)
    return float(found.group(1)) if found else 0


def strays(server):
    return metric(server, "viaduct_fleet_stray_answers_total")


def camera_by_topic(fleet, server, broker):
    """One that knows only the topics of cameras; others answer in its place, and are not believed."""
    camera = Paho(broker.port, client_id="camera-7")
    try:
        camera.publish("lprserver/cameras/CAM7/health", json.dumps(
            {"checkpoint_id": "CP1", "component": "camera", "status": "PASS",
             "timestamp": "2024-01-15T10:30:00Z"}))
        fleet.await_road("CAM7", "mqtt")
        outcome = []
        order = threading.Thread(target=lambda: outcome.append(
            fleet.send("CAM7", "take_picture", "zoom=2", "--wait", "30s")))
        order.start()
        asked = camera.await_on("lprserver/cameras/CAM7/control")[0].json()
        expect((asked["command"], asked["arguments"]) == ("take_picture", {"zoom": 2}), asked)
        answer = {"message_id": asked["message_id"], "success": True, "status": 200,
                  "result": ["a.jpg"]}
        for topic, body in (("OTHER", answer), ("CAM7", {**answer, "message_id": "never given"}),
                            ("CAM7", answer)):
            camera.publish(f"lprserver/cameras/{topic}/control/response", json.dumps(body), qos=2)
        order.join()
        expect(outcome and outcome[0]["result"] == {"value": ["a.jpg"]}, outcome)
        expect(outcome[0]["protocol"] == "mqtt", outcome)
        wait_for(lambda: metric(server, "viaduct_mqtt_stray_responses_total") == 2, PATIENCE_S,
                 "two stray answers at the broker", 0.2)
    finally:
        camera.close()


def orders_that_come_again(fleet, broker):
    """What a broker has kept too long is not carried out, what it gives twice once. The last one is retained."""
    peer = Paho(broker.port, client_id="again")
    topic = "system/control/EDGE-MQ"

    def give(name, count=1, retain=False, **more):
        order = {"message_id": name, "command": "restart_instance", "arguments": {"instance": "http"}, **more}
        for _ in range(count):
            peer.publish(topic, json.dumps(order), retain=retain)
        answers = peer.await_on(topic + "/response", count, lambda a: a["message_id"] == name)
        return [answer.json() for answer in answers]

    try:
        late = give("late", expires="2024-01-15T10:30:00Z")[0]
        expect(late["status"] == 410 and not late["success"], late)
        first, again = give("twice", count=2)
        expect(first["status"] == 200 and first["result"] == again["result"], f"{first}, {again}")
        expect(give("other")[0]["result"] != first["result"], "another order was taken for the same")
        give("retained", retain=True, command="get_status")
    finally:
        peer.close()


def plain_device(port, name):
    peer = Peer(port)
    peer.frame(TEXT, json.dumps({"type": "node_register", "device_id": name}))
    opcode, answer = peer.receive()
    expect(opcode == TEXT and json.loads(answer)["status"] == "success", answer)
    return peer


def hostile(t, fleet, server, port):
    """Answers that nobody asked for, of somebody else, too large; and none at all."""
    silent, liar = plain_device(port, "SILENT"), plain_device(port, "LIAR")
    outcome = []
    order = threading.Thread(target=lambda: outcome.append(
        fleet.send("SILENT", "get_status", "--wait", "2s", code=TIMED_OUT)))
    order.start()
    asked = json.loads(silent.receive()[1])
    expect(asked["type"] == "control" and asked["device_id"] == "SILENT", asked)
    answer = {"type": "control_response", "message_id": asked["message_id"], "success": True}
    liar.frame(TEXT, json.dumps(answer))
    liar.frame(TEXT, json.dumps({**answer, "message_id": "never given"}))
    silent.frame(TEXT, json.dumps({**answer, "result": "x" * (2 << 20)}))
    order.join()
    expect(outcome and "no answer" in outcome[0], outcome)
    silent.frame(TEXT, json.dumps(answer))  # Too late.
    wait_for(lambda: strays(server) >= 3, PATIENCE_S, "three stray answers to be counted", 0.2)
    # One that goes away with an order in its hands.
    order = threading.Thread(target=lambda: outcome.append(
        fleet.send("LIAR", "get_status", "--wait", "30s", code=REFUSED)))
    order.start()
    while json.loads(liar.receive()[1]).get("type") != "control":
        continue
    liar.socket.close()
    order.join()
    expect(len(outcome) == 2 and "is not known" in outcome[1], outcome)
    silent.socket.close()
    t.figure(strays=strays(server))


def killed(fleet, watch, seen, node):
    watch.await_node("EDGE-MQ", "ONLINE")
    node.kill()
    watch.await_node("EDGE-MQ", "OFFLINE")
    wait_for(lambda: any(name == "device_status" and body["device_id"] == "EDGE-MQ" and
                         body["status"] == "offline" for name, body in seen), PATIENCE_S,
             "device_status of the killed node")
    expect("no live road" in fleet.send("EDGE-MQ", "get_status", code=NO_ROAD), "a road to the dead")
    gone = wait_for(lambda: fleet.nodes("--status", "offline").get("EDGE-MQ"), PATIENCE_S, "offline")
    expect(gone.get("hostname"), f"its hostname is not kept: {gone}")
    node.start()
    watch.await_node("EDGE-MQ", "ONLINE")


def audited(server, nodes):
    for node, method in ((server, "Fleet.SendControl"), (nodes[0], "command update_config"),
                         (nodes[1], "command restart_instance")):
        with open(node.log_path, errors="replace") as f:
            records = [line for line in f if "audit" in line and method in line]
        expect(records, f"{node.name}: {method} is not in the audit log")


def server_comes_back(fleet, server):
    """A road that has nothing to send has given up long before."""
    expect(server.stop() == 0, server.tail())
    server.start()
    for device, protocol in (("EDGE-WS", "socketio"), ("EDGE-RAW", "websocket"), ("EDGE-MQ", "mqtt")):
        fleet.await_road(device, protocol)
        expect(fleet.send(device, "get_status")["ok"], device)


def run(t):
    broker = Broker(t).start()
    server = t.server()
    port = add_listener(server)
    server.config["instances"].append(
        {"name": "mqtt", "plugin": "mqtt",
         "config": {"role": "server", "client_id": "SERVER1",
                    "broker_url": f"127.0.0.1:{broker.port}"}})
    server.write_config()
    server.start()
    fleet = Fleet(t, server)
    client, seen = dashboard(port)
    watch = Watch(fleet)
    nodes = nodes_of(t, port, broker)
    for node in nodes:
        node.start()
    reading(fleet)
    refusals(fleet)
    configuration(t, fleet, nodes[0])
    restarts(fleet)
    restarts_under_orders(t, fleet, nodes[0])
    hostile(t, fleet, server, port)
    camera_by_topic(fleet, server, broker)
    orders_that_come_again(fleet, broker)
    killed(fleet, watch, seen, nodes[2])
    wait_for(lambda: metric(nodes[2], "viaduct_mqtt_dropped_commands_total") == 1, PATIENCE_S,
             "the retained order to be dropped", 0.2)
    audited(server, nodes)
    expect(any(e.get("synced") is not None for e in watch.events), "synced was never told")
    watch.close()
    client.disconnect()
    server_comes_back(fleet, server)
    for node in (*nodes, server):
        expect(node.stop() == 0, f"{node.name}: not 0\n{node.tail()}")


if __name__ == "__main__":
    main(run)
