#!/usr/bin/env python3
"""Fault 5: no space, no inodes, a disk that turned read-only. In a mount namespace of its own: a
tmpfs with 14 MB beside the plugins, a loop-mounted ext4 (as root), a tmpfs with few inodes.

While there is no room, REST answers 507 or 503 with Retry-After, gRPC RESOURCE_EXHAUSTED or
UNAVAILABLE, Socket.IO the event `error`, a plain WebSocket an error, and over MQTT no
acknowledgement comes before the message is stored; everything accepted before is kept; when room
returns the node goes on without a restart. An edge leaves spool.min_free_bytes to others.
"""

import base64
import contextlib
import json
import os
import subprocess
import threading

import common_path  # noqa: F401
from broker import Broker
from harness import Failure, main, say, wait_for
from mqtt_clients import MosquittoTools
from private_mounts import enter_namespace
from websocket_nodes import add_listener
from websocket_peer import TEXT, Peer, expect

FULL_HTTP = {"507", "503"}
FULL_GRPC = {"RESOURCE_EXHAUSTED", "UNAVAILABLE"}
USE_ALL = {"path": "spool.db", "min_free_bytes": 0}
SPARED_BYTES = 8 << 20


def command(*words):
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def tmpfs(t, folder, size, *options):
    os.makedirs(folder, exist_ok=True)
    command("mount", "-t", "tmpfs", "-o", ",".join([f"size={size}", *options]), "tmpfs", folder)
    t.cleanups.append(lambda: subprocess.run(["umount", "-l", folder], check=False))


def ext4(t, folder, size):
    image = os.path.join(t.folder, os.path.basename(folder) + ".ext4")
    os.makedirs(folder, exist_ok=True)
    command("truncate", "-s", str(size), image)
    command("mkfs.ext4", "-q", "-F", "-m", "0", image)
    mount_ext4(image, folder)
    t.cleanups.append(lambda: subprocess.run(["umount", folder], check=False))
    return image


def mount_ext4(image, folder):
    command("mount", "-o", "loop", image, folder)


def room(t, mib, *plugins):
    """So much beside what a node copies of its plugins: of a sanitizer's build, more than 16 MB."""
    return (mib << 20) + sum(os.path.getsize(os.path.join(t.build.plugins, f"{name}.so"))
                             for name in plugins)


