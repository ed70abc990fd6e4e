#!/usr/bin/env python3
"""What deploy/*/README.md and docs/INSTALL.md tell people to type by hand, typed: on a machine of a
systemd of its own (tests/support/own_systemd.py), with Debian's sshd, rsync, mosquitto and PostgreSQL.
Then the node runs, and a device gets in by each way that was opened for it. Needs root.
"""

import glob
import os
import re
import subprocess

import common_path  # noqa: F401
from documents import ROOT, claimed_blocks
from harness import CannotRun, Failure, main, say, wait_for
from own_systemd import OwnSystemd

SYSTEM_UNITS = "/lib/systemd/system"
PATIENCE_S = 20
OWN = "/run/typed"  # In memory, as all that the trial writes outside of its folder must be.
NOBODY = 65534
SECRET = "typed-by-hand"
# Whom packages make, and what they leave to be read; PostgreSQL's own wrappers want more of a machine.
PREPARE = """
mkdir {own}
# Those of the machine would make folders in homes, which are not the trial's.
mount -t tmpfs tmpfs /usr/lib/tmpfiles.d
install -D -m 755 /dev/null /usr/lib/viaduct/plugins/.keep
mount --bind {build}/plugins /usr/lib/viaduct/plugins
for program in viaduct-host viaductctl; do ln -sf {build}/bin/$program /usr/bin/$program; done
install -d -m 700 -o postgres -g postgres /var/lib/postgresql/data
install -d -o postgres -g postgres /run/postgresql
install -d -o mosquitto /var/lib/mosquitto
"""
DATABASE = """[Service]
User=postgres
Type=notify
ExecStart={postgresql}/postgres -D /var/lib/postgresql/data -k /run/postgresql -h ""
"""


def expect(condition, what):
    if not condition:
        raise Failure(what)


class Machine:
    def __init__(self, t):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not found:
            raise CannotRun("PostgreSQL is not installed")
        units = {"postgresql.service": DATABASE.format(postgresql=found[-1]),
                 "network.target": "[Unit]\n", "multi-user.target": "[Unit]\n"}
        for name in ("ssh", "rsync", "mosquitto"):
            with open(f"{SYSTEM_UNITS}/{name}.service") as f:
                units[f"{name}.service"] = f.read()
        self.t = t
        self.systemd = OwnSystemd(
            t, units, PREPARE.format(own=OWN, build=t.build.folder), whole=True)
        self.systemd.start()
        self.systemd.shell("systemctl start ssh")
        self.postgresql = found[-1]
        self.typed = 0

    def type(self, document, number, typed="", before=""):
        """That block of the document, in its folder."""
        block = claimed_blocks(__file__, [document])[number]
        folder = os.path.join(ROOT, os.path.dirname(document))
        self.typed += len(block.text.splitlines())
        return self.systemd.shell(f"set -e; cd {folder}\n{before}\n{block.text}", typed)

    def shell(self, text, typed=""):
        return self.systemd.shell(text, typed)

    def is_active(self, unit):
        done = self.systemd.run("systemctl", "--no-pager", "status", unit)
        expect(done.returncode == 0, f"{done.stdout}{done.stderr}\n{self.systemd.tail()}")


def every_block_is_typed(typed):
    for document in glob.glob(os.path.join(ROOT, "deploy", "*", "README.md")):
        name = os.path.relpath(document, ROOT)
        count = len(claimed_blocks(__file__, [name]))
        expect(typed.get(name) == count, f"{name} has {count} blocks")


def a_node_as_a_service(machine):
    document = "deploy/systemd/README.md"
    machine.type(document, 0)
    machine.is_active("viaduct")
    expect("EDGE001" in machine.shell("viaductctl node info"), "another node")
    machine.type(document, 1, typed=SECRET)
    machine.is_active("viaduct")
    found = machine.shell("cat /run/credentials/viaduct.service/mqtt_password")
    expect(found == SECRET, f"the node is given {found!r}")
    return document, 2


