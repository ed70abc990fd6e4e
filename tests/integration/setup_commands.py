#!/usr/bin/env python3
"""`viaductctl setup` on images of machines: what it wrote is taken by viaduct-host, by mosquitto (with
the password that it made) and by sshd; it asks at a terminal, shows what it would do, and undo puts
every octet back. tests/packaging/packages.py does the same on machines on which systemd runs.
"""

import json
import os
import pty
import re
import shutil
import subprocess

import common_path  # noqa: F401
from broker import Broker, mosquitto_program
from control_checks import expect, run_checks
from harness import main

LIMIT_S = 60
CONFLICT, INVALID = 5, 6
ACCOUNTS = ("root", "viaduct", "mosquitto", "viaduct-edge")
PATHS = ("/etc/mosquitto/conf.d", "/etc/mosquitto/certs", "/etc/ssh/sshd_config.d", "/etc/systemd/system",
         "/etc/viaduct", "/usr/bin", "/srv", "/var/lib")
PARTS = ("--with", "mosquitto", "--with", "sshd", "--with", "rsyncd")


class Image:
    """A machine in a folder. Its accounts are all whoever runs this, so root is not needed."""

    def __init__(self, t, name):
        self.t = t
        self.folder = os.path.join(t.folder, name)
        for path in PATHS:
            os.makedirs(self.path(path))
        ids = f"{os.getuid()}:{os.getgid()}"
        self.write("/etc/passwd", "".join(f"{a}:x:{ids}::/:/usr/sbin/nologin\n" for a in ACCOUNTS))
        self.write("/etc/group", "".join(f"{a}:x:{os.getgid()}:\n" for a in ACCOUNTS))
        self.write("/usr/bin/rsync", "")

    def path(self, path):
        return self.folder + path

    def write(self, path, text, mode="w"):
        with open(self.path(path), mode) as f:
            f.write(text)

    def read(self, path):
        with open(self.path(path)) as f:
            return f.read()

    def everything(self):
        found = {}
        for folder, folders, files in os.walk(self.folder):
            for name in [*folders, *files]:
                path = os.path.join(folder, name)
                facts = os.stat(path)
                text = self.read(path[len(self.folder):]) if name in files else ""
                found[path] = (facts.st_mode, facts.st_uid, facts.st_gid, text)
        return found

    def command(self, *words):
        return [self.t.build.program("viaductctl"), "setup", *words, "--root", self.folder]

    def setup(self, *words, code=0):
        done = subprocess.run(self.command(*words), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=LIMIT_S, check=False)
        expect(done.returncode == code, f"setup {words}: {done}")
        return done.stdout + done.stderr

    def node_takes_it(self):
        """With its secrets where systemd would put them, and the plugins of this build."""
        path = self.path("/node.yaml")
        self.write("/node.yaml", self.read("/etc/viaduct/node.yaml") +
                   f"\nplugins: {{path: [{json.dumps(self.t.build.plugins)}]}}\n")
        env = dict(os.environ, CREDENTIALS_DIRECTORY=self.path("/etc/viaduct/secrets"))
        done = subprocess.run([self.t.build.program("viaduct-host"), "--check", "--config", path],
                              env=env, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        os.remove(path)
        expect(done.returncode == 0, f"viaduct-host: {done}")


def certificate(t, name):
    """(certificate, key) of a server."""
    folder = os.path.join(t.folder, name)
    for words in (["init"], ["server", "127.0.0.1"]):
        subprocess.run([t.build.program("viaductctl"), "pki", "--folder", folder, *words],
                       stdout=subprocess.DEVNULL, check=True)
    return os.path.join(folder, "127.0.0.1.crt"), os.path.join(folder, "127.0.0.1.key")


def a_node_takes_what_was_written(t):
    image = Image(t, "server")
    before = image.everything()
    crt, key = certificate(t, "pki")
    for words in ((), PARTS, (*PARTS, "--tls-certificate", crt, "--tls-key", key)):
        image.setup("server", "--id", "SITE-1", "--yes", *words)
        image.node_takes_it()
    unit = image.read("/etc/systemd/system/viaduct.service.d/setup.conf")
    named = set(re.findall(r"\$\{CREDENTIALS_DIRECTORY\}/(\w+)", image.read("/etc/viaduct/node.yaml")))
    expect(named == set(re.findall(r"^LoadCredential=(\w+):", unit, re.MULTILINE)), f"{named} {unit}")
    image.setup("undo", "--yes")
    expect(image.everything() == before, "undo left something")
    edge = Image(t, "edge")
    image.write("/api_key", "a-key\n")
    edge.setup("edge", "--id", "CAM001", "--yes", "--devices", "--server", "https://127.0.0.1:8443",
               "--api-key-file", image.path("/api_key"), "--server-ca", crt)
    edge.node_takes_it()
    expect("a-key" not in edge.setup("undo", "--dry-run"), "undo shows a secret")


def it_shows_before_it_writes(t):
    image = Image(t, "shown")
    before = image.everything()
    shown = image.setup("server", "--id", "SITE-1", *PARTS, "--dry-run")
    expect("+++ /etc/ssh/sshd_config.d/viaduct-edge.conf\n" in shown and
           "\n+Match Group viaduct-edge\n" in shown, f"no diff: {shown}")
    expect("$7$" not in shown, "a hash is shown")
    expect("nobody to ask" in image.setup("server", "--id", "SITE-1", code=INVALID), "who was asked?")
    steps = json.loads(image.setup("server", "--id", "SITE-1", *PARTS, "--dry-run", "--json"))
    expect({"kind": "group", "subject": "viaduct-edge", "foreign": False} not in steps and
           {"kind": "file", "subject": "/etc/rsyncd.conf", "foreign": False} in steps, f"{steps}")
    expect(image.everything() == before, "something was written")


def at_a_terminal(image, answer):
    """The exit code of a setup whose question is answered."""
    master, slave = pty.openpty()
    process = subprocess.Popen(image.command("server", "--id", "SITE-1"), stdin=slave,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    os.close(slave)
    os.write(master, answer)
    out, _ = process.communicate(timeout=LIMIT_S)
    os.close(master)
    expect(b"Do this? [y/N]" in out, f"no question: {out}")
    return process.returncode


def it_asks_at_a_terminal(t):
    image = Image(t, "asked")
    before = image.everything()
    for answer in (b"n\n", b"\n", b"yesterday\n"):
        expect(at_a_terminal(image, answer) == CONFLICT, f"{answer} is no consent")
    expect(image.everything() == before, "something was written")
    expect(at_a_terminal(image, b"y\n") == 0, "y is consent")
    image.node_takes_it()


def what_others_wrote_is_theirs(t):
    image = Image(t, "theirs")
    image.write("/etc/viaduct/node.yaml", "node: {id: mine}\n")
    before = image.everything()
    words = ("server", "--id", "SITE-1", "--yes", *PARTS)
    expect("/etc/viaduct/node.yaml: written by somebody else" in image.setup(*words, code=CONFLICT),
           "not said")
    expect(image.everything() == before, "something was written")
    image.setup(*words, "--force")
    image.write("/etc/rsyncd.conf", "# changed\n", mode="a")
    expect("/etc/rsyncd.conf: was changed since" in image.setup("undo", "--yes", code=CONFLICT),
           "not said")
    expect(image.read("/etc/rsyncd.conf").endswith("# changed\n"), "the change is gone")
    image.setup("undo", "--yes", "--force")
    expect(image.everything() == before, "undo left something")


def publish(broker, user, password, topic):
    """(exit code, what it said) of a publication that has to be acknowledged."""
    done = subprocess.run([mosquitto_program("mosquitto_pub"), "-V", "5", "-h", "127.0.0.1",
                           "-p", str(broker.port), "-u", user, "-P", password, "-t", topic, "-q", "1",
                           "-m", "x"], capture_output=True, text=True, timeout=LIMIT_S, check=False)
    return done.returncode, done.stdout + done.stderr


def the_broker_takes_what_was_written(t):
    image = Image(t, "broker-image")
    image.setup("server", "--id", "SITE-1", "--with", "mosquitto", "--yes")
    passwords = image.path("/etc/mosquitto/viaduct.passwd")
    subprocess.run([mosquitto_program("mosquitto_passwd"), "-b", passwords, "CAM001", "device"],
                   check=True, capture_output=True)
    conf = image.read("/etc/mosquitto/conf.d/viaduct.conf")
    expect("\nlistener 1883 127.0.0.1\n" in conf, conf)
    settings = [line.replace("/etc/mosquitto", image.path("/etc/mosquitto"))
                for line in conf.splitlines() if line and not line.startswith(("#", "listener"))]
    settings.remove("max_queued_messages 0")  # Broker says it, too.
    broker = Broker(t, settings=settings).start()
    secret = image.read("/etc/viaduct/secrets/mqtt_password").strip()
    expect(publish(broker, "viaduct", secret, "lpr/ack/CAM001")[0] == 0, "the node is not let in")
    expect(publish(broker, "viaduct", "wrong", "lpr/ack/CAM001")[0] != 0, "anybody is let in")
    expect("Not authorized" not in publish(broker, "CAM001", "device", "lpr/data/edge/CAM001")[1],
           "a device may not publish")
    for topic in ("lpr/data/edge/CAM002", "lpr/data", "system/control/CAM001", "lpr/ack/CAM001"):
        said = publish(broker, "CAM001", "device", topic)[1]
        expect("Not authorized" in said, f"a device may publish to {topic}: {said}")
    broker.kill()


def sshd_takes_what_was_written(t):
    image = Image(t, "sshd-image")
    image.setup("server", "--id", "SITE-1", "--with", "sshd", "--yes")
    key = image.path("/host_key")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    image.write("/sshd_config", f"HostKey {key}\nInclude {image.path('/etc/ssh/sshd_config.d')}/*.conf\n")
    sshd = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin")
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", exist_ok=True)
    done = subprocess.run([sshd, "-T", "-C", "user=x,host=h,addr=127.0.0.1", "-f",
                           image.path("/sshd_config")], capture_output=True, text=True, check=False)
    expect(done.returncode == 0, f"sshd: {done.stderr}")


CHECKS = [a_node_takes_what_was_written, it_shows_before_it_writes, it_asks_at_a_terminal,
          what_others_wrote_is_theirs, the_broker_takes_what_was_written, sshd_takes_what_was_written]

if __name__ == "__main__":
    main(lambda t: run_checks(t, CHECKS), limit=120)
