"""A real rsync daemon on a free port, with one module. Python's standard library only."""

import os
import signal
import socket
import subprocess

from processes import STOP_LIMIT_S, CannotRun, Failure, die_with_parent, free_port, wait_for

RSYNC = "/usr/bin/rsync"
READY_LIMIT_S = 10
MODULE, USER, PASSWORD = "edge", "cam001", "5f0c2b7d"


class RsyncDaemon:
    """Files of clients go into `incoming`."""

    def __init__(self, trial, incoming, name="rsyncd"):
        if not os.access(RSYNC, os.X_OK):
            raise CannotRun("rsync is not installed")
        self.folder = os.path.join(trial.folder, name)
        self.port = free_port()
        self.process = None
        os.makedirs(self.folder, exist_ok=True)
        secrets = os.path.join(self.folder, "secrets")
        with open(secrets, "w") as f:
            f.write(f"{USER}:{PASSWORD}\n")
        os.chmod(secrets, 0o600)
        # As deploy/rsyncd, whose users and folders are not on this machine.
        owner = ["uid = 0", "gid = 0"] if os.geteuid() == 0 else []
        with open(os.path.join(self.folder, "rsyncd.conf"), "w") as f:
            f.write("\n".join(["use chroot = no", "read only = no", "write only = yes",
                               "list = no", "munge symlinks = yes", *owner,
                               f"lock file = {os.path.join(self.folder, 'lock')}",
                               f"[{MODULE}]", f"path = {incoming}", f"auth users = {USER}",
                               f"secrets file = {secrets}"]) + "\n")
        trial.cleanups.append(self.kill)

    def start(self):
        self.process = subprocess.Popen(
            [RSYNC, "--daemon", "--no-detach", "--address=127.0.0.1", f"--port={self.port}",
             f"--config={os.path.join(self.folder, 'rsyncd.conf')}",
             f"--log-file={os.path.join(self.folder, 'log')}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent)
        wait_for(self._listens, READY_LIMIT_S, "rsyncd to listen")
        return self

    def _listens(self):
        if self.process.poll() is not None:
            raise Failure(f"rsyncd ended with {self.process.returncode}")
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    @staticmethod
    def client_config(port, **changes):
        """Of an instance that sends to it, by way of `port`."""
        return {"transport": "daemon", "remote_host": "127.0.0.1", "port": port,
                "remote_user": USER, "password": PASSWORD, "remote_path": MODULE,
                "options": ["-a", "--partial"], **changes}

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(STOP_LIMIT_S)
