#!/usr/bin/env python3
"""From pictures to records, with real nodes: a folder of pictures, a video and a camera in the network, an edge with
hailo_lpr that is killed meanwhile, a server. Every plate is stored once, with its images; bad pictures are said and harm
nothing.
"""

import http.server
import os
import re
import socketserver
import subprocess
import sys
import threading
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
# pylint: disable=wrong-import-position
from harness import Failure, main, wait_for  # noqa: E402
from processes import SLOW  # noqa: E402

PATIENCE_S = 90 * SLOW
STALL_S = 5 if SLOW == 1 else 30  # So long the camera program may take to begin.
MOST_MEMORY_MIB = 150 if SLOW == 1 else 1024  # A sanitizer takes its own.
# As they are drawn; the reader leaves the gap out.
DRAWN = ["KX75BN", "4AB 1234", "BCD 5678", "HJK 2468", "TRF 3579", "GHT 6248", "PLM 9532"]
PLATES = [text.replace(" ", "") for text in DRAWN]


def expect(condition, what):
    if not condition:
        raise Failure(what)


def draw(t, *words):
    subprocess.run([t.build.program("draw_plates"), *map(str, words)], check=True)


def plates_of(node):
    reply = node.get("/api/lpr/events?limit=1000", timeout=30)
    return sorted(event["license_plate"] for event in reply.json()["events"])


def await_plates(node, wanted):
    wait_for(lambda: len(plates_of(node)) >= len(wanted), PATIENCE_S,
             f"{len(wanted)} plates (has {plates_of(node)})", 0.2)
    expect(plates_of(node) == sorted(wanted), f"plates {plates_of(node)}, wanted {sorted(wanted)}")


def condition(node, name):
    """What an instance says of itself: state and reason."""
    instance = node.ctl("instances", "get", name)["instance"]
    return f"{instance['health']} {instance.get('reason', '')}"


def example_is_sound(t):
    done = subprocess.run([t.build.program("viaduct-host"), "--config",
                           os.path.join(ROOT, "plugins", "hailo_lpr", "example.yaml"), "--check"],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0 or "warning" in done.stderr + done.stdout:
        raise Failure(f"example.yaml: {done.stdout} {done.stderr}")


def put(t, folder, name, plate, *size):
    part = os.path.join(t.folder, "part.jpg")
    draw(t, "picture", part, plate, *size)
    os.rename(part, os.path.join(folder, name))


def reader(name, **config):
    return {"name": name, "plugin": "hailo_lpr",
            "config": {"camera_id": "CAM001", "checkpoint_id": name, **config}}


def images_are_there(server):
    for event in server.get("/api/lpr/events?limit=1000").json()["events"]:
        expect(event.get("image_path"), f"no image: {event}")
    records = server.get("/api/records?limit=100").json()["records"]
    for record in records:
        url = record["annotated_image"]
        image = server.get(url[url.index("/images"):])
        expect(image.status == 200 and image.body[:2] == b"\xff\xd8", f"{url}: {image.status}")
        expect(record["cropped_plates"], f"no plate: {record}")


def pictures_of_a_folder(t, server, edge, folder, done):
    """Killed in the middle, with bad ones among them."""
    with open(os.path.join(folder, "aa-empty.jpg"), "wb"):
        pass
    with open(os.path.join(folder, "ab-broken.jpg"), "wb") as f:
        f.write(b"\xff\xd8\xff\xe0 this goes wrong")
    for i, plate in enumerate(DRAWN[:3]):
        put(t, folder, f"b{i}.jpg", plate)
    edge.start()
    wait_for(lambda: len(plates_of(server)) >= 1, PATIENCE_S, "the first plate", 0.02)
    edge.kill()
    for i, plate in enumerate(DRAWN[3:-1]):
        put(t, folder, f"c{i}.jpg", plate)
    put(t, folder, "d.jpg", DRAWN[-1], 3840, 2160)
    edge.start()
    await_plates(server, PLATES)
    wait_for(lambda: not os.listdir(folder), PATIENCE_S,
             f"an empty folder (has {os.listdir(folder)})", 0.1)
    expect("aa-empty.jpg" in os.listdir(done), "the empty picture is gone")
    images_are_there(server)


class Camera:
    """A camera that speaks HTTP (MJPEG): it can stand still and be unplugged."""

    def __init__(self, pictures, port=0):
        self.frames = pictures
        self.still = threading.Event()
        self.gone = threading.Event()
        camera = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # noqa: N802  pylint: disable=invalid-name
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                try:
                    camera.play(self.wfile)
                except OSError:
                    pass

            def log_message(self, *_):  # pylint: disable=arguments-differ
                pass

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def unplug(self):
        self.gone.set()
        self.server.shutdown()
        self.server.server_close()

    def play(self, out):
        number = 0
        while not self.gone.is_set():
            if not self.still.is_set():
                frame = self.frames[number % len(self.frames)]
                number += 1
                out.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: "
                          + str(len(frame)).encode() + b"\r\n\r\n" + frame + b"\r\n")
                out.flush()
            time.sleep(0.04)


