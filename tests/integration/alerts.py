#!/usr/bin/env python3
"""A link goes down and comes back: its alert is raised once and cleared once, in the log, the health,
viaductctl, a watch, the broadcast of a dashboard, the metrics and at a webhook over TLS, where a
stranger answers at first and then the right one, with 500 to its first request. And a link whose
deliveries fail.
"""

import http.server
import json
import os
import ssl
import sys
import threading

import common_path  # noqa: F401
from control_checks import component_reasons, ctl_json, expect, follow, run_checks
from control_process import make_certificates
from harness import free_port, main, wait_for
from websocket_nodes import add_listener

# Where Debian's packages are, also for a Python from elsewhere.
sys.path.append("/usr/lib/python3/dist-packages")
import socketio  # noqa: E402  pylint: disable=wrong-import-position

PATIENCE_S = 60
TOKEN = "very-s3cret-token"
DETECTION = {"type": "detection_result", "camera_id": "CAM001", "checkpoint_id": "CP1",
             "timestamp": "2024-01-15T10:30:00.000Z"}


class Receiver:
    """What a webhook is sent, and how it was answered."""

    def __init__(self, port, certificate=None):
        self.events, self.answers = [], []
        self.statuses = [500]
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):  # pylint: disable=invalid-name
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = receiver.statuses.pop() if receiver.statuses else 200
                receiver.events.append((body, dict(self.headers), self.path))
                receiver.answers.append(status)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):  # pylint: disable=arguments-differ
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate + ".pem", certificate + ".key")
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def taken(self):
        return [event[0] for event, status in zip(self.events, self.answers) if status == 200]

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Dashboard:
    def __init__(self, port):
        self.told = []
        joined = threading.Event()
        self.client = socketio.Client(reconnection=False)
        self.client.on("system_status", self.told.append)
        self.client.on("status", lambda _: joined.set())
        self.client.connect(f"http://127.0.0.1:{port}", transports=["websocket"])
        self.client.emit("join_dashboard")
        expect(joined.wait(PATIENCE_S), "the dashboard's room was not joined")

    def alerts(self):
        return [body["alert"]["state"] for body in self.told if "alert" in body]


def edge_with_alerts(t, server_port, hook_port):
    edge = t.edge(server_port)
    edge.config["gateway"]["probe"] = {"interval": "1s", "retry_interval": "1s"}
    edge.config["alerts"] = {
        "link_down": {"hold": "1s", "clear_hold": "1s"},
        "disk_free": {"enabled": False},  # Of the machine, not of the test.
        "webhook": {"url": f"https://127.0.0.1:{hook_port}/alerts?to=ops", "token": TOKEN,
                    "ca_file": os.path.join(t.folder, "ca.pem")}}
    port = add_listener(edge)
    return edge, port


def alerts(t, node):
    return ctl_json(t, node, "alerts")


def until_raised(t, edge):
    raised = wait_for(lambda: alerts(t, edge).get("active"), PATIENCE_S, "an alert to be raised")
    expect([a["kind"] for a in raised] == ["ALERT_KIND_LINK_DOWN"], f"raised: {raised}")
    expect(raised[0]["subject"] == "uplink" and "cleared_at" not in raised[0], f"{raised}")
    expect("link uplink: down" in component_reasons(t, edge), "it is not in the health")
    return raised[0]


def until_cleared(t, edge, raised):
    wait_for(lambda: not alerts(t, edge).get("active"), PATIENCE_S, "the alert to be cleared")
    past = alerts(t, edge)["past"]
    expect([a["id"] for a in past] == [raised["id"]] and past[0]["cleared_at"], f"past: {past}")
    expect("link uplink: down" not in component_reasons(t, edge), "it is still in the health")


def check_webhook(receiver, raised):
    wait_for(lambda: len(receiver.taken()) >= 2, PATIENCE_S, "both at the webhook")
    expect([(e["alert_id"], e["state"]) for e in receiver.taken()] ==
           [(raised["id"], "raised"), (raised["id"], "cleared")], f"taken: {receiver.taken()}")
    expect(receiver.answers == [500, 200, 200], f"answers: {receiver.answers}")
    ids = [event["event_id"] for event, _, _ in receiver.events]
    expect(ids[0] == ids[1] != ids[2], f"ids: {ids}")
    for event, headers, path in receiver.events:
        expect(headers["Authorization"] == "Bearer " + TOKEN, "the token was not sent")
        expect(headers["Idempotency-Key"] == event["event_id"], f"{headers} {event}")
        expect(path == "/alerts?to=ops" and event["node_id"] == "CAM001", f"{path} {event}")


def check_log(edge):
    with open(edge.log_path) as f:
        text = f.read()
    expect(TOKEN not in text, "the token is in the log")
    lines = [line for line in text.splitlines() if "alert_id=" in line]
    expect(len(lines) == 2 and "raised" in lines[0] and "cleared" in lines[1], f"log: {lines}")
    expect("is not reached" in text and "to=ops" not in text, "the webhook's failure in the log")


