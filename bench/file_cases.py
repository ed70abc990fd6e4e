"""Files over SSH beside OpenSSH's and rsync's own programs; see README.md."""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import threading

from cases import row
from emulated_network import EmulatedNetwork, road
from harness import Failure, monotonic, say
from measure import median
from ssh_server import SshServer

MIB = 1 << 20
IMAGE_BYTES = 150_000
MANY, FAR = 1000, 20
# What all of them get: the one that scp takes by itself between two hosts of Debian 12.
CIPHER = "chacha20-poly1305@openssh.com"


def make_files(trial, count, size):
    """As (path, sha256)."""
    folder = os.path.join(trial.folder, f"out-{count}-{size}")
    os.makedirs(folder, exist_ok=True)
    files = []
    for i in range(count):
        path = os.path.join(folder, f"image_{i:04}.jpg")
        digest = hashlib.sha256()
        with open(path, "wb") as f:
            for _ in range(0, size, MIB):
                piece = os.urandom(min(size, MIB))
                f.write(piece)
                digest.update(piece)
        files.append((path, digest.hexdigest()))
    return folder, files


def clear(server):
    shutil.rmtree(server.incoming, ignore_errors=True)
    os.makedirs(server.incoming)
    os.sync()


def expect(server, count):
    arrived = sum(len(names) for _, _, names in os.walk(server.incoming))
    if arrived != count:
        raise Failure(f"{arrived} files have arrived instead of {count}")


def config_of(plugin, server):
    if plugin == "rsync":  # ssh takes CIPHER by itself, and images do not become smaller.
        return server.rsync_config(options=["-a", "--partial"])
    return server.client_config(ciphers=[CIPHER])


def ours(trial, server, files, inside=None, plugin="sftp"):
    """The plugin under the host's own code. Its clock begins when the session is there."""
    clear(server)
    subprocess.run(["cmake", "--build", trial.build.folder, "--target", "file_benchmark"],
                   check=True, stdout=subprocess.DEVNULL)
    jobs = {"plugin": plugin, "config": config_of(plugin, server), "files": [
        {"path": path, "name": f"CAM001/2026/{os.path.basename(path)}", "sha256": digest,
         "size": os.path.getsize(path)} for path, digest in files]}
    path = os.path.join(trial.folder, "jobs.json")
    with open(path, "w") as f:
        json.dump(jobs, f)
    command = [trial.build.program("file_benchmark"), trial.build.plugins, path]
    if inside:
        with inside():
            done = subprocess.run(command, capture_output=True, text=True, check=False)
    else:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(done.stderr)
    expect(server, len(files))
    return json.loads(done.stdout)


def ssh_options(server):
    return ["-F", "none", "-i", server.path("user"), "-o", "BatchMode=yes", "-o",
            f"UserKnownHostsFile={server.path('known_hosts')}", "-o", f"Ciphers={CIPHER}"]


def timed(command, inside=None):
    begin = monotonic()
    if inside:
        with inside():
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    else:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return monotonic() - begin


def scp(server, what, inside=None):
    target = f"{server.user}@{server.address}:{server.incoming}/"
    return timed(["scp", "-q", "-r", *ssh_options(server), "-P", str(server.port), what, target],
                 inside)


def rsync(server, what, inside=None):
    shell = " ".join(["ssh", *ssh_options(server), "-p", str(server.port)])
    target = f"{server.user}@{server.address}:{server.incoming}/"
    return timed(["rsync", "-a", "-e", shell, what, target], inside)


def beside(trial, args, what, count, size, peer, plugin="sftp", program=scp):
    """Rounds A B A B on loopback; ours with the seconds that its connection took."""
    server = SshServer(trial).start()
    folder, files = make_files(trial, count, size)
    runs = []
    for number in range(args.pairs):
        run = ours(trial, server, files, plugin=plugin)
        run["total"] = run["seconds"] + run["ready_seconds"]
        clear(server)
        run["peer"] = program(server, peer(folder, files))
        expect(server, count)
        runs.append(run)
        say(f"{what}, round {number + 1}: {run['total']:.2f} s, "
            f"{program.__name__} {run['peer']:.2f} s")
    shutil.rmtree(folder)
    return runs


