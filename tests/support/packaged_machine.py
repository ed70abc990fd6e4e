"""A Debian 12 of debootstrap in which its own systemd is process 1, in namespaces of its own, its network
included. Needs root. Python's standard library only.
"""

import errno
import hashlib
import os
import re
import shutil
import subprocess

from processes import CannotRun, Failure, die_with_parent, wait_for

BEGIN_LIMIT_S = 90
STOP_LIMIT_S = 60
COMMAND_LIMIT_S = 900
# Of a machine as debootstrap makes it, without what only real ones need.
MASKED = ("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
          "fstrim.timer", "console-getty.service", "getty@tty1.service", "systemd-udevd.service",
          "systemd-networkd.service", "systemd-resolved.service", "systemd-timesyncd.service")
PACKAGES = ("systemd", "systemd-sysv", "dbus", "passwd", "iproute2", "ca-certificates", "curl")
# Not of a package: what the system keeps for itself, and what changes by itself.
PASSING = ("/proc", "/sys", "/dev", "/run", "/tmp", "/root", "/var/cache", "/var/log", "/var/lib/apt",
           "/var/lib/dpkg", "/var/tmp", "/var/backups", "/etc/ssl/certs", "/var/lib/systemd",
           "/etc/ld.so.cache", "/etc/machine-id", "/var/lib/postgresql", "/var/lib/mosquitto")

BEGIN = """
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount --rbind /dev dev
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mkdir -p run/old
pivot_root . run/old
umount -l /run/old
mount --make-rshared /
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=lxc /lib/systemd/systemd --system \\
  --log-target=console --show-status=0
"""


def expect(condition, what):
    if not condition:
        raise Failure(what)