class Filler:
    """Takes all the room there is, also what a node gives back meanwhile, until it is emptied."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "filler")
        self.file = None
        self.enough = threading.Event()
        self.thread = None

    def fill(self):
        # Opened once and by a thread that ends with the trial: whatever happens to the mount, what
        # is filled is never the disk below it.
        self.file = open(self.path, "ab", buffering=0)  # noqa: SIM115
        self.fill_once()
        self.thread = threading.Thread(target=self.fill_on, daemon=True)
        self.thread.start()

    def fill_on(self):
        while not self.enough.wait(0.01):
            self.fill_once()

    def fill_once(self):
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    self.file.write(b"\0" * size)

    def fill_inodes(self):
        os.makedirs(self.path, exist_ok=True)
        with contextlib.suppress(OSError):
            for n in range(1 << 20):
                os.close(os.open(f"{self.path}/{n}", os.O_CREAT | os.O_WRONLY))

    def empty(self):
        self.enough.set()
        if self.thread:
            self.thread.join()
            self.file.close()
        command("rm", "-rf", self.path)


def named(role, disk):
    """Each part has nodes, and so folders, of its own."""
    return f"{role}-{os.path.basename(disk)}"


def must_refuse(t, node, form, **named):
    """One short load each over REST and gRPC; both must have been told to come back later."""
    http = t.http_load(node.http_port, form=form, connections=4, seconds=1, **named).result()
    grpc = t.grpc_load(node, "--unary", seconds=1, threads=4, **named).result()
    stream = t.grpc_load(node, seconds=1, frame=8, window=64, **named).result()
    refused = set(http["answers"]) - {"200"}
    if not refused or not refused <= FULL_HTTP:
        raise Failure(f"{node.name} over REST without room: {http['answers']} {http['samples']}")
    if http["without_retry_after"]:
        raise Failure(f"{node.name}: {http['without_retry_after']} refusals without Retry-After")
    good = {"RESULT_STATUS_STORED", "RESULT_STATUS_DUPLICATE"}
    for result in (grpc, stream):
        refused = set(result["answers"]) - good
        if not refused or not refused <= FULL_GRPC:
            raise Failure(f"{node.name} over gRPC without room: {result['answers']} "
                          f"{result['samples']}")
    return {"rest": http["answers"], "grpc": grpc["answers"], "stream": stream["answers"]}


def must_take(t, node, form="envelope", messages=100, **named):
    loads = [t.http_load(node.http_port, form=form, connections=2, messages=messages, seconds=20,
                         drain_seconds=20, retry=True, **named),
             t.grpc_load(node, messages=messages, seconds=20, drain_seconds=20, retry=True, **named)]
    for load in loads:
        result = load.result()
        if result["accepted"] != messages:
            raise Failure(f"{node.name} with room again: {load.name} {result}\n"
                          + command("ls", "-las", node.data_dir) + command("df", node.data_dir))


def same_process(node, pid):
    if not node.alive() or node.process.pid != pid:
        raise Failure(f"{node.name} did not live through it\n{node.tail()}")


def edge_full_of_traffic(t, disk):
    """The server is away, the cameras fill the edge's disk, the server comes back and drains it."""
    server = t.server(name=named("server", disk))
    edge = t.edge(server.http_port, name=named("edge", disk), folder=disk, spool=USE_ALL)
    edge.start()
    pid = edge.process.pid
    picture = t.picture("DF1", 60000, 640, 360)
    filled = t.http_load(edge.http_port, connections=4, seconds=60, messages=2000, retry=False,
                         image=picture).result()
    if filled["refused"] == 0:
        raise Failure(f"the disk did not fill: {filled}")
    answers = must_refuse(t, edge, "envelope", image=picture)
    same_process(edge, pid)
    server.start()
    t.await_stored(server, 60)
    must_take(t, edge)
    same_process(edge, pid)
    t.conclude(server, [edge])
    return {"accepted_before_full": filled["accepted"], "refusals": answers}


def server_full_of_others(t, disk):
    """Somebody else fills the server's disk and cleans up again; edge and cameras just wait."""
    server = t.server(name=named("server", disk), folder=disk)
    edge = t.edge(server.http_port, name=named("edge", disk))
    server.start()
    edge.start()
    pid = server.process.pid
    picture = t.picture("DF1", 60000, 640, 360)
    must_take(t, server, image=picture, messages=10)
    filler = Filler(disk)
    filler.fill()
    answers = must_refuse(t, server, "flat", image=picture)
    must_take(t, edge, messages=50)  # The edge takes them and waits.
    filler.empty()
    same_process(server, pid)
    t.await_stored(server, 30)
    must_take(t, server)
    same_process(server, pid)
    t.conclude(server, [edge])
    return {"refusals": answers}


def detection(number, picture):
    return {"type": "detection_result", "camera_id": "DF3", "checkpoint_id": "CP1",
            "timestamp": f"2024-01-15T10:30:{number:02}Z", "ocr_results": [f"DF{number}"],
            "annotated_image": picture}


def emit(camera, event, value):
    """A Socket.IO event, and the name and the value of the next one that comes."""
    camera.frame(TEXT, "42" + json.dumps([event, value]))
    return next_event(camera)


def next_event(camera):
    while True:
        opcode, text = camera.receive()
        if opcode == TEXT and text == b"2":
            camera.frame(TEXT, "3")
        elif opcode == TEXT and text.startswith(b"42"):
            return json.loads(text[2:])


def say_plain(camera, value):
    camera.frame(TEXT, json.dumps(value))
    return json.loads(camera.receive()[1])


