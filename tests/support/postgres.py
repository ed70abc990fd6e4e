"""A PostgreSQL server of a trial: in a temporary folder, on a free port, run by a user that is not
root, and broken like any other process. Python's standard library only.
"""

import contextlib
import csv
import glob
import io
import os
import pwd
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time

from processes import (READY_LIMIT_S, SLOW, CannotRun, Failure, die_with_parent, free_port,
                       monotonic, wait_for)

SERVER_USER = "postgres"  # Whom the package makes.
START_LIMIT_S = 60 * SLOW


class Postgres:
    def __init__(self, extra="", standby_of=None):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
        if not found:
            raise CannotRun("PostgreSQL is not installed")
        self.bin = os.path.dirname(found[-1])
        self.port = free_port()
        # Not below the trial's folder: that one is for its owner alone.
        self.folder = tempfile.mkdtemp(prefix="vdpg-", dir=os.environ.get("VIADUCT_TEST_TMP"))
        self.user = pwd.getpwnam(SERVER_USER) if os.getuid() == 0 else None
        if self.user:
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
        self.log_path = os.path.join(self.folder, "log")
        self.data = os.path.join(self.folder, "data")
        self.process = None
        self.databases = 0
        if standby_of:
            self._run("pg_basebackup", "--no-sync", "--checkpoint=fast", "--write-recovery-conf",
                      "--host", standby_of.folder, "--port", str(standby_of.port),
                      "--username=viaduct", "--pgdata", self.data)
        else:
            self._run("initdb", "--no-sync", "--auth=trust", "--username=viaduct",
                      "--encoding=UTF8", "--locale=C.UTF-8", "--pgdata", self.data)
        with open(os.path.join(self.data, "postgresql.conf"), "a") as f:
            f.write(f"listen_addresses = '127.0.0.1'\nport = {self.port}\n"
                    f"unix_socket_directories = '{self.folder}'\n{extra}\n")
        self.start()

    def _demote(self):
        die_with_parent()
        if self.user:
            os.setgroups([])
            os.setgid(self.user.pw_gid)
            os.setuid(self.user.pw_uid)
            die_with_parent()  # Changing the user has taken it back.

    def _run(self, program, *arguments):
        with open(self.log_path, "ab") as log:
            done = subprocess.run([os.path.join(self.bin, program), *arguments], stdout=log,
                                  stderr=log, cwd=self.folder, preexec_fn=self._demote, check=False)
        if done.returncode != 0:
            raise Failure(f"{program}: {done.returncode}\n{self.tail()}")

    def wait_for_standby(self):
        """From now on every commit waits until the standby has it on disk, too."""
        self.psql("ALTER SYSTEM SET synchronous_standby_names = '*'", "postgres")
        self.psql("SELECT pg_reload_conf()", "postgres")
        wait_for(lambda: "sync" in self.psql("SELECT sync_state FROM pg_stat_replication",
                                             "postgres").split(), START_LIMIT_S, "the standby")

    def promote(self):
        self.psql("SELECT pg_promote()", "postgres")

    def new_database(self):
        self.databases += 1
        name = f"store{self.databases}"
        self.psql(f"CREATE DATABASE {name}", "postgres")
        return name

    def url(self, database, port=None):
        return f"postgresql://viaduct@127.0.0.1:{port or self.port}/{database}"

    def start(self):
        """Returns when connections are accepted. After a kill that takes a while: the children of
        the old server must be gone, and its log is replayed."""
        end = monotonic() + START_LIMIT_S
        while True:
            if self.process is None or self.process.poll() is not None:
                with open(self.log_path, "ab") as log:
                    self.process = subprocess.Popen(
                        [os.path.join(self.bin, "postgres"), "-D", self.data], stdout=log,
                        stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder,
                        preexec_fn=self._demote)
            ready = subprocess.run(
                [os.path.join(self.bin, "pg_isready"), "-q", "-h", self.folder, "-p",
                 str(self.port)], check=False)
            if ready.returncode == 0:
                return
            if monotonic() > end:
                raise Failure(f"PostgreSQL does not start\n{self.tail()}")
            time.sleep(0.02)

    def _end(self, number):
        self.process.send_signal(number)
        try:
            self.process.wait(READY_LIMIT_S)
        except subprocess.TimeoutExpired:
            raise Failure(f"PostgreSQL does not end\n{self.tail()}") from None

    def kill(self):
        self._end(signal.SIGKILL)

    def stop(self):
        """Fast: sessions are ended."""
        self._end(signal.SIGINT)

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def psql(self, sql, database):
        done = subprocess.run(
            [os.path.join(self.bin, "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h",
             self.folder, "-p", str(self.port), "-U", "viaduct", "-d", database, "-c", sql],
            capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failure(f"psql: {done.stderr.strip()}")
        return done.stdout

    def rows(self, query, database):
        """Of texts; NULL is an empty one."""
        text = self.psql(f"COPY ({query}) TO STDOUT (FORMAT csv)", database)
        csv.field_size_limit(1 << 26)
        return csv.reader(io.StringIO(text))

    def export(self, database, path):
        """What the ledger reads of a store, as the SQLite file that it reads."""
        with contextlib.closing(sqlite3.connect(path)) as db, db:
            db.execute("CREATE TABLE detections (payload, image_path, plate_images)")
            db.executemany("INSERT INTO detections VALUES (?, ?, ?)",
                           self.rows("SELECT payload, image_path, plate_images FROM detections",
                                      database))
            db.execute("CREATE TABLE lpr_events (license_plate)")
            db.executemany("INSERT INTO lpr_events VALUES (?)",
                           self.rows("SELECT license_plate FROM lpr_events", database))

    def tail(self, size=2000):
        with open(self.log_path, "rb") as f:
            return f.read()[-size:].decode(errors="replace")

    def close(self):
        if self.alive():
            self._end(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)
