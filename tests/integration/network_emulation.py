#!/usr/bin/env python3
"""The link emulator between two namespaces, seen by the kernel's own TCP, UDP and ICMP and by ping
and mosquitto: delay, rate, queue, loss, cut and heal are as they were set, every packet is counted,
and nothing is left behind, however it ends.
"""

import contextlib
import json
import math
import os
import re
import select
import shlex
import socket
import struct
import subprocess
import sys
import threading

import common_path  # noqa: F401
from broker import Broker, mosquitto_program
from documents import read_document, shell_lines
from emulated_network import RURAL, URBAN, EmulatedNetwork, become_root, road, vehicle
from harness import ROOT, CannotRun, Failure, die_with_parent, main, monotonic, say, wait_for

PATIENCE_S = 15
LATE_MS = 25  # What a busy machine may add.
PLAIN = road(0)


def expect(condition, what):
    if not condition:
        raise Failure(what)


def way(network, name, up):
    """From which namespace to which, and to what address there; up is from near to far."""
    if up:
        return network.near, network.far, network.far_address(name)
    return network.far, network.near, network.near_address(name)


class Datagrams:
    """UDP over one road of the network."""

    def __init__(self, network, name, up=True):
        self.network, self.name = network, name
        self.direction = "up" if up else "down"
        source, target, address = way(network, name, up)
        with target.inside():
            self.receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.receiver.bind((address, 0))
        with source.inside():
            self.sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sender.connect(self.receiver.getsockname())

    def send(self, count, size=16):
        """Each has its number and the time of its sending."""
        for number in range(count):
            stamp = struct.pack("!qd", number, monotonic())
            self.sender.send(stamp + b"\0" * (size - len(stamp)))

    def receive(self, seconds=PATIENCE_S):
        """The next one: its number and how many milliseconds it took; None after the time."""
        if not select.select([self.receiver], [], [], seconds)[0]:
            return None
        number, sent = struct.unpack("!qd", self.receiver.recv(2048)[:16])
        return number, (monotonic() - sent) * 1000

    def receive_all(self):
        got = []
        while (one := self.receive(0)) is not None:
            got.append(one)
        return got

    def settled(self, total, counts=("passed", "lost", "queue_dropped", "cut")):
        """Waits until the emulator has decided about so many packets; its counts."""
        def look():
            all_counts = self.network.stats()["links"][self.name][self.direction]
            found = {what: all_counts[what]["packets"] for what in counts}
            return found if sum(found.values()) >= total else None
        return wait_for(look, PATIENCE_S, f"{total} packets {self.direction} {self.name}")

    def close(self):
        self.receiver.close()
        self.sender.close()


