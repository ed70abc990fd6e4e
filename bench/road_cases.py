"""The road from an edge to its server, measured end to end; see README.md."""

import json
from time import sleep

from cases import MIB, leave, road, row
from harness import Failure, monotonic, say, wait_for
from measure import median


LIVE_S = 5  # gateway.backlog.after
LIVE_RATE = 100  # A site of many cameras.
FAST_RATE = 1000  # As in edge_latency: half of two cores by itself.


def edge_rate(trial, args):
    """gRPC stream into the edge as fast as it takes them, until all are committed on the server."""
    runs = []
    for number in range(args.pairs):
        server, edge = road(trial, f"r{number}")
        cpu = [n.cpu_seconds() for n in (edge, server)]
        begin = monotonic()
        result = trial.grpc_load(edge, ledger=False, seconds=args.seconds, window=8192,
                                 frame=256, drain_seconds=30).result()
        wait_for(lambda: server.total_detections() >= result["accepted"], 120,
                 "the road to drain", 0.005)
        seconds = monotonic() - begin
        cpu = [n.cpu_seconds() - c for n, c in zip((edge, server), cpu)]
        runs.append({"accepted_per_second": result["per_second"],
                     "committed_per_second": result["accepted"] / seconds,
                     "edge_cpu_us": cpu[0] / result["accepted"] * 1e6,
                     "server_cpu_us": cpu[1] / result["accepted"] * 1e6,
                     "edge_rss_mib": edge.rss_kib() / MIB, "server_rss_mib": server.rss_kib() / MIB})
        say(f"road, round {number + 1}: {runs[-1]['committed_per_second']:.0f}/s committed")
        leave(edge, server)
    def middle(key):
        return median([r[key] for r in runs])

    return {"title": "Edge gRPC stream -> synced -> REST -> committed on the server, two cores for "
                     "generator, edge and server together", "detail": runs, "rows": [
                row("committed on the server, sustained", middle("committed_per_second"), "/s",
                    20000),
                row("accepted by the edge meanwhile", middle("accepted_per_second"), "/s"),
                row("CPU a message, edge", middle("edge_cpu_us"), "us", None, "less"),
                row("CPU a message, server", middle("server_cpu_us"), "us", None, "less"),
                row("resident, edge", middle("edge_rss_mib"), "MiB", None, "less"),
                row("resident, server", middle("server_rss_mib"), "MiB", None, "less")]}


def edge_latency(trial, args):
    """1,000 messages a second; from the moment each is due at the generator to the moment the
    server's Subscribe stream tells the same generator that it is committed. One clock, no polling;
    the way of that news back is included."""
    runs = []
    for number in range(args.pairs):
        server, edge = road(trial, f"l{number}")
        result = trial.grpc_load(edge, "--watch", server.control, ledger=False, rate=1000,
                                 seconds=max(args.seconds, 5), window=8192, frame=64,
                                 drain_seconds=10).result()
        if result["answers"].get("commits heard", 0) < result["accepted"]:
            raise Failure(f"commits not heard: {result}")
        runs.append(result["latency_ms"])
        say(f"latency, round {number + 1}: p50 {runs[-1]['p50']:.2f} ms, p99 {runs[-1]['p99']:.2f}")
        leave(edge, server)
    return {"title": "The same road at 1,000 messages/s: camera to committed on the server",
            "detail": runs, "rows": [
                row("p50", median([r["p50"] for r in runs]), "ms", 1, "less"),
                row("p99", median([r["p99"] for r in runs]), "ms", 5, "less"),
                row("p99.9", median([r["p999"] for r in runs]), "ms", None, "less")]}


def drain(server, stored, messages):
    """Messages a second beyond what is stored, from the first that is committed to the last."""
    wait_for(lambda: server.total_detections() > stored, 60, "the drain to begin", 0.01)
    first, begin = server.total_detections(), monotonic()
    wait_for(lambda: server.total_detections() >= stored + messages, 900, "the back-log to drain",
             0.01)
    return (stored + messages - first) / (monotonic() - begin)


def fill(trial, edge, messages):
    """Accepted by the edge while its server is away, until the last of them is backlog."""
    result = trial.grpc_load(edge, ledger=False, seconds=600, messages=messages, window=16384,
                             frame=256, drain_seconds=60).result(660)
    if result["accepted"] != messages:
        raise Failure(f"filling the edge: {result}")
    sleep(LIVE_S + 0.5)
    return result["per_second"]


