"""What dashboards read of a full store: statistics and first pages, at rest and while messages come.

The rows are made by SQL as the writer would have left them: a camera each thousandth, twelve months,
one plate each. Every look asks for another camera, plate or day, so that none is answered from what
the last one left."""

import http.client
import sqlite3
import urllib.parse

import measure
from harness import Failure, monotonic, say

CAMERAS, MONTHS = 1000, 12
LOOKS = 100  # Of each kind.
LIMIT_MS = 20
INGEST_SECONDS = 10
# Of row n: letters and digits that repeat as those of real plates do not, so that a part of one is
# in about one row of ten thousand.
LETTERS = "ABCDEFGHJKLMNPRSTUVWXY"

POSTGRES_MONTHS = """
DO $$ BEGIN
  FOR m IN 0 .. {months} LOOP
    DECLARE first timestamptz := date_trunc('month', now(), 'UTC') - make_interval(months => m);
            name text := 'lpr_events_' || to_char(first AT TIME ZONE 'UTC', 'YYYY_MM');
    BEGIN
      IF to_regclass(name) IS NULL THEN
        EXECUTE format('CREATE TABLE %I PARTITION OF lpr_events FOR VALUES FROM (%L) TO (%L)',
                       name, first, first + interval '1 month');
      END IF;
    END;
  END LOOP;
END $$;
"""
POSTGRES_CAMERAS = """
INSERT INTO edge_devices (device_id, created_at, last_seen, has_detections)
  SELECT 'BENCH' || n, now(), now(), true FROM generate_series(0, {cameras} - 1) n;
INSERT INTO sources (device, checkpoint_id, detections)
  SELECT id, 'CP' || substr(device_id, 6)::int % 50, {rows} / {cameras} FROM edge_devices
  WHERE device_id LIKE 'BENCH%';
INSERT INTO counters VALUES ('detections', 0, {rows});
"""
POSTGRES_ROWS = """
CREATE TEMP TABLE places AS SELECT s.id AS source, d.device_id, substr(d.device_id, 6)::bigint AS n
  FROM sources s JOIN edge_devices d ON d.id = s.device WHERE d.device_id LIKE 'BENCH%';
WITH made AS (
  INSERT INTO detections (message_key, source, captured_at, arrived_at, writer, vehicles_count,
                          plates_count, message_id, protocol, payload)
    SELECT gen_random_uuid(), p.source, g.at, g.at, 1, 1, 1, g.n, 'rest', repeat('x', 300)
    FROM (SELECT n, now() - ({rows} - n) * interval '{months} months' / {rows} AS at
          FROM generate_series({first}::bigint, {last}) AS n) g
         JOIN places p ON p.n = g.n * 7919 % {cameras} ORDER BY g.n
    RETURNING id, message_key, source, captured_at, message_id::bigint AS n)
INSERT INTO lpr_events (event_id, edge_device_id, license_plate, confidence, metadata, created_at,
                        updated_at, captured_at, detection)
  SELECT message_key || '-1', p.device_id, substr('{letters}', (m.n * 31 % 22)::int + 1, 1) ||
         substr('{letters}', (m.n * 17 % 21)::int + 1, 1) ||
         lpad((m.n * 48271 % 10007 % 10000)::text, 4, '0'), 0.5 + m.n % 50 / 100.0, '{{"text": "x"}}',
         captured_at, captured_at, captured_at, m.id
  FROM made m JOIN places p USING (source) ORDER BY m.id;
"""
STEP = 500_000


def fill_postgres(postgres, database, rows):
    names = {"rows": rows, "cameras": CAMERAS, "months": MONTHS, "letters": LETTERS}
    postgres.psql(POSTGRES_MONTHS.format(**names), database)
    postgres.psql(POSTGRES_CAMERAS.format(**names), database)
    for first in range(1, rows + 1, STEP):
        last = min(first + STEP - 1, rows)
        postgres.psql(POSTGRES_ROWS.format(first=first, last=last, **names), database)
    postgres.psql("VACUUM ANALYZE", database)


