#!/usr/bin/env python3
"""What a running server knows of a plate or device: handed out into a folder, counted, erased so that
not even the files of the database hold it; and what is too old goes by itself.
"""

import base64
import json
import os
import stat
import subprocess
import uuid

import common_path  # noqa: F401
from harness import Failure, main, wait_for

PATIENCE_S = 60
PLATE = "ERASEME42"


def expect(condition, what):
    if not condition:
        raise Failure(what)


def ctl(t, node, *words):
    done = subprocess.run([t.build.program("viaductctl"), "-s", node.control[len("unix:"):], *words],
                          capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def hand(node, plate, device, picture):
    image = picture + plate.encode()
    reply = node.post("/api/detection", {
        "type": "detection_result", "camera_id": device, "checkpoint_id": "CP1",
        "timestamp": "2024-01-15T10:30:00.000Z", "message_id": str(uuid.uuid4()),
        "ocr_results": [plate], "annotated_image": base64.b64encode(image).decode(),
        "cropped_plates": [base64.b64encode(image).decode()]})
    expect(reply.status == 200, f"{node.name}: {reply.status} {reply.body[:300]}")
    return image


def holding(folder, text):
    """Files below a folder that hold the text."""
    found = []
    for path, _, names in os.walk(folder):
        for name in names:
            file = os.path.join(path, name)
            if not stat.S_ISREG(os.lstat(file).st_mode):
                continue
            with open(file, "rb") as f:
                if text.encode() in f.read():
                    found.append(file)
    return found


def lines(folder, table):
    path = os.path.join(folder, f"{table}.jsonl")
    if not os.path.exists(path):
        return []
    with open(path) as f:
        return [json.loads(line) for line in f]


def erases(t, server, picture):
    image = hand(server, PLATE, "CAM001", picture)
    for number in range(30):
        hand(server, f"KEEP{number}", f"CAM00{1 + number % 3}", picture)
    out = os.path.join(t.folder, "export")
    code, text = ctl(t, server, "privacy", "export", "--plate", "erase-me 42", "--out", out)
    expect(code == 0, f"export: {text}")
    expect([r["payload"]["ocr_results"] for r in lines(out, "detections")] == [[PLATE]],
           f"exported: {lines(out, 'detections')}")
    expect([r["license_plate"] for r in lines(out, "events")] == [PLATE], "exported events")
    pictures = holding(os.path.join(out, "images"), PLATE)
    expect(len(pictures) == 2, f"exported images: {pictures}")
    with open(pictures[0], "rb") as f:
        expect(f.read() == image, "an exported image is another one")
    expect(os.stat(out).st_mode & 0o077 == 0, "others may read the export")
    code, text = ctl(t, server, "privacy", "export", "--plate", PLATE, "--out", out)
    expect(code == 2, f"into a folder that is there: {code} {text}")
    code, text = ctl(t, server, "privacy", "erase", "--plate", PLATE)
    expect(code == 2 and "--yes" in text, f"without a word: {code} {text}")
    counted = server.ctl("privacy", "erase", "--plate", PLATE, "--dry-run")["counts"]
    expect(counted["rows"]["detections"] == "1" and counted["images"] == "2", f"dry: {counted}")
    expect(holding(server.data_dir, PLATE), "the dry run removed it")
    erased = server.ctl("privacy", "erase", "--plate", PLATE, "--yes")["counts"]
    expect(erased["rows"]["detections"] == "1" and erased["images"] == "2", f"erased: {erased}")
    expect(not erased.get("in_the_log"), "still in the log of the database")
    expect(holding(server.data_dir, PLATE) == [], f"left in {holding(server.data_dir, PLATE)}")
    expect(server.get("/api/records?limit=1").json()["total_count"] == 30, "others went along")
    with open(server.log_path, errors="replace") as f:
        log = f.read()
    expect("Privacy.Erase" in log, "no line in the audit")
    expect(PLATE not in log, "the audit names the plate")


def erases_device(t, server):
    counts = server.ctl("privacy", "erase", "--device", "CAM002", "--yes")["counts"]
    expect(counts["rows"]["detections"] == "10", f"device: {counts}")
    cameras = [c["camera_id"] for c in server.get("/api/cameras").json()["cameras"]]
    expect("CAM002" not in cameras, f"cameras: {cameras}")
    expect(server.get("/api/records?camera_id=CAM003").json()["total_count"] == 10, "CAM003")
    code, text = ctl(t, server, "privacy", "erase", "--yes")
    expect(code == 2, f"without a subject: {code} {text}")


def erases_what_waits(t):
    edge = t.edge(1, "edge")
    edge.start()
    for plate in (PLATE, "OTHER1"):
        reply = edge.post("/api/detection", {
            "type": "detection_result", "camera_id": "CAM001", "checkpoint_id": "CP1",
            "timestamp": "2024-01-15T10:30:00.000Z", "ocr_results": [plate]})
        expect(reply.status == 200, f"edge: {reply.status}")

    def erased():
        counts = edge.ctl("privacy", "erase", "--plate", PLATE, "--yes")["counts"]
        return counts.get("spooled") == "1"  # It may be on its way to nobody just now.
    wait_for(erased, PATIENCE_S, "the waiting message to go")
    expect(edge.spool_messages() == 1, "the other one went along")
    expect(edge.stop() == 0, f"edge: not 0\n{edge.tail()}")


def forgets(t, picture):
    """Retention of an hour, on a node whose clock is that of its start: nothing goes; the sweep says
    so. What is older is judged by core/lpr/privacy_test.cc, which has the clock."""
    server = t.server("kept", privacy={"retention": {"detections": "1h", "images": "1h"}})
    server.start()
    hand(server, "A1", "CAM001", picture)
    answer = server.ctl("privacy", "sweep", "--dry-run")
    expect(answer["counts"].get("rows", {}) == {}, f"too young: {answer}")
    expect(server.get("/api/records").json()["total_count"] == 1, "it went")
    expect(server.stop() == 0, f"kept: not 0\n{server.tail()}")


def run(t):
    with open(t.picture("NONE", 4000, 320, 180), "rb") as f:
        picture = f.read()
    server = t.server()
    server.start()
    erases(t, server, picture)
    erases_device(t, server)
    expect(server.stop() == 0, f"server: not 0\n{server.tail()}")
    erases_what_waits(t)
    forgets(t, picture)


if __name__ == "__main__":
    main(run)
