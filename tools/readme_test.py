#!/usr/bin/env python3
"""Does what README.md tells a newcomer to do: both nodes, one detection, and looks for it.

    tools/readme_test.py BUILD
"""
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/support"))
from documents import claimed_blocks  # noqa: E402
from processes import free_port  # noqa: E402

DEADLINE_S = 60


def blocks(build, folder):
    """The two shell blocks below "by hand", with paths and ports of this run."""
    found = [block.text for block in claimed_blocks(__file__, ["README.md"])]
    assert len(found) == 2, "README.md has lost its example"
    server, edge = free_port(), free_port()
    changes = {"./dev build\n": "", "build/release": str(build), "/tmp/viaduct-": folder + "/",
               "127.0.0.1:8000": f"127.0.0.1:{server}", "127.0.0.1:8001": f"127.0.0.1:{edge}"}
    for old, new in changes.items():
        assert any(old in block for block in found), f"README.md has no {old!r} any more"
        found = [block.replace(old, new) for block in found]
    return found[0], found[1], server, edge


def await_json(url, wanted, what):
    end = time.monotonic() + DEADLINE_S
    seen = None
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                seen = json.load(answer)
                if wanted(seen):
                    return seen
        except (urllib.error.URLError, ConnectionError) as error:
            seen = error
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {DEADLINE_S} s, last answer {seen}")


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    folder = tempfile.mkdtemp(prefix="viaduct-readme-", dir="/tmp")
    start, use, server, edge = blocks(build, folder)
    nodes = subprocess.Popen(["bash", "-ec", start + "wait\n"], cwd=folder, start_new_session=True)
    try:
        for port in (server, edge):
            await_json(f"http://127.0.0.1:{port}/api/test", lambda a: a["success"], "start")
        # The commands one after the other, as somebody types them.
        shown = subprocess.run(["bash", "-ec", use], cwd=folder, capture_output=True, text=True,
                               timeout=DEADLINE_S, check=False)
        assert shown.returncode == 0, shown.stdout + shown.stderr
        assert '"detection_id"' in shown.stdout, shown.stdout
        assert "uplink" in shown.stdout and "local" in shown.stdout, shown.stdout
        records = await_json(f"http://127.0.0.1:{server}/api/records",
                             lambda a: a["total_count"] == 1, "the detection")
        assert "CAM001" in json.dumps(records), records
    finally:
        # The shell waits for both nodes, so it ends when they have.
        subprocess.run(["pkill", "-TERM", "-s", str(nodes.pid), "viaduct-host"], check=False)
        try:
            nodes.wait(20)
        except subprocess.TimeoutExpired:
            subprocess.run(["pkill", "-KILL", "-s", str(nodes.pid)], check=False)
            raise
    subprocess.run(["rm", "-rf", folder], check=True)
    print("README.md: works as written")


if __name__ == "__main__":
    signal.alarm(4 * DEADLINE_S)
    main()