def check_watch(watch, raised):
    watch.kill()
    events = [json.loads(line) for line in watch.stdout]
    watch.wait()
    expect("synced" in events[0], f"watch: {events}")
    told = [("cleared_at" in e["alert"], e["alert"]["id"]) for e in events[1:]]
    expect(told == [(False, raised["id"]), (True, raised["id"])], f"watch: {events}")


def foreign_certificate_is_not_spoken_to(edge, stranger):
    def refused():
        return [line for line in edge.tail(50).splitlines() if "the webhook is not reached" in line]
    line = wait_for(refused, PATIENCE_S, "a refusal to speak")[0]
    expect("SSL" in line, f"refused for another reason: {line}")
    expect(not stranger.events, f"a stranger got {stranger.events}")
    stranger.close()


def a_node_that_stops_clears_nothing(t, edge, server, receiver):
    expect(server.stop() == 0, f"server: not 0\n{server.tail()}")
    expect(edge.post("/api/detection", json.dumps(DETECTION)).status == 200, "detection")
    until_raised(t, edge)
    wait_for(lambda: len(receiver.taken()) == 3, PATIENCE_S, "the second alert at the webhook")
    expect(edge.stop() == 0, f"edge: not 0\n{edge.tail()}")
    states = [event["state"] for event in receiver.taken()]
    expect(states == ["raised", "cleared", "raised"], f"after the stop: {states}")


def a_link_that_goes_down_and_comes_back(t):
    make_certificates(t.folder)
    server = t.server()
    server.start()
    hook_port = free_port()
    edge, sockets = edge_with_alerts(t, server.http_port, hook_port)
    edge.start()
    dashboard = Dashboard(sockets)
    watch = follow(t, edge, "--json", "alerts", "--watch")
    expect(edge.post("/api/detection", json.dumps(DETECTION)).status == 200, "detection")
    wait_for(lambda: server.total_detections() == 1, PATIENCE_S, "it")
    expect(not alerts(t, edge).get("active"), "an alert without a reason")

    stranger = Receiver(hook_port, os.path.join(t.folder, "other"))  # Nobody signed it.
    server.stop()
    expect(edge.post("/api/detection", json.dumps(DETECTION)).status == 200, "detection")
    raised = until_raised(t, edge)
    foreign_certificate_is_not_spoken_to(edge, stranger)
    receiver = Receiver(hook_port, os.path.join(t.folder, "node"))
    server.start()
    until_cleared(t, edge, raised)
    check_webhook(receiver, raised)
    wait_for(lambda: len(dashboard.alerts()) >= 2, PATIENCE_S, "both at the dashboard")
    expect(dashboard.alerts() == ["raised", "cleared"], f"dashboard: {dashboard.told}")
    for line in ('viaduct_alerts_raised_total{kind="link_down"} 1', "viaduct_alerts_active 0",
                 "viaduct_webhook_sent_total 2"):
        # The receiver has the second one before its sender has counted it.
        wait_for(lambda line=line: line in edge.get("/metrics").body.decode(), PATIENCE_S,
                 f"in the metrics: {line}")
    check_watch(watch, raised)
    dashboard.client.disconnect()
    check_log(edge)
    a_node_that_stops_clears_nothing(t, edge, server, receiver)
    receiver.close()


def a_link_whose_deliveries_fail(t):
    server = t.server("failing-server")
    server.start()
    edge = t.edge(server.http_port, "failing")
    now = {"hold": "0s", "clear_hold": "0s"}
    edge.config["alerts"] = {
        "link_errors": {"window": "5s", "min_messages": 3, **now},
        "link_down": {"enabled": False}, "disk_free": {"enabled": False}}
    edge.write_config()
    edge.start()

    def post():
        expect(edge.post("/api/detection", json.dumps(DETECTION)).status == 200, "detection")
    server.stop()
    post()
    raised = wait_for(lambda: alerts(t, edge).get("active"), PATIENCE_S, "an alert to be raised")
    expect([(a["kind"], a["subject"]) for a in raised] == [("ALERT_KIND_LINK_ERRORS", "uplink")],
           f"raised: {raised}")
    expect(raised[0]["value"] >= raised[0]["threshold"] == 0.5, f"raised: {raised}")
    server.start()

    def over():
        post()
        return not alerts(t, edge).get("active")
    wait_for(over, PATIENCE_S, "the alert to be cleared", 0.2)
    expect([a["id"] for a in alerts(t, edge)["past"]] == [raised[0]["id"]], "cleared once")
    for node in (edge, server):
        expect(node.stop() == 0, f"{node.name}: not 0\n{node.tail()}")


CHECKS = [a_link_that_goes_down_and_comes_back, a_link_whose_deliveries_fail]


if __name__ == "__main__":
    main(lambda t: run_checks(t, CHECKS))
