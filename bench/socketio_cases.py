"""The Socket.IO benchmarks, beside the peers; see cases.py for what a case is."""

import measure
import peers
from cases import pair_ratio, row
from harness import Failure, say
from measure import median

SESSIONS, WINDOW, IDLE_SESSIONS = 8, 100, 10000


def socketio_run(trial, system, seconds, *options):
    system.start()
    try:
        cpu = measure.cpu_seconds(system.pid)
        result = trial.socketio_load(system.port, *options, sessions=SESSIONS, window=WINDOW,
                                     seconds=seconds, cpu=peers.GENERATOR_CPU).result()
        if result["accepted"] != result["made"]:
            raise Failure(f"{system.name}: {result}")
        cpu = measure.cpu_seconds(system.pid) - cpu
        return {"per_second": result["per_second"], "p99_ms": result["latency_ms"]["p99"],
                "rss_kib": measure.memory_kib(system.pid),
                "cpu_us_per_message": cpu / result["accepted"] * 1e6,
                "generator_cpu_share": result["generator_cpu_seconds"] / result["seconds"]}
    finally:
        system.stop()


def socketio_pairs(trial, args, what, systems, *options):
    runs = {s.name: [] for s in systems}
    for pair in range(args.pairs):
        for system in systems:
            runs[system.name].append(socketio_run(trial, system(trial), args.seconds, *options))
        say(f"{what}, round {pair + 1}: " + ", ".join(
            f"{name} {values[-1]['per_second']:.0f}/s" for name, values in runs.items()))
    middle = {name: {key: median([r[key] for r in values]) for key in values[0]}
              for name, values in runs.items()}
    return runs, middle


def beside(middle, key, unit_format):
    return ", ".join(f"{name} {m[key]:{unit_format}}" for name, m in middle.items()
                     if name != "viaduct")


def socketio_ingest(trial, args):
    """Event lpr_data, answered by lpr_response after the commit."""
    runs, middle = socketio_pairs(trial, args, "Socket.IO ingest", [
        peers.ViaductSocketIo, peers.NodeSocketIo, peers.FlaskSocketIo])
    ours = middle["viaduct"]
    return {"title": f"Socket.IO ingest: detections of 300 bytes, {SESSIONS} sessions with a window "
                     f"of {WINDOW}, one core for the server",
            "detail": runs, "rows": [
                row("viaduct (C, stored)", ours["per_second"], "/s", 30000),
                row("Node.js socket.io (A, not stored)", middle["node-socketio"]["per_second"],
                    "/s"),
                row("Flask-SocketIO on gevent (A, not stored)",
                    middle["flask-socketio"]["per_second"], "/s"),
                row("ratio to Node.js", pair_ratio(runs, "node-socketio"), "x"),
                row("ratio to Flask-SocketIO", pair_ratio(runs, "flask-socketio"), "x", 9),
                row("p99", ours["p99_ms"], "ms", None, "less", beside(middle, "p99_ms", ".1f")),
                row("CPU a message", ours["cpu_us_per_message"], "us", None, "less",
                    beside(middle, "cpu_us_per_message", ".0f"))]}


def socketio_ping(trial, args):
    """Event ping, answered by pong from memory."""
    runs, middle = socketio_pairs(trial, args, "Socket.IO ping", [
        peers.ViaductSocketIo, peers.NodeSocketIo], "--event", "ping", "--answer", "pong")
    ours = middle["viaduct"]
    return {"title": f"Socket.IO events answered from memory, {SESSIONS} sessions with a window of "
                     f"{WINDOW}, one core for the server",
            "detail": runs, "rows": [
                row("viaduct", ours["per_second"], "/s"),
                row("Node.js socket.io", middle["node-socketio"]["per_second"], "/s"),
                row("ratio to Node.js", pair_ratio(runs, "node-socketio"), "x", 1),
                row("CPU a message", ours["cpu_us_per_message"], "us", None, "less",
                    beside(middle, "cpu_us_per_message", ".1f")),
                row("the generator's share of its CPU", ours["generator_cpu_share"], "", None,
                    "less", beside(middle, "generator_cpu_share", ".2f"))]}


def socketio_idle_run(trial, system, seconds):
    """Sessions that only stay open, beside active ones at a fixed rate."""
    system.start()
    try:
        before = measure.memory_kib(system.pid)
        load = trial.socketio_load(system.port, "--idle", IDLE_SESSIONS, sessions=SESSIONS,
                                   window=WINDOW, rate=1000, seconds=seconds,
                                   timeout_ms=120000, cpu=peers.GENERATOR_CPU)
        said = load.process.stderr.readline()
        if said != "idle\n":
            raise Failure(f"{system.name}: {said.strip()}")
        held = measure.memory_kib(system.pid) - before
        result = load.result()
        if result["accepted"] != result["made"]:
            raise Failure(f"{system.name}: {result}")
        return {"bytes_each": held * 1024 / IDLE_SESSIONS,
                "connect_seconds": result["idle_connect_seconds"],
                "p99_ms": result["latency_ms"]["p99"]}
    finally:
        system.stop()


def socketio_idle(trial, args):
    systems = [peers.ViaductSocketIo, peers.NodeSocketIo]
    runs = {s.name: [] for s in systems}
    for pair in range(args.pairs):
        for system in systems:
            runs[system.name].append(socketio_idle_run(trial, system(trial), args.seconds))
        say(f"{IDLE_SESSIONS} idle sessions, round {pair + 1}: " + ", ".join(
            f"{name} {values[-1]['bytes_each']:.0f} bytes" for name, values in runs.items()))
    middle = {name: {key: median([r[key] for r in values]) for key in values[0]}
              for name, values in runs.items()}
    ours = middle["viaduct"]
    return {"title": f"{IDLE_SESSIONS} idle Socket.IO sessions beside {SESSIONS} that send 1,000 "
                     "detections a second together", "detail": runs, "rows": [
                row("resident for one idle session", ours["bytes_each"], "bytes", 8192, "less",
                    beside(middle, "bytes_each", ".0f")),
                row("all of them connected within", ours["connect_seconds"], "s", 4, "less",
                    beside(middle, "connect_seconds", ".2f")),
                row("p99 of the active ones", ours["p99_ms"], "ms", 20, "less",
                    beside(middle, "p99_ms", ".1f"))]}