def middle(runs, read):
    return median([read(r) for r in runs])


def sftp_gib(trial, args):
    runs = beside(trial, args, "1 GiB", 1, 1024 * MIB, lambda folder, files: files[0][0])
    rate = 1024 * MIB / 1e6
    return {"title": f"One file of 1 GiB over loopback, {CIPHER}, its connection included",
            "detail": runs, "rows": [
                row("viaduct (C, synced every 4 MiB, verified)",
                    middle(runs, lambda r: rate / r["total"]), "MB/s"),
                row("scp (A, neither)", middle(runs, lambda r: rate / r["peer"]), "MB/s"),
                row("ratio to scp", middle(runs, lambda r: r["peer"] / r["total"]), "x", 0.95),
                row("resident above idle at its peak",
                    middle(runs, lambda r: (r["peak_kib"] - r["idle_kib"]) / 1024), "MiB", 32,
                    "less")]}


def sftp_many(trial, args):
    runs = beside(trial, args, f"{MANY} files", MANY, IMAGE_BYTES, lambda folder, files: folder)
    return {"title": f"{MANY} files of 150 KB over loopback, {CIPHER}, their connection included",
            "detail": runs, "rows": [
                row("viaduct (C, each synced, verified and renamed)",
                    middle(runs, lambda r: MANY / r["total"]), "files/s"),
                row("scp -r (A, none of it)", middle(runs, lambda r: MANY / r["peer"]), "files/s"),
                row("ratio to scp -r", middle(runs, lambda r: r["peer"] / r["total"]), "x", 1.1),
                row("resident above idle at its peak",
                    middle(runs, lambda r: (r["peak_kib"] - r["idle_kib"]) / 1024), "MiB", 32,
                    "less")]}


def far_round(trial, network, server, folder, files):
    near = network.near.inside
    run = ours(trial, server, files, near)
    clear(server)
    run["rsync"] = rsync(server, folder, near)
    expect(server, len(files))
    clear(server)
    run["one_by_one"] = sum(scp(server, path, near) for path, _ in files)
    return run


def far_server(trial, network, name):
    server = SshServer(trial, f"sshd-{name}", address=network.far_address(name),
                       inside=network.far.inside)
    return server.start()


def over_far_roads(trial, args, measured, rows_of):
    """One `measured(network, server, folder, files)` a round over each of the far roads."""
    detail, rows = {}, []
    roads = {"20 ms": road(20), "100 ms": road(100), "80 ms, 1 % loss": road(80, loss_percent=1)}
    folder, files = make_files(trial, FAR, IMAGE_BYTES)
    for name, settings in roads.items():
        network = EmulatedNetwork(trial, {"link": settings})
        server = far_server(trial, network, "link")
        detail[name] = [measured(network, server, folder, files) for _ in range(args.pairs)]
        say(f"{name}: " + json.dumps(detail[name][-1]))
        rows += rows_of(name, detail[name])
        server.kill()
        network.close()
    return detail, rows


def session_rows(program, name, runs):
    return [row(f"{program}, session kept, {name}",
                middle(runs, lambda r: FAR * IMAGE_BYTES / 1e6 / r["seconds"]), "MB/s"),
            row(f"ratio to one rsync session, {name}",
                middle(runs, lambda r: r["rsync"] / r["seconds"]), "x", 1.5)]


def sftp_far(trial, args):
    def measured(network, server, folder, files):
        return far_round(trial, network, server, folder, files)

    def rows_of(name, runs):
        return session_rows("viaduct", name, runs) + [
            row(f"the same, our connection included, {name}",
                middle(runs, lambda r: r["rsync"] / (r["seconds"] + r["ready_seconds"])), "x"),
            row(f"ratio to a connection a file (scp), {name}",
                middle(runs, lambda r: r["one_by_one"] / r["seconds"]), "x", 20)]

    detail, rows = over_far_roads(trial, args, measured, rows_of)
    narrow, narrow_rows = sftp_narrow(trial, args)
    detail["100 Mbit/s, 100 ms"] = narrow
    return {"title": f"{FAR} files of 150 KB over emulated links", "detail": detail,
            "rows": rows + narrow_rows}


