#!/usr/bin/env python3
"""The packages on two machines on which systemd runs, an edge and a server: installed, set up with the
commands of docs/INSTALL.md, a detection from a producer on the edge into the server's PostgreSQL,
upgraded to a higher version, undone, removed, purged. Then nothing of them is left in either machine.

    tests/packaging/packages.py [--packages build/package] [--cache build/packaging]

After ./dev package; needs root. 77 when it cannot run. The cache has a Debian of debootstrap and what apt
brought.
"""

import argparse
import glob
import json
import os
import re
import shutil
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from documents import claimed_blocks  # noqa: E402
from packaged_machine import Machine, expect, run, wire  # noqa: E402
from processes import CannotRun, Failure, say, wait_for  # noqa: E402

SKIPPED = 77  # As ctest is told.
MOST_EXPOSURE = 2.0
ARRIVAL_LIMIT_S = 60
DETECTIONS = 20
BLOCKS = {"A server": 2, "An edge": 1, "Upgrade and removal": 1}
CHANGED = "# changed by hand"
# Written by the test, or by shadow's tools with a group that came and went.
BESIDE = ("/etc", "/etc/hosts", "/etc/group", "/etc/gshadow")


def commands(heading):
    """The blocks of commands below a heading of the document."""
    blocks = [block for block in claimed_blocks(__file__, ["docs/INSTALL.md"]) if block.heading == heading]
    expect(len(blocks) == BLOCKS[heading], f"docs/INSTALL.md has {len(blocks)} blocks below {heading}")
    return [block.text for block in blocks]


def the_package(folder, name):
    found = glob.glob(os.path.join(folder, f"{name}_*.deb"))
    if len(found) != 1:
        raise CannotRun(f"{folder} has no package {name}: run ./dev package first")
    return found[0]


def higher(package, folder):
    """The same package in a higher version, with another configuration in it."""
    work = os.path.join(folder, "unpacked-" + os.path.basename(package))
    run("dpkg-deb", "-R", package, work)
    control = os.path.join(work, "DEBIAN/control")
    with open(control) as f:
        text = f.read()
    with open(control, "w") as f:
        f.write(re.sub(r"^(Version: .*)$", r"\1+higher", text, flags=re.MULTILINE)
                .replace("(= ", "(>= "))
    node = os.path.join(work, "etc/viaduct/node.yaml")
    if os.path.exists(node):
        with open(node, "a") as f:
            f.write("# Of the higher version.\n")
    path = os.path.join(folder, "higher-" + os.path.basename(package))
    run("dpkg-deb", "--root-owner-group", "-b", work, path)
    return path