def server_full_over_sockets(t, disk):
    """What the real-time roads are told, and that the message which waits in a broker comes in."""
    broker = Broker(t, "broker-full").start()
    server = t.server(name=named("server", disk), folder=disk)
    port = add_listener(server)
    server.config["instances"].append(
        {"name": "mqtt", "plugin": "mqtt",
         "config": {"role": "server", "broker_url": f"127.0.0.1:{broker.port}",
                    "client_id": "SERVER1"}})
    server.write_config()
    server.start()
    pid = server.process.pid
    tools = MosquittoTools(broker.port)
    camera = Peer(port, "/socket.io/?EIO=4&transport=websocket")
    camera.receive()
    camera.frame(TEXT, "40")
    camera.receive()
    plain = Peer(port, "/")
    with open(t.picture("DF3", 60000, 640, 360), "rb") as f:
        picture = base64.b64encode(f.read()).decode()
    filler = Filler(disk)
    filler.fill()
    event, answer = emit(camera, "lpr_data", detection(1, picture))
    expect(event == "error" and answer["message"], f"Socket.IO without room: {event} {answer}")
    expect(next_event(camera)[0] == "lpr_event_error", "no lpr_event_error without room")
    answer = say_plain(plain, detection(2, picture))
    expect(answer["status"] == "error", f"plain WebSocket without room: {answer}")
    tools.publish("lpr/data/edge/DF3", json.dumps(detection(3, picture) | {"message_id": "df-3"}))
    acks = "lpr/ack/DF3"
    expect(emit(camera, "ping", {})[0] == "pong", "no pong without room")
    expect(not tools.on(acks), f"acknowledged without room: {tools.on(acks)}")
    filler.empty()
    tools.await_on(acks, check=lambda heard: heard["status"] == "stored")
    wait_for(lambda: say_plain(plain, detection(2, picture))["status"] == "success", 10,
             "the plain WebSocket to be taken")
    wait_for(lambda: emit(camera, "lpr_data", detection(1, picture))[0] == "lpr_response", 10,
             "Socket.IO to be taken")
    expect(server.total_detections() == 3, f"stored: {server.total_detections()} of 3")
    same_process(server, pid)
    tools.close()
    server.stop()
    broker.kill()
    return {"refusals": {"socketio": event, "websocket": answer["status"], "mqtt": "no answer"}}


def edge_full_of_others(t, disk):
    server = t.server(name=named("server", disk))
    edge = t.edge(server.http_port, name=named("edge", disk), folder=disk, spool=USE_ALL)
    edge.start()
    pid = edge.process.pid
    must_take(t, edge, messages=500)
    filler = Filler(disk)
    filler.fill()
    answers = must_refuse(t, edge, "envelope")
    server.start()
    # What is spooled gets through although the disk is still full.
    t.await_stored(server, 30)
    filler.empty()
    wait_for(lambda: edge.get("/api/test").status == 200, 5, "the edge to answer")
    must_take(t, edge)
    same_process(edge, pid)
    t.conclude(server, [edge])
    return {"refusals": answers}


def spool_health(edge):
    components = edge.get("/api/health").json()["components"]
    return {one["name"]: one["status"] for one in components}["spool"]


