"""The systems under test: ours and the peers, each started on a free port and pinned to one CPU."""

import os
import shutil
import socket
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "support"))
from certificates import Authority, TokenIssuer  # noqa: E402
from harness import ROOT, CannotRun, die_with_parent, free_port, wait_for  # noqa: E402
from websocket_nodes import add_listener  # noqa: E402

SERVER_CPU, GENERATOR_CPU = 0, 1
MOST = 20000  # Connections.


def pinned(*command, cpu=SERVER_CPU):
    return ["taskset", "-c", str(cpu), *command]


class Viaduct:
    """A server node with its SQLite store: durable before the OK (class C)."""

    name, durability, path = "viaduct", "C", "/api/detection"

    def __init__(self, trial):
        self.node = trial.server(name=f"server{len(trial.nodes)}")
        # The generator has one address.
        self.node.config["instances"][0]["config"]["max_connections_per_address"] = MOST
        self.node.write_config()

    def start(self):
        self.node.start(prefix=pinned())
        self.port, self.pid = self.node.http_port, self.node.process.pid

    def stop(self):
        self.node.stop()
        shutil.rmtree(self.node.folder, ignore_errors=True)


class ViaductTls(Viaduct):
    """The same over TLS, and it asks who calls. `options` are the generator's."""

    name = "viaduct-tls"
    NO_LIMIT = {"per_second": 1000000, "burst": 10000000}

    def __init__(self, trial):
        super().__init__(trial)
        authority, issuer = Authority(trial.folder), TokenIssuer(trial.folder)
        certificate, key = authority.sign("server")
        self.node.config["instances"][0]["config"].update(
            certificate=certificate, key=key, tls_min_version="1.3")
        limits = dict.fromkeys(("device", "identity", "address"), self.NO_LIMIT)
        self.node.config["auth"] = {**issuer.auth, "limits": limits}
        token = issuer.token("HUB1", "device", devices=["*"])
        self.options = ["--ca", authority.pem, "--bearer", token]
        self.node.write_config()


class ViaductSocketIo(Viaduct):
    """The same node with a websocket listener."""

    def __init__(self, trial):
        super().__init__(trial)
        self.listener = add_listener(self.node, max_connections_per_address=MOST)

    def start(self):
        super().start()
        self.port = self.listener


class Process:
    durability, path = "A", "/api/detection"

    def __init__(self, trial):
        self.trial = trial

    def start(self):
        self.port = free_port()
        with open(os.path.join(self.trial.folder, f"{self.name}.log"), "ab") as log:
            self.process = subprocess.Popen(pinned(*self.command()), stdout=log, stderr=log,
                                            cwd=os.path.join(HERE, "peers"),
                                            preexec_fn=die_with_parent)
        self.pid = self.process.pid
        wait_for(self.answers, 20, f"{self.name} to listen")

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


class NodeHttp(Process):
    name = "node-http"

    def command(self):
        if not shutil.which("node"):
            raise CannotRun("node is not installed")
        return ["node", "node_http.js", str(self.port)]


class FlaskGunicorn(Process):
    """As Flask's documentation says to deploy it; gthread is the worker that keeps connections."""

    name = "flask-gunicorn"

    def command(self):
        if not shutil.which("gunicorn"):
            raise CannotRun("gunicorn is not installed")
        return ["gunicorn", "--worker-class", "gthread", "--workers", "1", "--threads", "8",
                "--worker-connections", "1000", "--keep-alive", "600", "--bind",
                f"127.0.0.1:{self.port}", "--log-level", "error", "flask_app:app"]


class NodeSocketIo(Process):
    name = "node-socketio"

    def command(self):
        modules = os.path.join(ROOT, "build", "npm", "node_modules")
        if not shutil.which("node") or not os.path.isdir(os.path.join(modules, "socket.io")):
            raise CannotRun("node or npm's socket.io is not installed")
        return ["env", f"NODE_PATH={modules}", "node", "node_socketio.js", str(self.port)]


class FlaskSocketIo(Process):
    """On gevent with its WebSocket handler, as its documentation names for production."""

    name = "flask-socketio"

    def command(self):
        # Debian's own Python, for which its gevent is built.
        return ["/usr/bin/python3", "flask_socketio_app.py", str(self.port)]


class Sink(Process):
    """Our own sink: what the generator and the loopback can do at most."""

    name, durability = "sink", "-"

    def command(self):
        return [self.trial.build.program("sink"), "--port", str(self.port)]