SQLITE_FILL = """
INSERT INTO edge_devices (device_id, created_at, last_seen)
  WITH RECURSIVE g(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM g WHERE n < {cameras} - 1)
  SELECT 'BENCH' || n, {now}, {now} FROM g;
INSERT INTO sources (device, checkpoint_id, detections, newest)
  SELECT id, 'CP' || substr(device_id, 6) % 50, {rows} / {cameras}, {rows} - {cameras} + 1 +
         (substr(device_id, 6) + {cameras}) % {cameras} FROM edge_devices;
INSERT INTO counters VALUES ('detections', {rows}), ('devices', {cameras}), ('cameras', {cameras});
WITH RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < {rows})
INSERT INTO detections (id, message_key, message_id, source, previous, protocol, captured_at,
                        arrived_at, vehicles_count, plates_count, payload)
  SELECT n, randomblob(16), n, (SELECT id FROM edge_devices WHERE device_id = 'BENCH' ||
         ((n - 1) % {cameras})), CASE WHEN n > {cameras} THEN n - {cameras} END, 'rest',
         {now} - ({rows} - n) * {span} / {rows}, {now} - ({rows} - n) * {span} / {rows}, 1, 1,
         printf('%.300c', 'x') FROM g;
INSERT INTO lpr_events (id, event_id, edge_device_id, license_plate, confidence, metadata,
                        created_at, updated_at, captured_at, detection)
  SELECT id, lower(substr(hex(message_key), 1, 8) || '-' || substr(hex(message_key), 9, 4) || '-' ||
         substr(hex(message_key), 13, 4) || '-' || substr(hex(message_key), 17, 4) || '-' ||
         substr(hex(message_key), 21)) || '-1', 'BENCH' || ((id - 1) % {cameras}),
         substr('{letters}', id * 31 % 22 + 1, 1) || substr('{letters}', id * 17 % 21 + 1, 1) ||
         printf('%04d', id * 48271 % 10007 % 10000), 0.5 + id % 50 / 100.0, '{{"text":"x"}}',
         captured_at, captured_at, captured_at, id FROM detections;
ANALYZE;
"""


def fill_sqlite(path, rows, now_ms):
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.executescript("PRAGMA synchronous=OFF; PRAGMA cache_size=-500000; BEGIN;" +
                         SQLITE_FILL.format(rows=rows, cameras=CAMERAS, letters=LETTERS, now=now_ms,
                                            span=MONTHS * 30 * 86_400_000) +
                         "COMMIT; PRAGMA wal_checkpoint(TRUNCATE);")
    finally:
        db.close()


def kinds(now_s):
    """Name and path of look number i."""
    def stamp(days_ago):
        return urllib.parse.quote(measure.utc(now_s - days_ago * 86400))
    return {
        "statistics": lambda i: "/api/statistics",
        "records": lambda i: "/api/records?limit=20",
        "records of a camera": lambda i: f"/api/records?limit=20&camera_id=BENCH{i * 37 % CAMERAS}",
        "events": lambda i: "/api/lpr/events?limit=50",
        "events of a camera": lambda i: f"/api/lpr/events?limit=50&device={device(i)}",
        "events with a part of a plate":
            lambda i: f"/api/lpr/events?limit=50&plate={i * 7321 % 10000:04d}",
        "events of a day":
            lambda i: f"/api/lpr/events?limit=50&from={stamp(i * 3 + 2)}&to={stamp(i * 3 + 1)}",
    }


def device(i):
    return f"BENCH{i * 53 % CAMERAS}"


def look_at(server, now_s):
    """Milliseconds of each look, by kind."""
    times = {}
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=30)
    try:
        for name, path in kinds(now_s).items():
            times[name] = []
            for i in range(LOOKS):
                begin = monotonic()
                connection.request("GET", path(i))
                reply = connection.getresponse()
                body = reply.read()
                times[name].append((monotonic() - begin) * 1000)
                if reply.status != 200:
                    raise Failure(f"{path(i)}: {reply.status} {body[:300]}")
    finally:
        connection.close()
    return times


def rows_of(times, where, row):
    return [row(f"{name}, {where}, p99", measure.percentile(values, 99), "ms", LIMIT_MS, "less",
                f"median {measure.median(values):.1f}, worst {max(values):.1f}")
            for name, values in times.items()]


def measure_reads(trial, server, rows, row):
    now_s = measure.now()
    look_at(server, now_s)  # The first of each kind finds nothing in memory.
    still = look_at(server, now_s)
    say(f"{rows:,} rows, at rest: " + ", ".join(
        f"{name} {measure.percentile(t, 99):.1f}" for name, t in still.items()))
    load = trial.http_load(server.http_port, ledger=False, form="array", batch=64, connections=4,
                           rate=2000, seconds=INGEST_SECONDS)
    busy = look_at(server, now_s)
    accepted = load.result()["accepted"]
    say(f"{rows:,} rows, {accepted} stored meanwhile: " + ", ".join(
        f"{name} {measure.percentile(t, 99):.1f}" for name, t in busy.items()))
    return {"detail": {"still_ms": still, "busy_ms": busy, "stored_meanwhile": accepted},
            "rows": rows_of(still, "at rest", row) + rows_of(busy, "while 2,000/s are stored", row)}
