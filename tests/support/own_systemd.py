"""A real systemd that is process 1 of namespaces of its own, and knows no other units than those of the
trial. Needs root. What it writes to /etc, /run, /var/lib and /var/log is in memory and goes with it. A
whole machine also has a network of its own, where every port is free, and /srv, /usr and units in /etc
that may be written.
"""

import os
import shlex
import shutil
import subprocess

from processes import STOP_LIMIT_S, CannotRun, Failure, die_with_parent, wait_for

SYSTEMD = "/lib/systemd/systemd"
BEGIN_LIMIT_S = 60
# Targets that units depend on by default, without what a machine has in them.
EMPTY_TARGETS = ("sysinit", "basic", "shutdown", "network-online", "time-sync")

BEGIN = """
set -e
mount --make-rprivate /
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys
mount -t tmpfs tmpfs /run
mkdir -p /run/lock /run/units /run/upper /run/work
mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work /etc
units=/run/units
if [ "$2" = whole ]; then
  mkdir -p /run/usr-upper /run/usr-work
  mount -t overlay overlay -o lowerdir=/usr,upperdir=/run/usr-upper,workdir=/run/usr-work /usr
  mount -t tmpfs -o mode=755 tmpfs /srv
  mount -t tmpfs tmpfs /etc/systemd/system
  mount --bind /run/units /usr/lib/systemd/system  # Where systemctl looks, too.
  units=/etc/systemd/system:/usr/lib/systemd/system
  ip link set lo up
fi
mount -t tmpfs tmpfs /var/lib
mount -t tmpfs tmpfs /var/log
mount --make-rshared /
cp -r "$1"/units/. /run/units/
. "$1"/prepare
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_UNIT_PATH="$units" container=lxc \\
  /lib/systemd/systemd --system --unit=basic.target --log-target=console --show-status=0
"""


class OwnSystemd:
    """`prepare`: a shell script that makes users and files before it begins."""

    def __init__(self, trial, units, prepare, whole=False):
        if os.geteuid() != 0 or not os.access(SYSTEMD, os.X_OK) or not shutil.which("nsenter"):
            raise CannotRun("a systemd of its own needs root, systemd and util-linux")
        self.folder = os.path.join(trial.folder, "systemd")
        os.makedirs(os.path.join(self.folder, "units"))
        for target in EMPTY_TARGETS:
            units = {**units, f"{target}.target": "[Unit]\nDefaultDependencies=no\n"}
        for name, text in units.items():
            path = os.path.join(self.folder, "units", name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as f:
                f.write(text)
        with open(os.path.join(self.folder, "prepare"), "w") as f:
            f.write(prepare)
        self.whole = whole
        self.log_path = os.path.join(self.folder, "log")
        self.process = None
        trial.cleanups.append(self.kill)

    def start(self):
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--uts", "--ipc",
                 "--cgroup", *(["--net"] if self.whole else []), "bash", "-c", BEGIN, "begin",
                 self.folder, "whole" if self.whole else ""],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent)
        wait_for(self._answers, BEGIN_LIMIT_S, "systemd to begin", interval=0.1)
        return self

    def _answers(self):
        if self.process.poll() is not None:
            raise Failure(f"systemd ended with {self.process.returncode}\n{self.tail()}")
        return self.run("systemctl", "is-active", "basic.target").stdout.strip() == "active"

    def first(self):
        """Its process, as this machine sees it."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as f:
            found = f.read().split()
        return found[0] if found else "0"

    def run(self, *command, typed=""):
        """`typed`: into its standard input."""
        spaces = ["--mount", "--pid", *(["--net"] if self.whole else [])]
        return subprocess.run(["nsenter", "--target", self.first(), *spaces, "--", *command], input=typed,
                              capture_output=True, text=True, check=False)

    def show(self, unit, name):
        return self.run("systemctl", "show", "--property", name, "--value", unit).stdout.strip()

    def shell(self, text, typed=""):
        done = self.run("bash", "-c", text, typed=typed)
        if done.returncode != 0:
            raise Failure(f"{shlex.quote(text)}: {done.returncode} {done.stdout}{done.stderr}")
        return done.stdout

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(STOP_LIMIT_S)

    def tail(self):
        with open(self.log_path, errors="replace") as f:
            return "".join(f.readlines()[-25:])