class Node:
    """A machine with the packages of a node, by the commands of the document."""

    def __init__(self, name, kind, folder, arguments, *others):
        self.kind = kind
        self.machine = Machine(name, folder, arguments.cache)
        names = ("viaduct", f"viaduct-{kind}")
        self.packages = [the_package(arguments.packages, package) for package in names]
        self.machine.fetch(self.packages, *others)
        upgrades = os.path.join(folder, f"{name}-higher")
        os.mkdir(upgrades)
        self.upgrades = [higher(package, upgrades) for package in self.packages]

    def shell(self, text, code=0):
        return self.machine.shell(text, code)

    def is_running(self):
        expect(self.machine.show("viaduct", "ActiveState") == "active",
               f"{self.kind}: not active\n{self.machine.journal()}")
        pid = self.machine.show("viaduct", "MainPID")
        expect(self.shell(f"stat -c %U /proc/{pid}").strip() == "viaduct", "it runs as another user")

    def judge_unit(self):
        said = self.shell("systemd-analyze --man=no verify viaduct.service")
        expect("viaduct" not in said, f"systemd-analyze verify: {said}")
        said = self.shell("systemd-analyze --no-pager security viaduct.service", None)
        exposure = float(re.search(r"exposure level for viaduct\.service: ([0-9.]+)", said).group(1))
        expect(exposure < MOST_EXPOSURE, said)
        return exposure

    def check(self, more=""):
        """What viaduct-host says of the configuration, with more in it."""
        return self.shell(f"(cat /etc/viaduct/node.yaml; echo '{more}') >/tmp/node.yaml; "
                          "chmod 644 /tmp/node.yaml; CREDENTIALS_DIRECTORY=/etc/viaduct/secrets "
                          "viaduct-host --config /tmp/node.yaml --check 2>&1 && echo taken", None)

    def upgrade(self):
        for package in self.upgrades:
            shutil.copy(package, self.machine.root + "/root/packages")
        self.shell(f"echo '{CHANGED}' >>/etc/viaduct/node.yaml")
        pid = self.machine.show("viaduct", "MainPID")
        self.shell("apt install ./higher-*.deb")
        for name in ("viaduct", f"viaduct-{self.kind}"):
            expect("+higher" in self.shell(f"dpkg-query -W {name}"), f"{name} is not upgraded")
        expect(self.machine.read("/etc/viaduct/node.yaml").endswith(CHANGED + "\n"), "node.yaml is lost")
        self.is_running()
        expect(self.machine.show("viaduct", "MainPID") != pid, "the old program still runs")
        self.shell(f"sed -i '/^{CHANGED}$/d' /etc/viaduct/node.yaml")

    def remove(self):
        self.shell(f"apt remove viaduct viaduct-{self.kind}")
        expect(os.path.exists(self.machine.root + "/etc/viaduct/node.yaml"), "remove: node.yaml is gone")
        expect(os.listdir(self.machine.root + "/var/lib/viaduct"), "remove: the data is gone")
        expect(self.machine.show("viaduct", "ActiveState") != "active", "remove: it still runs")


def leaves_nothing(node, before):
    """What dependencies brought goes, too; what is there then was there before."""
    node.shell("apt autoremove --purge")
    after = node.machine.everything()
    left = sorted(set(after) - set(before))
    expect(not left, f"{node.kind}: left behind after the purge: {left}")
    for table in ("/etc/passwd", "/etc/group"):
        expect("viaduct" not in node.machine.read(table), f"{table} has the user still")


def install_server(server):
    block, key = commands("A server")
    server.shell(block)
    server.is_running()
    server.shell(key)
    for unit in ("mosquitto", "ssh"):
        expect(server.machine.show(unit, "ActiveState") == "active", f"{unit} does not run")
    said = server.shell("ss -ltn")
    for port in (22, 1883, 8883, 8443):
        expect(re.search(rf":{port}\s", said), f"nothing listens at {port}: {said}")
    expect("viaduct-edge" in server.shell("getent group viaduct-edge"), "no group of devices")


def install_edge(edge, server):
    with open(edge.machine.root + "/root/packages/EDGE001.key", "w") as f:
        f.write(server.machine.read("/root/packages/EDGE001.key"))
    edge.machine.write("/root/packages/ca.crt", server.machine.read("/root/pki/ca.crt"))
    edge.machine.write("/etc/hosts", "10.77.0.1 server.site.example\n", mode="a")
    edge.shell(commands("An edge")[0])
    edge.is_running()
    installed = edge.shell("dpkg-query -W -f '${Package} ${Status}\\n'")
    for unwanted in ("libpq5", "libopencv", "mosquitto ", "postgresql"):
        expect(not re.search(rf"^{unwanted}.* installed$", installed, re.MULTILINE),
               f"an edge has {unwanted}")
    said = edge.check("store: {postgresql: {host: /run/postgresql}}")
    expect("libpq.so.5" in said and "libpq5" in said, f"without libpq: {said}")


def report(edge, number):
    """A producer on the edge; curl is this machine's."""
    detection = {"type": "detection_result", "camera_id": "EDGE001", "checkpoint_id": "CP1",
                 "timestamp": f"2024-01-15T10:30:{number:02d}.000Z"}
    edge.machine.net("curl", "-sf", "-H", "content-type: application/json", "-d", json.dumps(detection),
                     "http://127.0.0.1:8000/api/detection")


def stored(server):
    return int(server.shell("cd / && runuser -u postgres -- psql -X -t -A -d viaduct -c "
                            "'SELECT count(*) FROM detections'").strip())


