"""The processes of a trial: nodes, generators, relays, and how their events are waited for. Python's
standard library only.
"""

import collections
import contextlib
import ctypes
import fcntl
import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Everything under a sanitizer takes longer; the build says so.
SLOW = float(os.environ.get("VIADUCT_TEST_SLOW", "1"))
# A guard against a hang, not an aim: on a quiet machine a short trial takes a fifth of it.
SHORT_LIMIT_S = 300 * SLOW
LONG_LIMIT_S = 3 * 3600
READY_LIMIT_S = 20 * SLOW
STOP_LIMIT_S = 20 * SLOW
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """The trial has shown a fault of the system under test."""


class CannotRun(Exception):
    """The trial cannot be made here (no root, a program is missing)."""


def say(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def monotonic():
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


# Below what the machine gives to connections that go out (32768 and up): the port of a node that is
# down stays free for it.
PORTS = range(16384, 32768)
_held_ports = []


def free_port():
    """A port on which nobody listens, and which no other trial is given while this one runs."""
    folder = os.path.join(tempfile.gettempdir(), f"viaduct-test-ports-{os.getuid()}")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    for port in random.sample(PORTS, len(PORTS)):
        held = open(os.path.join(folder, str(port)), "w")  # noqa: SIM115: as long as the process.
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind(("127.0.0.1", port))
        except OSError:
            held.close()
            continue
        _held_ports.append(held)
        return port
    raise CannotRun("no free port")


def wait_for_all(count, goal, seconds, what, interval=0.05):
    """Until count() reaches the goal; as long as that takes, unless nothing more comes for `seconds`:
    a busy machine is slow, and loses nothing."""
    most = -2  # -1: it cannot be counted now.
    while (now := count()) < goal:
        if now > most:
            most = now
            patience = monotonic() + seconds * SLOW
        elif monotonic() > patience:
            raise Failure(f"waited {seconds} s for more of {goal} {what} (there are {now})")
        time.sleep(interval)


def wait_for(check, seconds, what, interval=0.01):
    """Looks until check() is true; what it returned, or Failure after the deadline."""
    end = monotonic() + seconds * SLOW
    while True:
        value = check()
        if value:
            return value
        if monotonic() > end:
            raise Failure(f"waited {seconds} s for {what}")
        time.sleep(interval)


class Build:
    """The programs of one build folder."""

    def __init__(self, folder):
        self.folder = os.path.abspath(folder)
        self.plugins = os.path.join(self.folder, "plugins")

    def program(self, name):
        for sub in ("bin", "tests", "bench"):
            path = os.path.join(self.folder, sub, name)
            if os.access(path, os.X_OK):
                return path
        raise CannotRun(f"{name} is not built in {self.folder}")


class Node:
    """One viaduct-host process and its folder. The folder outlives the process."""

    def __init__(self, trial, name, config, http_port=None, folder=None):
        self.trial = trial
        self.name = name
        self.folder = folder or os.path.join(trial.folder, name)
        self.data_dir = os.path.join(self.folder, "data")
        self.http_port = http_port
        self.config = config
        self.config_path = os.path.join(trial.folder, f"{name}.yaml")
        self.log_path = os.path.join(trial.folder, f"{name}.log")
        self.process = None
        # Where it lives and is spoken to: of a network namespace (emulated_network.py) its inside().
        self.inside = contextlib.nullcontext
        self.starts = 0
        self.exits = collections.Counter()
        os.makedirs(self.data_dir, exist_ok=True)
        self.write_config()

    @property
    def control(self):
        return "unix:" + os.path.join(self.data_dir, "control.sock")

    @property
    def store_path(self):
        return os.path.join(self.data_dir, "store.db")

    def write_config(self):
        # JSON is YAML; the standard library writes no other.
        with open(self.config_path, "w") as f:
            json.dump(self.config, f, indent=2)

    def start(self, wait=True, env=None, prefix=(), ready_limit=READY_LIMIT_S):
        """Starts the node; returns the milliseconds until it said READY=1."""
        if self.alive():
            raise RuntimeError(f"{self.name} runs already")
        notify_path = os.path.join(self.trial.folder, f"{self.name}.notify")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(notify_path)
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(notify_path)
        full_env = dict(os.environ, NOTIFY_SOCKET=notify_path)
        full_env.update(self.trial.node_env)
        full_env.update(env or {})
        command = [*prefix, self.trial.build.program("viaduct-host"), "--config", self.config_path]
        begin = monotonic()
        with open(self.log_path, "ab") as log, self.inside():
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=full_env,
                                            stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)
        self.starts += 1
        self.notify = notify
        if not wait:
            return None
        self.await_ready(ready_limit)
        return (monotonic() - begin) * 1000

    def await_ready(self, limit=READY_LIMIT_S):
        end = monotonic() + limit
        self.notify.settimeout(0.05)
        while True:
            try:
                if b"READY=1" in self.notify.recv(4096):
                    return
            except socket.timeout:
                pass
            if self.process.poll() is not None:
                raise Failure(f"{self.name} ended with {self.process.returncode} before it was "
                              f"ready\n{self.tail()}")
            if monotonic() > end:
                raise Failure(f"{self.name} not ready after {limit} s\n{self.tail()}")

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        if self.alive():
            self.process.kill()
        self.wait_exit(STOP_LIMIT_S)

    def stop(self, limit=STOP_LIMIT_S):
        """SIGTERM; the exit status, or Failure when it does not end."""
        if self.alive():
            self.process.terminate()
        return self.wait_exit(limit)

    def wait_exit(self, limit):
        if self.process is None:
            return None
        try:
            status = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name} did not end within {limit} s\n{self.tail()}") from None
        self.exits[status] += 1
        return status

    def standing(self):
        if self.process is None:
            return "not started"
        status = self.process.poll()
        return "runs" if status is None else f"ended with {status}"

    def tail(self, lines=25):
        with open(self.log_path, errors="replace") as f:
            return "".join(collections.deque(f, lines))

    def get(self, path, timeout=10, headers=None):
        return self.request("GET", path, None, timeout, headers)

    def post(self, path, body, timeout=10):
        text = body if isinstance(body, (str, bytes)) else json.dumps(body)
        return self.request("POST", path, text, timeout, {"Content-Type": "application/json"})

    def request(self, method, path, body, timeout, headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=timeout)
        try:
            with self.inside():
                connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())
        finally:
            connection.close()

    def ctl(self, *words):
        """What viaductctl says of the running node, as JSON."""
        done = subprocess.run(
            [self.trial.build.program("viaductctl"), "-s", self.control[len("unix:"):], "-j",
             *words], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failure(f"{self.name}: viaductctl {' '.join(words)}: {done.stderr}")
        return json.loads(done.stdout)

    def spool_messages(self):
        """That wait or are on their way."""
        return int(self.ctl("spool", "info")["spool"].get("messages", 0))

    def total_detections(self):
        try:
            reply = self.get("/api/statistics")
            return reply.json()["data"]["total_detections"] if reply.status == 200 else -1
        except OSError:
            return -1
        except http.client.HTTPException:
            return -1

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def threads(self):
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


class Load:
    """A running loadgen; result() waits for its end."""

    def __init__(self, trial, arguments, log_path, name):
        self.log_path = log_path
        self.name = name
        self.arguments = arguments
        self.process = subprocess.Popen(
            [trial.build.program("loadgen"), *map(str, arguments)], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, preexec_fn=die_with_parent)

    def running(self):
        return self.process.poll() is None

    def stop(self):
        """No new messages; result() still waits for what is outstanding."""
        if self.running():
            self.process.send_signal(signal.SIGTERM)

    def result(self, limit=300):
        try:
            out, err = self.process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Failure(f"loadgen {self.name} did not end within {limit} s") from None
        if self.process.returncode != 0:
            raise Failure(f"loadgen {self.name}: {err.strip()}")
        return json.loads(out)


class Relay:
    def __init__(self, trial, target_port):
        self.process = subprocess.Popen(
            [trial.build.program("relay"), "--target-port", str(target_port)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
            preexec_fn=die_with_parent)
        self.port = int(self.process.stdout.readline().split()[1])

    def say(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if not answer.startswith("ok"):
            raise RuntimeError(f"relay: {command}: {answer}")
        return answer[3:]

    def stop(self):
        self.process.stdin.close()
        self.process.wait(STOP_LIMIT_S)