def sshd_for_devices(machine):
    document = "deploy/sshd/README.md"
    machine.type(document, 0)
    key = os.path.join(machine.t.folder, "cam001")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    machine.type(document, 1, before=f"cd {OWN}; cp {key}.pub .")
    # As somebody without a home, in which ssh would leave something.
    device = (f"setpriv --reuid {NOBODY} --clear-groups {{}} -i {OWN}/key -o StrictHostKeyChecking=no "
              "-o UserKnownHostsFile=/dev/null {} cam001@127.0.0.1 {}")
    machine.shell(f"cd {OWN}; install -m 600 -o {NOBODY} {key} key; echo picture >a.jpg")
    put = f"cd {OWN}; " + device.format("sftp", "-q -b -", "<<<'put a.jpg /incoming/a.jpg'")
    # A reload of sshd turns away whoever comes just then.
    wait_for(lambda: machine.systemd.run("bash", "-c", put).returncode == 0, PATIENCE_S, "a file by sftp")
    expect(machine.shell("cat /srv/viaduct/edge/cam001/incoming/a.jpg") == "picture\n", "no file by sftp")
    said = machine.systemd.run("bash", "-c", device.format("ssh", "", "id"))
    expect(said.returncode != 0 and "uid=" not in said.stdout, f"a device has a shell: {said}")
    return document, 2


def rsyncd_for_devices(machine):
    """Beside sshd the group of the devices is there, and its user is one of rsyncd's own."""
    document = "deploy/rsyncd/README.md"
    machine.shell("userdel cam001; groupdel viaduct-edge; rm -r /srv/viaduct")
    machine.type(document, 0)
    machine.is_active("rsync")
    machine.type(document, 1)
    listens = "ss -Hltn 'sport = :873' | grep -q ."
    wait_for(lambda: machine.systemd.run("bash", "-c", listens).returncode == 0, PATIENCE_S, "rsyncd to listen")
    machine.shell(f"cd {OWN}; sed -n 's/^cam001://p' /srv/viaduct/rsyncd.secrets >password; chmod 600 password; "
                  "rsync --password-file=password a.jpg rsync://cam001@127.0.0.1/cam001/b.jpg")
    expect(machine.shell("stat -c '%U %G %a' /srv/viaduct/edge/cam001/incoming/b.jpg") ==
           "viaduct-edge viaduct 660\n", "no file by rsync, or not its rights")
    return document, 2


def a_device_at_the_broker(machine):
    document = "deploy/mosquitto/README.md"
    machine.shell("viaductctl setup server --id SITE1 --with mosquitto --force --yes")
    machine.is_active("mosquitto")
    machine.is_active("viaduct")
    machine.type(document, 0, typed=f"{SECRET}\n{SECRET}\n")
    publish = "mosquitto_pub -V 5 -q 1 -h 127.0.0.1 -u CAM001 -t lpr/data/edge/CAM001 -m x -P "
    wait_for(lambda: machine.systemd.run("bash", "-c", publish + SECRET).returncode == 0, PATIENCE_S,
             "the broker to let the device in")
    expect(machine.systemd.run("bash", "-c", publish + "other").returncode != 0, "anybody is let in")
    return document, 1


def another_configuration(machine):
    """One with a secret in it, which the setup for the broker has made."""
    document = "docs/INSTALL.md"
    expect("CREDENTIALS_DIRECTORY" in machine.shell("grep -v '^ *#' /etc/viaduct/node.yaml"), "no secret")
    machine.type(document, 0)
    machine.is_active("viaduct")
    return document, 1


def a_database(machine):
    document = "deploy/postgresql/README.md"
    machine.shell(f"cd {OWN}; runuser -u postgres -- {machine.postgresql}/initdb --no-sync --auth=peer "
                  "-D /var/lib/postgresql/data; systemctl start postgresql")
    machine.type(document, 0)
    with open(os.path.join(ROOT, document)) as f:
        store = re.search(r"`(store: \{postgresql: .*?\}\})`", f.read()).group(1)
    machine.shell(f"echo '{store}' >>/etc/viaduct/node.yaml; systemctl restart viaduct")
    machine.is_active("viaduct")
    rows = "runuser -u postgres -- psql -X -t -A -d viaduct -c 'SELECT count(*) FROM detections'"
    expect(machine.shell(rows) == "0\n", "the node has made no tables")
    return document, 1


def run(t):
    if os.geteuid() != 0:
        say("a machine of its own needs root, and is left out")
        return
    machine = Machine(t)
    steps = (a_node_as_a_service, sshd_for_devices, rsyncd_for_devices, a_device_at_the_broker,
             another_configuration, a_database)
    every_block_is_typed(dict(step(machine) for step in steps))
    machine.shell("systemctl stop viaduct mosquitto rsync ssh postgresql")
    t.figure(lines=machine.typed)


if __name__ == "__main__":
    main(run)