def raw_tcp(network, size):
    """Seconds until so many bytes are there, and acknowledged by the receiver itself."""
    with network.far.inside():
        listener = socket.create_server((network.far_address("link"), 0))
    with network.near.inside():
        out = socket.create_connection(listener.getsockname())
    into, _ = listener.accept()

    def receive():
        left, buffer = size, bytearray(MIB)
        while left > 0:
            left -= into.recv_into(buffer)
        into.sendall(b"k")

    thread = threading.Thread(target=receive)
    thread.start()
    begin = monotonic()
    piece = bytes(MIB)
    for _ in range(0, size, MIB):
        out.sendall(piece)
    out.recv(1)
    seconds = monotonic() - begin
    thread.join()
    for s in (out, into, listener):
        s.close()
    return seconds


def sftp_narrow(trial, args):
    size = 64 * MIB
    folder, files = make_files(trial, 1, size)
    network = EmulatedNetwork(trial, {"link": road(100, rate_kbit=100_000, queue_bytes=2 << 20)})
    server = far_server(trial, network, "link")
    runs = []
    for _ in range(args.pairs):
        run = ours(trial, server, files, network.near.inside)
        run["tcp"] = raw_tcp(network, size)
        runs.append(run)
        say(f"100 Mbit/s, 100 ms: {run['seconds']:.2f} s, raw TCP {run['tcp']:.2f} s")
    shutil.rmtree(folder)
    return runs, [row("viaduct, 64 MiB, 100 Mbit/s, 100 ms",
                      middle(runs, lambda r: size / 1e6 / r["seconds"]), "MB/s"),
                  row("ratio to raw TCP", middle(runs, lambda r: r["tcp"] / r["seconds"]), "x",
                      0.75)]


# --- The rsync plugin beside the program that it runs ---

def rsync_gib(trial, args):
    runs = beside(trial, args, "1 GiB", 1, 1024 * MIB, lambda folder, files: files[0][0], "rsync",
                  rsync)
    rate = 1024 * MIB / 1e6
    return {"title": f"One file of 1 GiB over loopback by rsync, {CIPHER}, its connection included",
            "detail": runs, "rows": [
                row("viaduct (C, synced, verified before and after)",
                    middle(runs, lambda r: rate / r["total"]), "MB/s"),
                row("rsync -a (A, neither)", middle(runs, lambda r: rate / r["peer"]), "MB/s"),
                row("ratio to rsync", middle(runs, lambda r: r["peer"] / r["total"]), "x")]}


def rsync_many(trial, args):
    runs = beside(trial, args, f"{MANY} files", MANY, IMAGE_BYTES, lambda folder, files: folder,
                  "rsync", rsync)
    return {"title": f"{MANY} files of 150 KB over loopback by rsync, {CIPHER}, their connections "
                     "included",
            "detail": runs, "rows": [
                row("viaduct (C, each synced and verified, a run for 64 of them)",
                    middle(runs, lambda r: MANY / r["total"]), "files/s"),
                row("rsync -a (A, neither, one run)", middle(runs, lambda r: MANY / r["peer"]),
                    "files/s"),
                row("ratio to rsync", middle(runs, lambda r: r["peer"] / r["total"]), "x")]}


def rsync_far(trial, args):
    def measured(network, server, folder, files):
        run = ours(trial, server, files, network.near.inside, "rsync")
        clear(server)
        run["rsync"] = rsync(server, folder, network.near.inside)
        return run

    detail, rows = over_far_roads(trial, args, measured,
                                  lambda name, runs: session_rows("viaduct by rsync", name, runs))
    return {"title": f"{FAR} files of 150 KB over emulated links by rsync", "detail": detail,
            "rows": rows}