def detections_arrive(edge, server, count):
    before = stored(server)
    for number in range(count):
        report(edge, number)
    wait_for(lambda: stored(server) == before + count, ARRIVAL_LIMIT_S,
             f"{count} detections (there are {stored(server) - before}, {edge.machine.journal()})")


def spool_outlives(edge, server):
    """What the edge took while its server was away is sent after the upgrade of both."""
    before = stored(server)
    server.shell("systemctl stop viaduct")
    for number in range(DETECTIONS):
        report(edge, number + 20)
    edge.upgrade()
    server.shell("systemctl start viaduct")
    server.upgrade()
    wait_for(lambda: stored(server) == before + DETECTIONS, ARRIVAL_LIMIT_S, "what lay in the spool")


def undo_and_purge(node, as_installed, before):
    """Then everything is as the packages brought it, and after the purge as before them."""
    undo, purge = commands("Upgrade and removal")[0].splitlines()
    if node.kind == "server":
        said = node.shell(undo, 5)
        expect("database viaduct: has" in said, f"undo: {said}")
        undo += " --force"
    node.shell(undo)
    found = node.machine.everything("/etc", "/srv", digests=True)
    wrong = [path for path in set(found) | set(as_installed)
             if path not in BESIDE and not path.endswith(".dpkg-dist")  # The upgrade's.
             and found.get(path) != as_installed.get(path)]
    expect(not wrong, f"{node.kind}: undo left {sorted(wrong)}")
    node.is_running()
    node.remove()
    node.shell(purge.replace("viaduct-edge", f"viaduct-{node.kind}"))
    leaves_nothing(node, before)


def as_packages_bring_it(node, *others):
    """/etc and /srv with the packages alone, before anything is set up; then they go again."""
    before = node.machine.everything()
    node.shell(f"apt install ./viaduct_*.deb ./viaduct-{node.kind}_*.deb {' '.join(others)}")
    node.is_running()
    return before, node.machine.everything("/etc", "/srv", digests=True)


def test(arguments):
    if os.geteuid() != 0:
        raise CannotRun("it needs root")
    for program in ("unshare", "nsenter", "ip", "dpkg-deb", "curl"):
        if not shutil.which(program):
            raise CannotRun(f"{program} is not installed")
    folder = tempfile.mkdtemp(prefix="vd-packages-")
    nodes = []
    begin = time.monotonic()
    others = ("mosquitto", "postgresql", "openssh-server")
    try:
        server = Node("server", "server", folder, arguments, *others)
        nodes.append(server)
        edge = Node("edge", "edge", folder, arguments)
        nodes.append(edge)
        for node in nodes:
            node.machine.start()
        wire(server.machine, edge.machine)
        say("both machines run")
        # The other programs of the server stay when Viaduct goes.
        server.shell(f"apt install {' '.join(others)}")
        server_before, server_installed = as_packages_bring_it(server)
        edge_before, edge_installed = as_packages_bring_it(edge)
        say(f"installed; exposure {edge.judge_unit()}")
        install_server(server)
        install_edge(edge, server)
        say("set up by the commands of docs/INSTALL.md")
        detections_arrive(edge, server, DETECTIONS)
        say("detections are in PostgreSQL")
        spool_outlives(edge, server)
        say("upgraded, and the spool was sent")
        undo_and_purge(edge, edge_installed, edge_before)
        undo_and_purge(server, server_installed, server_before)
        say(f"undone, removed, purged; {time.monotonic() - begin:.0f} s")
    finally:
        for node in nodes:
            node.machine.stop()
        shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", default=os.path.join(ROOT, "build", "package"))
    parser.add_argument("--cache", default=os.path.join(ROOT, "build", "packaging"))
    arguments = parser.parse_args()
    arguments.packages = os.path.abspath(arguments.packages)
    arguments.cache = os.path.abspath(arguments.cache)
    try:
        test(arguments)
    except CannotRun as why:
        print(f"SKIPPED: {why}")
        sys.exit(SKIPPED)
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)


if __name__ == "__main__":
    main()
