"""A real mosquitto on a free port in the folder of the trial. Python's standard library only."""

import os
import shutil
import socket
import subprocess

from processes import STOP_LIMIT_S, CannotRun, Failure, die_with_parent, free_port, wait_for

READY_LIMIT_S = 10


def mosquitto_program(name):
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    program = shutil.which(name, path=path)
    if not program:
        raise CannotRun(f"{name} is not installed")
    return program


class Broker:
    """The folder, and with it the broker's memory, outlives the process."""

    def __init__(self, trial, name="broker", settings=(), listener=(), address="127.0.0.1"):
        self.name = name
        self.folder = os.path.join(trial.folder, name)
        self.log_path = os.path.join(self.folder, "broker.log")
        self.address = address
        self.port = free_port()
        self.process = None
        os.makedirs(self.folder, exist_ok=True)
        self.write_config(settings, listener)
        trial.cleanups.append(self.kill)

    def write_config(self, settings, listener):
        """`settings` replaces who may come in, `listener` is said of the port."""
        lines = ["user root", "per_listener_settings false", f"listener {self.port} {self.address}",
                 *listener, *(settings or ["allow_anonymous true"]),
                 "persistence true", f"persistence_location {self.folder}/",
                 "max_queued_messages 0", f"log_dest file {self.log_path}"]
        with open(os.path.join(self.folder, "broker.conf"), "w") as f:
            f.write("\n".join(lines) + "\n")

    def start(self):
        self.process = subprocess.Popen(
            [mosquitto_program("mosquitto"), "-c", os.path.join(self.folder, "broker.conf")],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent)
        wait_for(self._listens, READY_LIMIT_S, f"{self.name} to listen")
        return self

    def _listens(self):
        if self.process.poll() is not None:
            raise Failure(f"{self.name} ended with {self.process.returncode}\n{self.tail()}")
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        if self.alive():
            self.process.kill()
            self.process.wait(STOP_LIMIT_S)

    def stop(self):
        """In order: what it remembers is saved."""
        if self.alive():
            self.process.terminate()
            self.process.wait(STOP_LIMIT_S)

    def tail(self, lines=15):
        if not os.path.exists(self.log_path):
            return ""
        with open(self.log_path, errors="replace") as f:
            return "".join(f.readlines()[-lines:])
