#!/usr/bin/env python3
"""Metrics, and what is made of them: each that a server and an edge show is in docs/CONTROL.md and the
other way round; a real Prometheus scrapes both as deploy/prometheus says and understands each
expression of its alert rules and of the board for Grafana, and each metric and label that they name is
there. The rules are raised by what they are for (promtool). What they tell people to type exists.
"""

import itertools
import json
import os
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import common_path  # noqa: F401
import yaml
from certificates import write
from control_checks import LIMIT_S, expect
from control_process import make_certificates
from encryption import write_keys
from documents import read_document, shell_lines
from harness import ROOT, Failure, free_port, main, wait_for
from processes import die_with_parent
from websocket_nodes import add_listener

PROMETHEUS = os.path.join(ROOT, "deploy", "prometheus")
BOARD = os.path.join(ROOT, "deploy", "grafana", "viaduct.json")
COLUMNS = 24  # Of a board.


def nodes_with_all_metrics(t):
    """A server and an edge, so configured that every metric is shown by one of them."""
    server, edge = t.server("metrics-server"), t.edge(free_port(), "metrics-edge")
    edge.config["alerts"] = {"webhook": {"url": f"http://127.0.0.1:{free_port()}/"}}
    server.config["incoming"] = {"folder": os.path.join(t.folder, "metrics-incoming")}
    # No instance for pictures is needed for their metrics.
    edge.config["vision"] = {"feeds": [{"source": "broker", "infer": ["broker"]}]}
    edge.config["encryption"] = {"keys": write_keys(t, "payload.keys", ["k1"]), "seal": True}
    for node, role in ((server, "server"), (edge, "client")):
        node.config["instances"].append({  # Its broker is not there; its metrics are.
            "name": "broker", "plugin": "mqtt",
            "config": {"role": role, "broker_url": f"127.0.0.1:{free_port()}",
                       "client_id": "NODE1"}})
    make_certificates(t.folder)
    pair = {"certificate": os.path.join(t.folder, "node.pem"),
            "key": os.path.join(t.folder, "node.key")}
    server.config["control"] = {"tcp": {"listen": f"127.0.0.1:{free_port()}", **pair,
                                        "client_ca": os.path.join(t.folder, "ca.pem")}}
    server.config["instances"][0]["config"].update(pair)
    add_listener(server, **pair)
    # What is asked is plain.
    server.config["instances"].append({"name": "plain", "plugin": "rest", "config": {
        "role": "server", "listen": f"127.0.0.1:{server.http_port}"}})
    server.config["instances"][0]["config"]["listen"] = f"127.0.0.1:{free_port()}"
    for node in (server, edge):
        node.write_config()
        node.start()
    # Links are looked at once a second.
    wait_for(lambda: b"viaduct_link_ready" in edge.get("/metrics").body, LIMIT_S, "the edge's link")
    return server, edge


def metrics_are_those_of_the_documents(nodes):
    with open(os.path.join(ROOT, "docs", "CONTROL.md")) as file:
        table = file.read().split("## Metrics")[1].split("\n## ")[0]
    documented = set(re.findall(r"`(viaduct_[a-z_]+)`", table))
    shown = set()
    for node in nodes:
        text = node.get("/metrics").body.decode()
        shown |= set(re.findall(r"^# TYPE (viaduct_[a-z_]+) ", text, re.M))
    expect(shown == documented, f"not documented {shown - documented}, not shown {documented - shown}")


class Prometheus:
    """Debian's, with deploy/prometheus/scrape.yaml; only addresses and paths are others."""

    def __init__(self, t, nodes):
        with open(os.path.join(PROMETHEUS, "scrape.yaml")) as file:
            config = yaml.safe_load(file)
        key = os.path.join(t.folder, "viaduct.key")
        write(key, b"none is asked for here")
        config["rule_files"] = [os.path.join(PROMETHEUS, "rules.yaml")]
        job = config["scrape_configs"][0]
        job.update(scheme="http", scrape_interval="1s",
                   file_sd_configs=[{"files": [os.path.join(t.folder, "nodes.yaml")]}])
        job["authorization"]["credentials_file"] = key
        with open(os.path.join(PROMETHEUS, "nodes.yaml")) as file:
            targets = yaml.safe_load(file)
        for target, node in zip(targets, nodes):
            target["targets"] = [f"127.0.0.1:{node.http_port}"]
        for name, content in (("nodes.yaml", targets), ("prometheus.yaml", config)):
            with open(os.path.join(t.folder, name), "w") as file:
                yaml.safe_dump(content, file)
        self.address = f"127.0.0.1:{free_port()}"
        with open(os.path.join(t.folder, "prometheus.log"), "wb") as log:
            self.process = subprocess.Popen(
                ["prometheus", "--config.file", os.path.join(t.folder, "prometheus.yaml"),
                 "--storage.tsdb.path", os.path.join(t.folder, "prometheus"),
                 "--web.listen-address", self.address],
                stdout=log, stderr=log, preexec_fn=die_with_parent)
        t.cleanups.append(self.kill)

    def ask(self, path, **query):
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=LIMIT_S) as answer:
            return json.load(answer)["data"]

    def nodes_up(self):
        try:
            return len(self.ask("query", query='up{job="viaduct"} == 1')["result"])
        except OSError:
            return 0

    def understand(self, expression):
        try:
            self.ask("query", query=expression)
        except urllib.error.HTTPError as error:
            raise Failure(f"{expression}: {error.read().decode()}") from None

    def kill(self):
        self.process.kill()
        self.process.wait(LIMIT_S)


