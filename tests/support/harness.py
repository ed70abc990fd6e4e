"""What every fault script, the demo and the benchmarks share: nodes on free ports in temporary
folders, the generator, the relay, the judge. Python's standard library only.

A script is a function run(t: Trial) handed to main(). It starts nodes, breaks them, and ends with
t.judge(...). Waiting is always for something, with a deadline.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

from postgres import Postgres
from processes import (LONG_LIMIT_S, ROOT, SHORT_LIMIT_S, SLOW, Build, CannotRun, Failure, Load,
                       Node, Relay, die_with_parent, free_port, monotonic, say, wait_for, wait_for_all)

__all__ = ["ROOT", "Build", "CannotRun", "Failure", "Load", "Node", "Relay", "Trial",
           "die_with_parent", "free_port", "main", "monotonic", "run_trial", "say", "wait_for",
           "wait_for_all"]


class Trial:
    def __init__(self, build, long, seed, name, keep=False, store="sqlite"):
        self.build = Build(build)
        self.long = long
        self.minutes = None  # Of the long form, where a script lets that be chosen.
        self.seed = seed
        self.random = random.Random(seed)
        self.name = name
        self.keep = keep
        self.store = store  # What a server keeps its messages in.
        self._postgres = None
        # Short, because the path of a Unix socket may have no more than 107 letters.
        self.folder = tempfile.mkdtemp(prefix="vd-", dir=os.environ.get("VIADUCT_TEST_TMP"))
        self.nodes = []
        self.relays = []
        self.loads = []
        self.logs = []
        self.figures = {}
        self.node_env = {}
        self.cleanups = []
        self.begin = monotonic()
        self._log_number = 0
        self._lock = threading.Lock()

    # --- Nodes ---

    def base_config(self, node_id, data_dir, port, sinks):
        instances = []
        if port is not None:
            instances.append({"name": "http", "plugin": "rest",
                              "config": {"role": "server", "listen": f"127.0.0.1:{port}"}})
        return {"node": {"id": node_id, "data_dir": data_dir, "sinks": sinks},
                "log": {"level": "info", "format": "text"},
                "plugins": {"path": [self.build.plugins]},
                "instances": instances}

    def server(self, name="server", folder=None, port=None, node_id="SERVER1", database=None,
               **changes):
        """`database`: of another server, to share it."""
        port = port or free_port()
        folder = folder or os.path.join(self.folder, name)
        config = self.base_config(node_id, os.path.join(folder, "data"), port, ["store"])
        config["store"] = {"sqlite": {"path": "store.db"}, "images": "images"}
        if self.store == "postgresql":
            database = database or self.postgres().new_database()
            config["store"] = {"postgresql": {"url": self.postgres().url(database)},
                               "images": "images"}
        config.update(changes)
        node = self._add(Node(self, name, config, port, folder))
        node.database = database
        return node

    def postgres(self):
        """The database server of this trial."""
        if self._postgres is None:
            self._postgres = Postgres()
            self.cleanups.append(self._postgres.close)
        return self._postgres

    def edge(self, server_port, name="edge", folder=None, port=None, node_id="CAM001", **changes):
        port = port or free_port()
        folder = folder or os.path.join(self.folder, name)
        config = self.base_config(node_id, os.path.join(folder, "data"), port, ["uplink"])
        config["instances"].append(
            {"name": "uplink", "plugin": "rest",
             "config": {"role": "client", "base_url": f"http://127.0.0.1:{server_port}"}})
        config["spool"] = {"path": "spool.db"}
        config["gateway"] = {"retry": {"initial_delay": "50ms", "max_delay": "500ms"}}
        config.update(changes)
        return self._add(Node(self, name, config, port, folder))

    def _add(self, node):
        self.nodes.append(node)
        return node

    def relay(self, target_port):
        relay = Relay(self, target_port)
        self.relays.append(relay)
        return relay

    # --- Traffic ---

    def _new_log(self, kind):
        with self._lock:
            self._log_number += 1
            path = os.path.join(self.folder, f"{self._log_number:04d}-{kind}.ledger")
            self.logs.append(path)
            return path, f"{kind.upper()[0]}{self._log_number:04d}N"

    def _start_load(self, kind, arguments, ledger):
        path, prefix = self._new_log(kind)
        extra = ["--prefix", prefix]
        if ledger:
            extra += ["--log", path]
        else:
            self.logs.remove(path)
        load = Load(self, [*arguments, *extra], path, f"{kind} {prefix}")
        self.loads.append(load)
        return load

    def http_load(self, port, *options, form="envelope", ledger=True, **named):
        arguments = ["http", "--port", port, "--form", form, *options, *_options(named)]
        return self._start_load(form, arguments, ledger)

    def grpc_load(self, node, *options, ledger=True, **named):
        arguments = ["grpc", "--target", node.control, *options, *_options(named)]
        return self._start_load("grpc", arguments, ledger)

    def socketio_load(self, port, *options, **named):
        arguments = ["socketio", "--port", port, *options, *_options(named)]
        return self._start_load("socketio", arguments, ledger=False)

    def mark(self, name):
        path, _ = self._new_log("mark")
        with open(path, "w") as f:
            f.write(f"mark {name}\n")

    def picture(self, text="VD123", size=150000, width=1280, height=720):
        path = os.path.join(self.folder, f"{text}-{size}.jpg")
        if not os.path.exists(path):
            subprocess.run([self.build.program("make_jpeg"), "--out", path, "--text", text,
                            "--bytes", str(size), "--width", str(width), "--height", str(height)],
                           check=True, stdout=subprocess.DEVNULL)
        return path

    # --- The judge ---

    def obligations(self):
        """Ids whose OK was read, over all logs so far."""
        ids = set()
        for path in self.logs:
            if not os.path.exists(path):
                continue
            with open(path) as f:
                ids.update(line[9:-1] for line in f if line.startswith("accepted "))
        return ids

    def await_stored(self, server, seconds=60, lost=0):
        """Waits until the server's own API counts as many detections as are owed."""
        owed = len(self.obligations()) - lost
        wait_for_all(server.total_detections, owed, seconds, f"detections on {server.name}")
        return owed

    def read_rest(self, server, source="rest"):
        """Lists every event through the server's REST API."""
        path, _ = self._new_log("stored")
        cursor, count = "", 0
        with open(path, "w") as out:
            while True:
                query = urllib.parse.urlencode(
                    {"limit": 1000, **({"cursor": cursor} if cursor else {})})
                reply = server.get("/api/lpr/events?" + query, timeout=30)
                if reply.status != 200:
                    raise Failure(f"GET /api/lpr/events: {reply.status} {reply.body[:300]}")
                page = reply.json()
                for event in page["events"]:
                    out.write(f"stored {source} {event['license_plate'] or '?'} -\n")
                    count += 1
                cursor = page.get("next_cursor")
                if not cursor:
                    return count

    def read_store(self, server, source="sqlite"):
        """Reads the store of a stopped server, past the server."""
        path, _ = self._new_log("stored")
        data = server.data_dir
        file = server.store_path
        if self.store == "postgresql":
            file = path + ".db"
            self.postgres().export(server.database, file)
        done = subprocess.run(
            [self.build.program("ledger"), "read", "--db", file, "--images",
             os.path.join(data, "images"), "--source", source, "--out", path],
            capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failure(f"ledger read: {done.stderr.strip()}")

    def judge(self, max_lost=0, fresh_mark="", min_stored=1, max_altered=0):
        logs = [p for p in self.logs if os.path.exists(p)]
        command = [self.build.program("ledger"), "judge", *logs, "--json",
                   "--max-lost", str(max_lost), "--min-stored", str(min_stored),
                   "--max-altered", str(max_altered)]
        if fresh_mark:
            command += ["--fresh-mark", fresh_mark]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1):
            raise Failure(f"ledger judge: {done.stderr.strip()}")
        verdict = json.loads(done.stdout)
        self.figures["ledger"] = {
            "claimed": verdict["claimed"], "obligations": verdict["obligations"],
            **{name: {k: v for k, v in s.items() if k != "named"}
               for name, s in verdict["sources"].items()}}
        if not verdict["ok"]:
            named = {n: s["named"] for n, s in verdict["sources"].items() if s["named"]}
            raise Failure(f"ledger: {verdict['mistakes']} {json.dumps(named)[:2000]}")
        return verdict

    def conclude(self, server, edges=(), fresh=True, seconds=60, lost=0):
        """The usual end: fresh messages, wait, read the store in both ways, judge."""
        if fresh:
            self.mark("faults-over")
            for edge in edges or (server,):
                with edge.inside():
                    load = self.http_load(edge.http_port, connections=2, messages=50, seconds=20,
                                          drain_seconds=20)
                result = load.result()
                if result["accepted"] != 50:
                    raise Failure(f"fresh messages to {edge.name}: {result}")
        late = None
        try:
            self.await_stored(server, seconds, lost)
        except Failure as e:
            late = e  # The judge can say which ones are missing.
        self.read_rest(server)
        for node in (*edges, server):
            status = node.stop()
            if status != 0:
                raise Failure(f"{node.name} ended with {status} after SIGTERM\n{node.tail()}")
        self.read_store(server)
        verdict = self.judge(max_lost=lost, fresh_mark="faults-over" if fresh else "")
        if late:
            raise late
        return verdict

    # --- Housekeeping ---

    def close(self, ok):
        for load in self.loads:
            if load.running():
                load.process.kill()
                load.process.wait()
        for node in self.nodes:
            if node.alive():
                node.process.kill()
                node.process.wait()
        for relay in self.relays:
            if relay.process.poll() is None:
                relay.stop()
        for cleanup in reversed(self.cleanups):
            cleanup()
        if ok and not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            say(f"left for you: {self.folder}")

    def figure(self, **values):
        self.figures.update(values)