def camera_of_the_network(t, server, edge):
    """It passes by, stands still, comes back: health says so, and its vehicle is told once."""
    frames = []
    for place in ("picture", "empty"):
        path = os.path.join(t.folder, f"{place}.jpg")
        draw(t, "picture", path, "VWX 4826" if place == "picture" else "-", 640, 360)
        with open(path, "rb") as f:
            frames += [f.read()] * (20 if place == "picture" else 40)
    camera = Camera(frames)
    edge.stop()
    edge.config["instances"] = [i for i in edge.config["instances"] if i["plugin"] == "rest"]
    edge.config["instances"].append(
        reader("camera", source="rtsp", url=f"http://127.0.0.1:{camera.port}/stream.mjpg",
               stall_timeout=STALL_S, reconnect_after=0.2, reconnect_at_most=0.5, again_after=600))
    edge.write_config()
    edge.start()
    await_plates(server, PLATES + ["VWX4826"])
    expect(condition(edge, "camera") == "HEALTH_OK ", condition(edge, "camera"))
    camera.still.set()
    wait_for(lambda: f"no picture for {STALL_S}s" in condition(edge, "camera"), PATIENCE_S,
             f"the stall to be said, {condition(edge, 'camera')}", 0.1)
    camera.still.clear()
    wait_for(lambda: condition(edge, "camera") == "HEALTH_OK ", PATIENCE_S,
             f"the camera to be back, {condition(edge, 'camera')}", 0.1)
    await_plates(server, PLATES + ["VWX4826"])
    camera.unplug()
    wait_for(lambda: condition(edge, "camera").startswith("HEALTH_FAILED"), PATIENCE_S,
             f"the loss to be said, {condition(edge, 'camera')}", 0.1)
    camera = Camera(frames, camera.port)
    wait_for(lambda: condition(edge, "camera") == "HEALTH_OK ", PATIENCE_S,
             f"the camera to be plugged in, {condition(edge, 'camera')}", 0.1)
    await_plates(server, PLATES + ["VWX4826"])
    with open(edge.log_path, encoding="utf-8", errors="replace") as f:
        expect("no pictures reason=" in f.read(), "the log does not say that a camera was away")


def video(t, server, edge):
    """One event a vehicle, although every fourth picture of it shows another plate."""
    path = os.path.join(t.folder, "street.avi")
    draw(t, "video", path, 25, 30, 30, 640, 360, *DRAWN[:2])
    edge.stop()
    edge.config["instances"] = [i for i in edge.config["instances"] if i["plugin"] == "rest"]
    edge.config["instances"].append(
        reader("film", source="video", path=path, pace="fast",
               recorded_at="2024-01-15T10:30:00Z"))
    edge.write_config()
    edge.start()
    await_plates(server, PLATES + ["VWX4826"] + PLATES[:2])
    wait_for(lambda: "has ended after 120 pictures" in condition(edge, "film"), PATIENCE_S,
             f"the end of the video, {condition(edge, 'film')}", 0.1)
    events = server.get("/api/lpr/events?limit=1000").json()["events"]
    old = [event for event in events if "2024-01-15T10:30" in str(event)]
    expect(len(old) == 2, f"the time of capture is lost: {events}")


def most_mib(node):
    with open(f"/proc/{node.process.pid}/status") as f:
        return int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1)) / 1024


def memory(t, edge):
    """Of the plugin: the most of a node with it, less the most of one without."""
    bare = t.edge(1, name="bare")
    bare.start()
    t.figure(edge_mib=round(most_mib(edge), 1), bare_mib=round(most_mib(bare), 1))
    grown = most_mib(edge) - most_mib(bare)
    bare.stop()
    expect(grown < MOST_MEMORY_MIB, f"the plugin takes {grown:.0f} MiB")


def run(t):
    example_is_sound(t)
    folder, done = os.path.join(t.folder, "in"), os.path.join(t.folder, "done")
    os.mkdir(folder)
    os.mkdir(done)
    server = t.server()
    server.start()
    edge = t.edge(server.http_port)
    edge.config["instances"].append(
        reader("gate", source="folder", path=folder, after="move", move_to=done))
    edge.write_config()
    pictures_of_a_folder(t, server, edge, folder, done)
    memory(t, edge)
    camera_of_the_network(t, server, edge)
    video(t, server, edge)
    expect(edge.stop() == 0, "the edge did not stop in good order")
    expect(server.stop() == 0, "the server did not stop in good order")


if __name__ == "__main__":
    main(run)