def run(*command, code=0, **more):
    """What it said. A Failure unless it ended with `code` (None: with any)."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace",
                          timeout=COMMAND_LIMIT_S, check=False, **more)
    expect(code is None or done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}")
    return done.stdout


def mirror():
    """Where this machine gets its packages."""
    found = []
    for folder, _, files in os.walk("/etc/apt"):
        for name in sorted(files):
            if name.endswith((".list", ".sources")):
                with open(os.path.join(folder, name)) as f:
                    found += re.findall(r"^(?:URIs:|deb(?: \[[^]]*\])?) +(\S+/debian)/?(?:\s|$)",
                                        f.read(), re.MULTILINE)
    if not found:
        raise CannotRun("this machine has no mirror of Debian in its sources of apt")
    return found[0]


def lend(root):
    """What the machine needs of this one to reach the mirror."""
    for path in ("/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt",
                 *[os.path.join("/etc/apt/apt.conf.d", name) for name in os.listdir("/etc/apt/apt.conf.d")
                   if name.startswith("99")]):
        if os.path.exists(path):
            os.makedirs(root + os.path.dirname(path), exist_ok=True)
            shutil.copy(path, root + path)


def base_tarball(cache):
    """Made once; later runs unpack it."""
    path = os.path.join(cache, "bookworm.tar")
    if os.path.exists(path):
        return path
    if not shutil.which("debootstrap"):
        raise CannotRun("debootstrap is not installed")
    os.makedirs(cache, exist_ok=True)
    root = os.path.join(cache, "making")
    shutil.rmtree(root, ignore_errors=True)
    done = subprocess.run(["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}",
                           "bookworm", root, mirror()], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        raise CannotRun(f"debootstrap: {done.stdout[-2000:]}")
    run("tar", "-C", root, "-cf", path + ".new", ".")
    shutil.rmtree(root)
    os.replace(path + ".new", path)
    return path


# Of the second version: beside those of the first on some machines, instead of them on others.
CGROUPS = next((path for path in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")
                if os.path.exists(path + "/cgroup.procs")), None)


class Machine:
    def __init__(self, name, folder, cache):
        self.name = name
        self.root = os.path.join(folder, name)
        self.archives = os.path.join(cache, "archives")
        self.log_path = os.path.join(folder, f"{name}.log")
        self.process = None
        if CGROUPS is None:
            raise CannotRun("there are no cgroups of version 2")
        self.cgroup = os.path.join(CGROUPS, f"viaduct-{name}-{os.getpid()}")
        os.makedirs(self.root)
        run("tar", "-C", self.root, "-xf", base_tarball(cache))
        lend(self.root)
        for unit in MASKED:
            path = os.path.join(self.root, "etc/systemd/system", unit)
            if not os.path.lexists(path):
                os.symlink("/dev/null", path)
        self.write("/etc/hostname", name + "\n")
        self.write("/etc/hosts", f"127.0.0.1 localhost {name}\n::1 localhost\n")
        self.write("/etc/apt/apt.conf.d/90packages-test", 'APT::Get::Assume-Yes "true";\n'
                   'Dpkg::Options {"--force-confdef";};\nDpkg::Use-Pty "false";\n'
                   'APT::Sandbox::User "root";\n')

    def write(self, path, text, mode="w"):
        with open(self.root + path, mode) as f:
            f.write(text)

    def read(self, path):
        with open(self.root + path, errors="replace") as f:
            return f.read()

    def fetch(self, packages, *words):
        """`packages` into /root/packages, and from the mirror what they and `words` need, so that apt
        does without a network afterwards."""
        os.makedirs(self.root + "/root/packages")
        for package in packages:
            shutil.copy(package, self.root + "/root/packages")
        os.makedirs(self.archives, exist_ok=True)
        inside = self.root + "/var/cache/apt/archives"
        run("mount", "--bind", self.archives, inside)
        try:
            names = [f"/root/packages/{os.path.basename(package)}" for package in packages]
            run("chroot", self.root, "apt-get", "-q", "update")
            run("chroot", self.root, "apt-get", "-q", "install", "-d", *names, *words)
        finally:
            run("umount", inside)
        run("bash", "-c", f"cp -a {self.archives}/*.deb {inside}/")

    # --- running ---

    def _enter_cgroup(self):
        die_with_parent()
        with open(self.cgroup + "/cgroup.procs", "w") as f:
            f.write("0")

    def start(self):
        os.mkdir(self.cgroup)
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--uts", "--ipc", "--cgroup",
                 "--net", "bash", "-c", BEGIN, "begin", self.root],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=self._enter_cgroup)
        wait_for(self._answers, BEGIN_LIMIT_S, f"systemd of {self.name} to begin")
        self.net("ip", "link", "set", "lo", "up")
        self.shell(f"hostname {self.name}")
        return self

    def _answers(self):
        expect(self.process.poll() is None, f"systemd ended\n{self.tail()}")
        return self.first() != "0" and \
            self._inside("systemctl", "is-active", "multi-user.target").stdout.strip() == "active"

    def first(self):
        """Its process, as this machine sees it."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as f:
            found = f.read().split()
        return found[0] if found else "0"

    def _inside(self, *command):
        return subprocess.run(
            ["nsenter", "--target", self.first(), "--mount", "--uts", "--ipc", "--net", "--pid",
             "--cgroup", "--", "env", "-i",
             "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
             "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", *command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", timeout=COMMAND_LIMIT_S, check=False)

    def shell(self, text, code=0):
        done = self._inside("bash", "-ec", f"cd /root/packages\n{text}")
        expect(code is None or done.returncode == code,
               f"{self.name}: {text}: {done.returncode}\n{done.stdout}\n{self.journal()}")
        return done.stdout

    def net(self, *command):
        """A program of this machine in the network of that one."""
        return run("nsenter", "--target", self.first(), "--net", "--", *command)

    def show(self, unit, name):
        return self.shell(f"systemctl show --property {name} --value {unit}").strip()

    def journal(self):
        if self.process is None or self.process.poll() is not None:
            return self.tail()
        return self._inside("journalctl", "--no-pager", "-n", "40", "-u", "viaduct").stdout

    def tail(self):
        with open(self.log_path, errors="replace") as f:
            return "".join(f.readlines()[-25:])

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()  # --kill-child: systemd goes with it, and all below it.
            self.process.wait(STOP_LIMIT_S)
        if os.path.isdir(self.cgroup):
            wait_for(self._is_cleared, STOP_LIMIT_S, f"the end of {self.name}")

    def _is_cleared(self):
        """Its groups are gone, which they are when their last process is."""
        try:
            for folder, _, _ in os.walk(self.cgroup, topdown=False):
                os.rmdir(folder)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
        return not os.path.isdir(self.cgroup)

    # --- looking ---

    def everything(self, *below, digests=False):
        """Every name of a file below, but what passes; with digests, what each holds and who owns it."""
        found = {}
        for start in below or ("/",):
            for folder, folders, files in os.walk(self.root + start):
                inside = folder[len(self.root):] or "/"
                folders[:] = [name for name in folders
                              if os.path.join(inside, name) not in PASSING]
                for name in [*folders, *files]:
                    path = os.path.join(inside, name)
                    if path not in PASSING and not path.endswith("-"):  # /etc/passwd-, of shadow's tools
                        found[path] = self._facts(path) if digests else ""
        return found

    def _facts(self, path):
        facts = os.lstat(self.root + path)
        digest = ""
        if os.path.isfile(self.root + path) and not os.path.islink(self.root + path):
            with open(self.root + path, "rb") as f:
                digest = hashlib.sha256(f.read()).hexdigest()
        return facts.st_mode, facts.st_uid, facts.st_gid, digest


def wire(a, b):
    """A cable between two machines: 10.77.0.1 and 10.77.0.2."""
    run("ip", "link", "add", "vd-a", "netns", a.first(), "type", "veth", "peer", "name", "vd-b", "netns",
        b.first())
    for machine, name, address in ((a, "vd-a", "10.77.0.1/24"), (b, "vd-b", "10.77.0.2/24")):
        machine.net("ip", "address", "add", address, "dev", name)
        machine.net("ip", "link", "set", name, "up")