def live_load(trial, edge, server, rate, seconds):
    """As in edge_latency, of a camera whose commits alone are watched."""
    result = trial.grpc_load(edge, "--watch", server.control, "--camera", "CAM900", ledger=False,
                             rate=rate, seconds=seconds, window=8192, frame=64,
                             drain_seconds=10).result()
    if result["answers"].get("commits heard", 0) < result["accepted"]:
        raise Failure(f"commits not heard: {result}")
    return result


def road_at_most(trial, number, messages):
    """What waits drains as if all of it were live: nothing is held back."""
    server, edge = road(trial, f"m{number}", {"backlog": {"after": "24h"}})
    server.kill()
    fill(trial, edge, messages)
    server.start()
    rate = drain(server, 0, messages)
    leave(edge, server)
    return rate


def backlog_round(trial, args, number):
    figures = {"at_most": road_at_most(trial, number, args.backlog // 4)}
    server, edge = road(trial, f"b{number}")
    for rate in LIVE_RATE, FAST_RATE:
        figures["idle", rate] = live_load(trial, edge, server, rate,
                                          max(args.seconds, 10))["latency_ms"]
    stored = server.total_detections()
    # The drain alone, held back to what would not delay anything live.
    alone = args.backlog // 4
    server.kill()
    fill(trial, edge, alone)
    server.start()
    figures["drain_alone"] = drain(server, stored, alone)
    server.kill()
    figures["fill"] = fill(trial, edge, args.backlog)
    server.start()
    stored += alone
    wait_for(lambda: server.total_detections() > stored, 60, "the drain to begin", 0.01)
    live = 0
    for rate in LIVE_RATE, FAST_RATE:
        before, begin = server.total_detections(), monotonic()
        result = live_load(trial, edge, server, rate, max(args.seconds, 10))
        figures["beside", rate] = (server.total_detections() - before) / (monotonic() - begin)
        figures["live", rate] = result["latency_ms"]
        live += result["accepted"]
        if server.total_detections() >= stored + args.backlog + live:
            raise Failure("the back-log was gone before the end: give more --backlog")
    drain(server, stored, args.backlog + live)  # All of them are there.
    figures["edge_rss_mib"] = edge.rss_kib() / MIB
    leave(edge, server)
    return figures


def backlog(trial, args):
    """What is live while a back-log drains over the same road, beside the same road with nothing
    else; the drain beside it, and alone, to what the same road does when nothing is held back."""
    runs = []
    for number in range(max(1, args.pairs // 3)):
        runs.append(backlog_round(trial, args, number))
        say(f"back-log, round {number + 1}: {runs[-1]}")

    def middle(read):
        return median([read(r) for r in runs])

    def rows(rate, most, least):
        return [row(f"{rate}/s live: p99 beside the drain, to that of the idle road",
                    middle(lambda r: r["live", rate]["p99"] / r["idle", rate]["p99"]), "x", most,
                    "less"),
                row(f"{rate}/s live: p50 likewise",
                    middle(lambda r: r["live", rate]["p50"] / r["idle", rate]["p50"]), "x", None,
                    "less"),
                row(f"{rate}/s live: p99", middle(lambda r: r["live", rate]["p99"]), "ms", None,
                    "less"),
                row(f"{rate}/s live: idle p99", middle(lambda r: r["idle", rate]["p99"]), "ms",
                    None, "less"),
                row(f"{rate}/s live: committed beside it, to the road at its most",
                    middle(lambda r: r["beside", rate] / r["at_most"]), "x", least)]

    return {"title": f"What is live while {args.backlog} of the back-log drain",
            "detail": [{" ".join(map(str, key)) if isinstance(key, tuple) else key: value
                        for key, value in r.items()} for r in runs],
            "rows": rows(LIVE_RATE, 2, 0.8) + rows(FAST_RATE, None, None) + [
                row("the road at its most: nothing is held back", middle(lambda r: r["at_most"]),
                    "/s"),
                row("the drain alone", middle(lambda r: r["drain_alone"]), "/s"),
                row("the drain alone, to the road at its most",
                    middle(lambda r: r["drain_alone"] / r["at_most"]), "x", 0.8),
                row("accepted while the server is away", middle(lambda r: r["fill"]), "/s"),
                row("resident, edge", middle(lambda r: r["edge_rss_mib"]), "MiB", None, "less")]}
