"""A real sshd on a free port in the folder of the trial. Python's standard library only."""

import os
import pwd
import socket
import subprocess

from processes import STOP_LIMIT_S, CannotRun, Failure, die_with_parent, free_port, wait_for

SSHD = "/usr/sbin/sshd"
READY_LIMIT_S = 10


class SshServer:
    """Takes the user of the trial with the key `user`; files of clients belong in `incoming`."""

    def __init__(self, trial, name="sshd", settings=(), address="127.0.0.1", inside=None):
        if not os.access(SSHD, os.X_OK):
            raise CannotRun("openssh-server is not installed")
        self.folder = os.path.join(trial.folder, name)
        self.incoming = os.path.join(self.folder, "incoming")
        self.address = address
        self.port = free_port()
        self.user = pwd.getpwuid(os.geteuid()).pw_name
        self.inside = inside  # A context in which it is started: a network namespace.
        self.process = None
        os.makedirs(self.incoming, exist_ok=True)
        for key in ("host", "user"):
            self._make_key(key)
        self.write_config(settings)
        trial.cleanups.append(self.kill)

    def path(self, name):
        return os.path.join(self.folder, name)

    def _make_key(self, name):
        if not os.path.exists(self.path(name)):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "",
                            "-f", self.path(name)], check=True)

    def write_config(self, settings):
        with open(self.path("host.pub")) as f:
            host_key = f.read()
        with open(self.path("known_hosts"), "w") as f:
            f.write(f"[{self.address}]:{self.port} {host_key}")
        lines = [*settings, f"ListenAddress {self.address}:{self.port}",
                 f"HostKey {self.path('host')}", f"AuthorizedKeysFile {self.path('user.pub')}",
                 "PidFile none", "StrictModes no", "UsePAM no", "PermitRootLogin yes",
                 "MaxStartups 1000",  # It drops at random what connects too often.
                 "Subsystem sftp internal-sftp"]
        with open(self.path("sshd.conf"), "w") as f:
            f.write("\n".join(lines) + "\n")

    def command(self):
        run = [SSHD, "-D", "-f", self.path("sshd.conf"), "-E", self.path("log")]
        if os.geteuid() != 0:
            return run
        # Its folder below /run, without touching that of the machine; and for root a shell that
        # reads nothing when it starts.
        with open("/etc/passwd") as users, open(self.path("passwd"), "w") as f:
            f.write("root:x:0:0:root:/:/bin/sh\n" + users.read())
        return ["unshare", "-m", "sh", "-c",
                'mount -t tmpfs tmpfs /run && mkdir /run/sshd && mount --bind "$0" /etc/passwd && '
                'exec "$@"', self.path("passwd"), *run]

    def start(self):
        if self.inside:
            with self.inside():
                self._start()
        else:
            self._start()
        return self

    def _start(self):
        self.process = subprocess.Popen(self.command(), stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, preexec_fn=die_with_parent)
        wait_for(self._listens, READY_LIMIT_S, "sshd to listen")

    def _listens(self):
        if self.process.poll() is not None:
            raise Failure(f"sshd ended with {self.process.returncode}\n{self.tail()}")
        with socket.socket() as s:
            return s.connect_ex((self.address, self.port)) == 0

    def client_config(self, **changes):
        """Of an instance that sends to it."""
        return {"host": self.address, "port": self.port, "username": self.user,
                "key_file": self.path("user"), "known_hosts": self.path("known_hosts"),
                "remote_path": self.incoming, **changes}

    def rsync_config(self, **changes):
        """The same of an instance of the rsync plugin."""
        return {"remote_host": self.address, "port": self.port, "remote_user": self.user,
                "key_file": self.path("user"), "known_hosts": self.path("known_hosts"),
                "remote_path": self.incoming, **changes}

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(STOP_LIMIT_S)

    def tail(self, lines=15):
        if not os.path.exists(self.path("log")):
            return ""
        with open(self.path("log"), errors="replace") as f:
            return "".join(f.readlines()[-lines:])