def rules():
    with open(os.path.join(PROMETHEUS, "rules.yaml")) as file:
        return [rule for group in yaml.safe_load(file)["groups"] for rule in group["rules"]]


def board():
    with open(BOARD) as file:
        return json.load(file)


def panels():
    return [panel for panel in board()["panels"] if panel["type"] != "row"]


def expressions():
    """Of rules and panels, as Prometheus is given them."""
    for rule in rules():
        yield rule["expr"]
    for panel in panels():
        for target in panel["targets"]:
            yield target["expr"].replace("$__rate_interval", "1m").replace("$node", ".*")


def metrics_named(expression):
    """As patterns: some expressions select by one."""
    pattern = r'__name__=~"([^"]*)"'
    plain = re.sub(pattern, "", expression)
    return set(re.findall(pattern, expression)) | set(re.findall(r"\b(viaduct_\w+|up)\b", plain))


def labels_named(expression):
    """Labels that the expression groups, joins or selects by."""
    grouped = re.findall(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)", expression)
    named = {label.strip() for group in grouped for label in group.split(",")}
    for selector in re.findall(r"\{([^}]*)\}", expression):
        named |= set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
    return named - {"le", "__name__", ""}


def prometheus_understands_each_expression(t, nodes):
    prometheus = Prometheus(t, nodes)
    wait_for(lambda: prometheus.nodes_up() == len(nodes), LIMIT_S, "both nodes scraped", 0.2)
    expect(len(prometheus.ask("rules")["groups"][0]["rules"]) == len(rules()), "rules are missing")
    known = prometheus.ask("label/__name__/values")
    every = list(expressions())
    for expression in every:
        prometheus.understand(expression)
        meant = {pattern: [name for name in known if re.fullmatch(pattern, name)]
                 for pattern in metrics_named(expression)}
        expect(meant and all(meant.values()), f"{expression}: not all shown by a node: {meant}")
        names = "|".join(name for names in meant.values() for name in names)
        series = prometheus.ask("series", **{"match[]": f'{{__name__=~"{names}"}}'})
        missing = labels_named(expression) - {label for one in series for label in one}
        expect(not missing, f"{expression}: no metric has the labels {missing}")
    t.figures["expressions"] = len(every)
    prometheus.kill()


def rules_are_raised_by_what_they_are_for():
    lines = shell_lines(read_document("docs/MONITORING.md"))
    expect(any("promtool test" in line for line in lines), "docs/MONITORING.md has lost its commands")
    for line in lines:
        done = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, check=False)
        expect(done.returncode == 0, f"{line}: {done.stdout}{done.stderr}")
    with open(os.path.join(PROMETHEUS, "rules_test.yaml")) as file:
        tested = set(re.findall(r'alertname="(\w+)"', file.read()))
    named = {rule["alert"] for rule in rules()}
    expect(named == tested, f"rules without a test: {named - tested}, without a rule: {tested - named}")


def what_people_are_told_to_type_exists(t):
    program = t.build.program("viaductctl")
    for rule in rules():
        for words in re.findall(r"`viaductctl ([^`]*)`", rule["annotations"]["what"]):
            command = itertools.takewhile(lambda word: word[0] not in "-{", words.split())
            done = subprocess.run([program, *command, "--help"], capture_output=True, text=True,
                                  check=False)
            expect(done.returncode == 0, f"{rule['alert']}: viaductctl {words}: {done.stderr}")


def the_board_is_sound():
    whole = board()
    expect(whole["uid"] and whole["schemaVersion"] >= 37 and whole["refresh"], "not a board of Grafana 9")
    ids = [panel["id"] for panel in whole["panels"]]
    expect(len(ids) == len(set(ids)), f"ids that are there twice: {ids}")
    taken = set()
    for panel in whole["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}
        expect(place["x"] + place["w"] <= COLUMNS, f"{panel['title']} is too wide")
        expect(not cells & taken, f"{panel['title']} lies over another")
        taken |= cells
    variables = {one["name"] for one in whole["templating"]["list"]}
    expect({"datasource", "node"} <= variables, f"variables: {variables}")
    for panel in panels():
        expect(panel["datasource"]["uid"] == "${datasource}", f"{panel['title']}: a fixed data source")
        expect(panel["fieldConfig"]["defaults"]["unit"], f"{panel['title']}: no unit")
        expect(panel["description"], f"{panel['title']}: says nothing")
        for target in panel["targets"]:
            expect("$node" in target["expr"], f"{panel['title']}: of all nodes, whichever is chosen")


def run(t):
    rules_are_raised_by_what_they_are_for()  # First: a Prometheus that refuses them does not start.
    nodes = nodes_with_all_metrics(t)
    metrics_are_those_of_the_documents(nodes)
    prometheus_understands_each_expression(t, nodes)
    for node in nodes:
        node.stop()
    what_people_are_told_to_type_exists(t)
    the_board_is_sound()


if __name__ == "__main__":
    main(run, limit=280)