def edge_leaves_space(t, disk):
    """The cameras fill the disk as far as they may, then others take some of what was left."""
    server = t.server(name=named("server", disk))
    edge = t.edge(server.http_port, name=named("edge", disk), folder=disk,
                  spool={"path": "spool.db", "min_free_bytes": SPARED_BYTES})
    edge.start()
    pid = edge.process.pid
    picture = t.picture("DF1", 60000, 640, 360)
    filled = t.http_load(edge.http_port, connections=4, seconds=60, messages=2000, retry=False,
                         image=picture).result()
    if filled["refused"] == 0:
        raise Failure(f"the disk did not fill: {filled}")
    left = os.statvfs(disk)
    expect(left.f_bavail * left.f_frsize >= SPARED_BYTES, f"only {left} is left")
    with open(os.path.join(disk, "others"), "wb") as others:
        others.write(b"x" * (SPARED_BYTES // 2))
    answers = must_refuse(t, edge, "envelope", image=picture)
    wait_for(lambda: spool_health(edge) == "degraded", 20, "the spool to be shown as degraded")
    server.start()
    t.await_stored(server, 60)  # What waited has left, although little is free.
    os.unlink(others.name)
    must_take(t, edge)
    wait_for(lambda: spool_health(edge) == "healthy", 20, "the spool to be shown as healthy")
    same_process(edge, pid)
    t.conclude(server, [edge])
    return {"accepted_before_full": filled["accepted"], "refusals": answers}


def server_without_inodes(t, disk):
    """Images need inodes: detections with one are refused, without one they are stored."""
    server = t.server(name=named("server", disk), folder=disk)
    server.start()
    pid = server.process.pid
    picture = t.picture("DF2", 5000, 200, 112)
    must_take(t, server, image=picture, messages=5)
    filler = Filler(disk)
    filler.fill_inodes()
    answers = must_refuse(t, server, "flat", image=picture)
    must_take(t, server, messages=20)
    filler.empty()
    must_take(t, server, image=picture, messages=5)
    same_process(server, pid)
    t.conclude(server)
    return {"refusals": answers}


def edge_read_only(t, disk, image):
    """The kernel gives the file system up (errors=remount-ro); after repair all is there."""
    server = t.server(name=named("server", disk))
    edge = t.edge(server.http_port, name=named("edge", disk), folder=disk, spool=USE_ALL)
    edge.start()
    pid = edge.process.pid
    must_take(t, edge, messages=500)
    command("mount", "-o", "remount,abort", disk)
    answers = must_refuse(t, edge, "envelope")
    same_process(edge, pid)
    edge.kill()
    command("umount", disk)
    subprocess.run(["e2fsck", "-fy", image], capture_output=True, check=False)
    mount_ext4(image, disk)
    server.start()
    edge.start()
    must_take(t, edge)
    t.conclude(server, [edge])
    return {"refusals": answers}


def forget(t):
    t.nodes.clear()
    t.logs.clear()
    return t.figures.pop("ledger", None)


def run(t):
    parts = {}

    def part(name, function, *arguments):
        say(name)
        shown = function(t, *arguments)
        parts[name] = {**shown, "ledger": forget(t)}

    def disk(name):
        return os.path.join(t.folder, name)

    tmpfs(t, disk("t1"), room(t, 14, "rest"))
    part("edge, tmpfs 14 MB, filled by traffic", edge_full_of_traffic, disk("t1"))
    tmpfs(t, disk("t2"), room(t, 14, "rest"))
    part("server, tmpfs 14 MB, filled by others", server_full_of_others, disk("t2"))
    tmpfs(t, disk("t5"), room(t, 16, "rest", "websocket", "mqtt"))
    part("server, tmpfs 16 MB, filled by others, over the real-time roads",
         server_full_over_sockets, disk("t5"))
    tmpfs(t, disk("t3"), room(t, 14, "rest"))
    part("edge, tmpfs 14 MB, filled by others", edge_full_of_others, disk("t3"))
    tmpfs(t, disk("t6"), room(t, 24, "rest"))
    part("edge, tmpfs 24 MB, leaves 8 MB to others", edge_leaves_space, disk("t6"))
    tmpfs(t, disk("t4"), 64 << 20, "nr_inodes=200")
    part("server, tmpfs without inodes", server_without_inodes, disk("t4"))
    if os.access("/dev/loop-control", os.W_OK):
        ext4(t, disk("e1"), room(t, 14, "rest"))
        part("edge, ext4 14 MB, filled by traffic", edge_full_of_traffic, disk("e1"))
        ext4(t, disk("e2"), room(t, 22, "rest"))
        part("server, ext4 22 MB, filled by others", server_full_of_others, disk("e2"))
        image = ext4(t, disk("e3"), room(t, 22, "rest"))
        part("edge, ext4 turned read-only", edge_read_only, disk("e3"), image)
    else:
        say("no loop devices for this user: the ext4 parts need root")
    t.figure(parts=parts)


if __name__ == "__main__":
    enter_namespace()
    main(run, limit=600)
