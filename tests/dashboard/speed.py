#!/usr/bin/env python3
"""How fast the dashboard is, in Debian's Chromium: prints figures and judges none. Its first paint, its
weight, the time from a detection's commit to the screen at 50 detections a second, and the search in a
store of many rows.

    tests/dashboard/speed.py --build build/release [--store postgresql]

VIADUCT_DASHBOARD_ROWS is how many (5000000 unless given, 0: none; they take a few GB of the disk), and
VIADUCT_DASHBOARD_PICTURES a folder of JPEGs to send instead of drawn ones.
"""

import os
import sys
import time

from dashboard import PASSWORD, accounts, guarded_server, pictures, run_script

sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench"))
from harness import Failure, main, say  # noqa: E402
from store_reads import fill_postgres, fill_sqlite  # noqa: E402

LIMIT_S = 3600


def fill(t, server, rows):
    """By SQL, as the writer would have left them, while the node stands still."""
    begin = time.monotonic()
    server.stop()
    if t.store == "postgresql":
        fill_postgres(t.postgres(), server.database, rows)
    else:
        fill_sqlite(server.store_path, rows, int(time.time() * 1000))
    server.start()
    say(f"{rows} rows in {time.monotonic() - begin:.0f} s")


def run(t):
    rows = int(os.environ.get("VIADUCT_DASHBOARD_ROWS", "5000000"))
    server, sockets = guarded_server(t)
    key = accounts(t, server)
    if rows:
        fill(t, server, rows)
    url = f"http://127.0.0.1:{sockets}"
    trial = {"url": url, "direct": url, "plain": url, "password": PASSWORD, "key": key,
             "pictures": pictures(t), "crops": pictures(t, "crops"), "rows": rows}
    if run_script("speed.mjs", trial, {}) != 0:
        raise Failure("could not be measured, see above")
    server.stop()


if __name__ == "__main__":
    main(run, limit=LIMIT_S)