def _options(named):
    out = []
    for key, value in named.items():
        flag = "--" + key.replace("_", "-")
        if value is True:
            out.append(flag)
        elif value is not False and value is not None:
            out += [flag, value]
    return out


def _out_of_time(_signal, _frame):
    raise Failure("the trial did not end in its time")


def run_trial(run, build, long, seed, name, keep=False, limit=None, store="sqlite", minutes=None):
    """0: shown; 1: a fault was found, or the trial cannot be run here."""
    trial = Trial(build, long, seed, name, keep, store)
    trial.minutes = minutes
    signal.signal(signal.SIGALRM, _out_of_time)
    long_limit = LONG_LIMIT_S + (minutes or 0) * 60
    signal.alarm(int(long_limit if long else (limit * SLOW if limit else SHORT_LIMIT_S)))
    say(f"{name}: {'long' if long else 'short'}, seed {seed}, in {trial.folder}")
    code = 1
    try:
        run(trial)
        code = 0
    except CannotRun as e:
        say(f"{name}: cannot be run here: {e}")
    except Failure as e:
        say(f"{name}: FAILED: {e}")
        for node in trial.nodes:
            print(f"--- {node.name} {node.standing()}, its last lines:\n"
                  f"{node.tail() if node.starts else ''}")
    finally:
        signal.alarm(0)
        trial.close(code == 0)
    trial.figure(trial=name, seconds=round(monotonic() - trial.begin, 1), seed=seed, ok=code == 0)
    print("FIGURES " + json.dumps(trial.figures, sort_keys=True), flush=True)
    if code == 0:
        say(f"{name}: shown")
    return code


def main(run, name=None, limit=None, store="sqlite", minutes=None):
    """`minutes`: of the long form, unless the command line says other ones."""
    parser = argparse.ArgumentParser(description=(sys.modules["__main__"].__doc__ or "").strip(),
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.environ.get("VIADUCT_BUILD_DIR",
                                                          os.path.join(ROOT, "build", "dev")))
    parser.add_argument("--long", action="store_true",
                        default=os.environ.get("VIADUCT_TEST_LONG", "") not in ("", "0"),
                        help="also by VIADUCT_TEST_LONG=1")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("VIADUCT_SEED", "1")))
    parser.add_argument("--keep", action="store_true", help="leave the folder of the trial")
    parser.add_argument("--store", choices=["sqlite", "postgresql"], default=store,
                        help="what servers keep their messages in")
    if minutes:
        parser.add_argument("--minutes", type=float, default=minutes,
                            help=f"of the long form, default {minutes}")
    args = parser.parse_args()
    name = name or os.path.splitext(os.path.basename(sys.argv[0]))[0]
    sys.exit(run_trial(run, args.build, args.long, args.seed, name, args.keep, limit,
                       args.store, args.minutes if minutes else None))