def ping(namespace, address, count):
    with namespace.inside():
        try:
            done = subprocess.run(
                ["ping", "-n", "-c", str(count), "-i", "0.01", "-W", "2", address],
                capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
        except FileNotFoundError:
            raise CannotRun("ping is not installed") from None
    return sorted(float(time) for time in re.findall(r"time=([\d.]+) ms", done.stdout))


def round_trips(t, network):
    """A preset's delay is the round trip that ping shows; each road has its own."""
    figures = {}
    for name, wanted in (("first", 80), ("second", 5)):
        times = ping(network.near, network.far_address(name), 30)
        expect(len(times) == 30, f"ping {name}: {len(times)} answers")
        expect(wanted <= times[0] and times[15] < wanted + LATE_MS,
               f"ping {name}: {times[0]} to {times[-1]} ms, not {wanted}")
        figures[name] = {"min_ms": times[0], "median_ms": times[15]}
    t.figure(ping=figures)


def one_way_delays(_t, network):
    network.set({"up": {"delay_ms": 10}, "down": {"delay_ms": 60}}, "first")
    for up, wanted in ((True, 10), (False, 60)):
        with contextlib.closing(Datagrams(network, "first", up)) as road_:
            road_.send(20)
            took = sorted(road_.receive()[1] for _ in range(20))
        expect(wanted <= took[0] and took[10] < wanted + LATE_MS,
               f"one way, up={up}: {took[0]} to {took[-1]} ms, not {wanted}")


def loss_share(t, network):
    """Of the seed's own numbers, so the share is the same in every run."""
    network.set({**PLAIN, "loss_percent": 8}, "first")
    count, lost_before = 4000, network.counts("first", "up", "lost")
    passed_before = network.counts("first", "up")
    got = 0
    with contextlib.closing(Datagrams(network, "first")) as road_:
        for sent in range(100, count + 1, 100):  # No more at once than the receiver has room for.
            road_.send(100)
            found = road_.settled(passed_before + lost_before + sent, ("passed", "lost"))
            got += len(road_.receive_all())
    lost = found["lost"] - lost_before
    expect(got + lost == count, f"loss: {count} sent, {got} received, {lost} lost")
    bound = 4 * math.sqrt(count * 0.08 * 0.92)
    expect(abs(lost - 0.08 * count) < bound, f"loss: {lost} of {count}, not 8 %")
    t.figure(loss_percent=100 * lost / count)


def full_queue(_t, network):
    """256 kbit/s send 32 packets a second; nine fit into the queue."""
    network.set({**PLAIN, "rate_kbit": 256, "queue_bytes": 10_000}, "second")
    dropped_before = network.counts("second", "up", "queue_dropped")
    with contextlib.closing(Datagrams(network, "second")) as road_:
        passed_before = network.counts("second", "up")
        begin = monotonic()
        road_.send(100, 1000)
        sent_s = monotonic() - begin
        found = road_.settled(passed_before + dropped_before + 100, ("passed", "queue_dropped"))
        numbers = [number for number, _ in road_.receive_all()]
    expect(numbers[:9] == list(range(9)), f"full queue: {numbers}")
    expect(len(numbers) <= 9 + 1 + sent_s * 32, f"full queue: {len(numbers)} passed in {sent_s} s")
    expect(len(numbers) + found["queue_dropped"] - dropped_before == 100, f"queue: {found}")


def transfer(network, name, up, size):
    """TCP, one way: bytes a second at the receiver."""
    source, target, address = way(network, name, up)
    with target.inside():
        listener = socket.create_server((address, 0))
    with source.inside():
        sender = socket.create_connection(listener.getsockname(), PATIENCE_S)
    receiver, _ = listener.accept()
    receiver.settimeout(PATIENCE_S)
    writer = threading.Thread(target=lambda: (sender.sendall(b"\0" * size), sender.close()))
    writer.start()
    got = first = len(receiver.recv(1 << 16))
    begin = monotonic()
    while chunk := receiver.recv(1 << 16):
        got += len(chunk)
    seconds = monotonic() - begin
    writer.join()
    receiver.close()
    listener.close()
    expect(got == size, f"TCP {name}: {got} of {size} bytes")
    return (size - first) / seconds


def throughput(t, network):
    network.set({**road(20), "up": {"rate_kbit": 4000}, "down": {"rate_kbit": 16_000}}, "second")
    figures = {}
    for up, kbit, size in ((True, 4000, 500_000), (False, 16_000, 2_000_000)):
        got = transfer(network, "second", up, size) * 8 / 1000
        figures["up" if up else "down"] = round(got)
        # 52 of 1500 bytes are headers.
        expect(0.7 * kbit < got < 0.98 * kbit, f"TCP, up={up}: {got:.0f} kbit/s of {kbit}")
    t.figure(tcp_kbit=figures)


def cut_and_heal(_t, network):
    network.set(PLAIN)
    with contextlib.closing(Datagrams(network, "first")) as first, \
            contextlib.closing(Datagrams(network, "second")) as second:
        cut_before = network.counts("first", "up", "cut")
        network.cut("first")
        first.send(20)
        wait_for(lambda: network.counts("first", "up", "cut") == cut_before + 20, PATIENCE_S,
                 "20 packets into the cut")
        second.send(1)
        expect(second.receive() is not None, "the cut of one road is the other's too")
        expect(first.receive(0) is None, "a packet came through the cut")
        network.heal("first")
        first.send(1)
        expect(first.receive() is not None, "nothing comes after the heal")


def cut_of_one_direction(_t, network):
    """A connection lives through it: what was sent into the cut arrives after the heal."""
    with network.far.inside():
        listener = socket.create_server((network.far_address("first"), 0))
    with network.near.inside():
        client = socket.create_connection(listener.getsockname(), PATIENCE_S)
    server, _ = listener.accept()
    client.settimeout(PATIENCE_S)
    server.settimeout(PATIENCE_S)
    network.cut("first", "down")
    client.sendall(b"up")
    expect(server.recv(2) == b"up", "the cut of one direction is the other's too")
    server.sendall(b"down")
    wait_for(lambda: network.counts("first", "down", "cut") > 0, PATIENCE_S, "a cut packet")
    expect(not select.select([client], [], [], 0)[0], "a packet came through the cut")
    network.heal("first", "down")
    expect(client.recv(4) == b"down", "nothing comes after the heal")
    for s in (client, server, listener):
        s.close()


def timeline(_t, network):
    network.play([{"at": 0, "do": "set", "link": "first", "settings": RURAL},
                  {"at": 0.2, "do": "cut", "link": "first"},
                  {"at": 0.4, "do": "heal"},
                  {"at": 0.4, "do": "set", "link": "first", "settings": URBAN}])

    def state():
        stats = network.stats()
        up = stats["links"]["first"]["up"]
        return stats["timeline"]["played"], up["settings"]["delay_ms"], up["is_cut"]
    seen = set()
    wait_for(lambda: seen.add(state()) or state()[0] == 4, PATIENCE_S, "the timeline's end")
    expect(seen | {state()} == {(1, 200, False), (2, 200, True), (4, 2.5, False)},
           f"timeline: {seen}")
    network.play([{"at": 3600, "do": "cut"}])
    network.say("stop")
    expect(network.stats()["timeline"] == {"entries": 0, "played": 0}, "a stopped timeline")


def drives(_t, network):
    """A vehicle's drive is its seed's, and each road has its own."""
    roads = ["first", "second"]
    drive = vehicle(roads, 7, 3600, compression=60)
    expect(drive == vehicle(roads, 7, 3600, compression=60), "another drive, same seed")
    expect(drive != vehicle(roads, 8, 3600, compression=60), "same drive, another seed")
    times = {name: [e["at"] for e in drive if e["link"] == name] for name in roads}
    expect(times["first"] != times["second"], "both roads have the same drive")
    expect(all(0 <= at < 60 for name in times for at in times[name]), "not 60 times as fast")
    kinds = {(e["do"], e.get("settings", {}).get("delay_ms")) for e in drive}
    expect(kinds == {("set", 20), ("set", 200), ("heal", None), ("cut", None)}, f"kinds: {kinds}")
    network.play(drive)
    wait_for(lambda: network.stats()["timeline"]["played"] >= 2, PATIENCE_S, "the drive to begin")
    network.say("stop")
    network.heal()


def broker(t, network):
    """mosquitto at the far end, its clients at the near one."""
    network.set(road(40))
    server = Broker(t, address="0.0.0.0")
    with network.far.inside():
        server.start()
    where = ["-h", network.far_address("second"), "-p", str(server.port), "-t", "lpr", "-q", "1"]
    with network.near.inside():
        for words in (["mosquitto_pub", *where, "-r", "-m", "1AB2345"],
                      ["mosquitto_sub", *where, "-C", "1"]):
            done = subprocess.run([mosquitto_program(words[0]), *words[1:]], capture_output=True,
                                  text=True, check=False, timeout=PATIENCE_S)
            expect(done.returncode == 0, f"{words[0]}: {done.stderr}")
    expect(done.stdout == "1AB2345\n", f"mosquitto_sub: {done.stdout}")
    server.stop()


def wrong_commands(_t, network):
    for line, error in (("nonsense", "not JSON"), ('{"do":"set","settings":{"rate_kbit":-1}}',
                                                   "rate_kbit: must be a number")):
        answer = json.loads(network.ask(line))
        expect(not answer["ok"] and error in answer["error"], f"{line}: {answer}")
    with socket.socket(socket.AF_UNIX) as other:
        other.settimeout(PATIENCE_S)
        other.connect(network.config({})["control"])
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            other.sendall(b"x" * (1 << 20))
            expect(other.recv(1) == b"", "a line without an end is still read")
    expect(network.stats()["ok"], "the emulator did not live through wrong commands")


def wrong_configurations(t, network):
    """Told at once, with exit status 2; what the machine does not allow is 1."""
    good = network.config({"first": PLAIN})
    program, path = t.build.program("link_emulator"), os.path.join(t.folder, "wrong.json")
    good["control"] = os.path.join(t.folder, "wrong.sock")
    timeline_path = os.path.join(t.folder, "wrong.timeline")
    with open(timeline_path, "w") as f:
        f.write('[{"at": 0, "do": "cut", "link": "nowhere"}]')
    link = good["links"][0]
    cases = [({**good, "links": []}, 2, "links: must be a list"),
             ({**good, "links": [{**link, "settings": {"loss_percent": 108}}]}, 2, "loss_percent"),
             ({**good, "timeline": timeline_path}, 2, "entry 0: link: there is none, nowhere"),
             ({**good, "links": [{**link, "ends": [{**link["ends"][0], "namespace": "nowhere"},
                                                   link["ends"][1]]}]}, 1, "namespace nowhere")]
    for config, status, error in cases:
        with open(path, "w") as f:
            json.dump(config, f)
        done = subprocess.run([program, path], capture_output=True, text=True, check=False,
                              timeout=PATIENCE_S)
        expect(done.returncode == status and error in done.stderr,
               f"wrong configuration: {done.returncode} {done.stderr}, not {status} {error}")
    for arguments in ([], ["--port", "7"], ["/nowhere"]):
        done = subprocess.run([program, *arguments], capture_output=True, check=False)
        expect(done.returncode == 2, f"{arguments}: {done.returncode}")
    expect(network.near.devices() == ["lo", "first", "second"], f"{network.near.devices()}")


def inhabitants(inodes):
    """The processes that are in one of these namespaces or hold it."""
    names = {f"net:[{inode}]" for inode in inodes}
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # It has ended meanwhile.
            links = [f"/proc/{pid}/ns/net", *(f"/proc/{pid}/fd/{fd}"
                                             for fd in os.listdir(f"/proc/{pid}/fd"))]
            for link in links:
                with contextlib.suppress(OSError):
                    if os.readlink(link) in names:
                        found.add(int(pid))
    return sorted(found)


def documented_by_hand():
    """(the words of the command, the lines of what follows)"""
    section = read_document("docs/TESTING.md").split("\n## Networks\n")[1].split("\n## ")[0]
    command, = shell_lines(section)
    return shlex.split(command), re.search(r"^```text\n(.*?)^```", section, re.M | re.S)[1].splitlines()


def killed_with_the_program(t, _network):
    """kill -9 of the script that made the network by hand, as docs/TESTING.md shows."""
    command, dialogue = documented_by_hand()
    program = subprocess.Popen(
        [sys.executable, *[t.build.folder if word == "build/dev" else word for word in command]],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent,
        env={**os.environ, "VIADUCT_TEST_TMP": t.folder})
    words = {}
    while "emulator" not in words:
        line = program.stdout.readline()
        expect(line, "the program ended before its network was there")
        words.update([line.strip().split(": ", 1)])
    paths = [re.search(r"--net=(\S+)", words[end]).group(1) for end in ("near", "far")]
    inodes = {os.stat(path).st_ino for path in paths}
    expect(inhabitants(inodes) == [program.pid], "the namespaces are not the program's")
    expect(set(words) == {line.split(": ")[0] for line in dialogue if not line.startswith("{")}, f"{words}")
    typed = [line for line in dialogue if line.startswith('{"do"')]
    expect(typed, "docs/TESTING.md has lost its commands")
    for line in typed:
        program.stdin.write(line + "\n")
        program.stdin.flush()
        expect(json.loads(program.stdout.readline())["ok"], f"{line}: no answer by hand")
    program.kill()
    program.wait()
    wait_for(lambda: not os.path.exists(f"/proc/{words['emulator']}"), PATIENCE_S,
             "the emulator to end with its script")
    expect(inhabitants(inodes) == [], f"left behind: {inhabitants(inodes)}")


def killed_emulator(_t, network):
    network.process.kill()
    network.process.wait()
    for end in (network.near, network.far):
        wait_for(lambda end=end: end.devices() == ["lo"], PATIENCE_S, "its devices to be gone")


def nothing_left(t, make):
    """After an orderly end and after a failure in the middle."""
    names = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    network = make()
    inodes = {network.near.inode, network.far.inode}
    pid = network.process.pid
    expect(inhabitants(inodes) == [os.getpid()], f"in the network: {inhabitants(inodes)}")
    network.close()
    expect(not os.path.exists(f"/proc/{pid}") and inhabitants(inodes) == [], "left behind")
    expect(not os.path.exists(network.config({})["control"]), "its socket is left behind")
    after = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    expect(names.stdout == after.stdout, f"names of namespaces: {after.stdout}")


def run(t):
    def make():
        return EmulatedNetwork(t, {"first": road(80), "second": URBAN})

    home = os.stat("/proc/thread-self/ns/net").st_ino
    network = make()
    for step in (round_trips, one_way_delays, loss_share, full_queue, throughput, cut_and_heal,
                 cut_of_one_direction, timeline, drives, broker, wrong_commands,
                 wrong_configurations, killed_with_the_program):
        say(step.__name__.replace("_", " "))
        step(t, network)
        expect(os.stat("/proc/thread-self/ns/net").st_ino == home, f"{step.__name__}: not at home")
    network.close()
    killed = make()
    killed_emulator(t, killed)
    killed.close()
    nothing_left(t, make)


if __name__ == "__main__":
    become_root()
    main(run)
