"""The benchmarks. Each case returns {"title", "rows": [...], "detail": ...}; a row is one line of the
table: what, value, unit, target, whether it was reached."""

import json
import os
import resource
import subprocess
import time

import measure
import peers
import store_reads
from broker import Broker, mosquitto_program
from harness import Failure, die_with_parent, monotonic, say, wait_for
from measure import median

CONNECTIONS = (16, 32, 64)
IDLE_CONNECTIONS = 5000
TLS_CONNECTIONS = 32
MIB = 1024


def row(what, value, unit, target=None, better="more", base=""):
    """`target` None: no requirement, only a figure."""
    reached = None
    if target is not None:
        reached = value >= target if better == "more" else value <= target
    return {"what": what, "value": value, "unit": unit, "target": target, "better": better,
            "reached": reached, "base": base}


# --- REST ingest beside the peers ---

def one_run(trial, system, connections, seconds, *options):
    system.start()
    try:
        cpu = measure.cpu_seconds(system.pid)
        result = trial.http_load(system.port, *options, form="flat", ledger=False,
                                 connections=connections, seconds=seconds,
                                 cpu=peers.GENERATOR_CPU).result()
        if result["accepted"] != result["made"]:
            raise Failure(f"{system.name}: {result}")
        cpu = measure.cpu_seconds(system.pid) - cpu
        return {"per_second": result["per_second"], "p50_ms": result["latency_ms"]["p50"],
                "p99_ms": result["latency_ms"]["p99"], "rss_kib": measure.memory_kib(system.pid),
                "cpu_us_per_message": cpu / result["accepted"] * 1e6,
                "generator_cpu_share": result["generator_cpu_seconds"] / result["seconds"]}
    finally:
        system.stop()


def rest_ingest(trial, args):
    systems = [peers.Viaduct, peers.NodeHttp, peers.FlaskGunicorn]
    detail, rows = {}, []
    for connections in CONNECTIONS:
        runs = {s.name: [] for s in systems}
        for pair in range(args.pairs):
            for system in systems:
                runs[system.name].append(one_run(trial, system(trial), connections, args.seconds))
            say(f"rest ingest, {connections} connections, round {pair + 1}: " + ", ".join(
                f"{name} {values[-1]['per_second']:.0f}/s" for name, values in runs.items()))
        detail[str(connections)] = runs
        rows += ingest_rows(connections, runs)
    ceiling = one_run(trial, peers.Sink(trial), 32, args.seconds)
    detail["ceiling"] = ceiling
    rows.append(row("generator's own ceiling (sink), 32 connections", ceiling["per_second"], "/s"))
    return {"title": "REST ingest: detections of 300 bytes, one core for the server",
            "rows": rows, "detail": detail}


def ingest_rows(connections, runs):
    middle = {name: {key: median([r[key] for r in values]) for key in values[0]}
              for name, values in runs.items()}
    ours, node, flask = (middle[n] for n in ("viaduct", "node-http", "flask-gunicorn"))
    c = f", {connections} connections"
    rows = [row("viaduct (C, stored)" + c, ours["per_second"], "/s", 20000),
            row("Node.js http (A, not stored)" + c, node["per_second"], "/s"),
            row("Flask with gunicorn (A, not stored)" + c, flask["per_second"], "/s"),
            row("ratio to Node.js" + c, pair_ratio(runs, "node-http"), "x", 0.5),
            row("ratio to Flask" + c, pair_ratio(runs, "flask-gunicorn"), "x", 5),
            row("p99" + c, ours["p99_ms"], "ms", 25, "less",
                f"Node.js {node['p99_ms']:.1f}, Flask {flask['p99_ms']:.1f}")]
    rows.append(row("CPU a message" + c, ours["cpu_us_per_message"], "us", None, "less",
                    f"Node.js {node['cpu_us_per_message']:.0f}, "
                    f"Flask {flask['cpu_us_per_message']:.0f}"))
    rows.append(row("resident after the run" + c, ours["rss_kib"] / MIB, "MiB", None, "less",
                    f"Node.js {node['rss_kib'] / MIB:.0f}, Flask {flask['rss_kib'] / MIB:.0f}"))
    return rows


def pair_ratio(runs, peer):
    """The median of the ratios of the pairs, each made one right after the other."""
    return median([a["per_second"] / b["per_second"]
                   for a, b in zip(runs["viaduct"], runs[peer])])


def rest_tls(trial, args):
    """The same over TLS 1.3 with a token in each request, one pair right after the other."""
    plain, secured = [], []
    for pair in range(args.pairs):
        plain.append(one_run(trial, peers.Viaduct(trial), TLS_CONNECTIONS, args.seconds))
        system = peers.ViaductTls(trial)
        secured.append(one_run(trial, system, TLS_CONNECTIONS, args.seconds, *system.options))
        say(f"rest_tls, round {pair + 1}: {plain[-1]['per_second']:.0f}/s plain, "
            f"{secured[-1]['per_second']:.0f}/s over TLS with a token")
    rate = [median([r["per_second"] for r in runs]) for runs in (plain, secured)]
    ratio = median([b["per_second"] / a["per_second"] for a, b in zip(plain, secured)])
    what = "TLS 1.3, bearer JWT"
    cpu = [median([r["cpu_us_per_message"] for r in runs]) for runs in (plain, secured)]
    return {"title": f"REST ingest over {what}, {TLS_CONNECTIONS} kept connections",
            "detail": {"plain": plain, "secured": secured}, "rows": [
                row("plain", rate[0], "/s"), row(what, rate[1], "/s"),
                row("share kept", ratio, "x", 0.75),
                row("CPU a message", cpu[1], "us", None, "less", f"plain {cpu[0]:.0f}"),
                row("p99", median([r["p99_ms"] for r in secured]), "ms", None, "less",
                    f"plain {median([r['p99_ms'] for r in plain]):.1f}")]}


def rest_images(trial, args):
    """A real JPEG of 150 KB with each detection."""
    picture = trial.picture()
    runs = [one_run(trial, peers.Viaduct(trial), 16, args.seconds, "--image", picture)
            for _ in range(args.pairs)]
    rate = median([r["per_second"] for r in runs])
    return {"title": "REST ingest with a 150 KB JPEG each", "detail": runs, "rows": [
        row("detections with image", rate, "/s"),
        row("image bytes", rate * os.path.getsize(picture) / 1e6, "MB/s"),
        row("p99", median([r["p99_ms"] for r in runs]), "ms", None, "less")]}


def idle_connections(trial, args):
    """16 active connections, alone and beside 5,000 that only stay open."""
    alone, beside = [], []
    for _ in range(args.pairs):
        alone.append(one_run(trial, peers.Viaduct(trial), 16, args.seconds))
        beside.append(one_run(trial, peers.Viaduct(trial), 16, args.seconds, "--idle",
                              str(IDLE_CONNECTIONS)))
    rate = [median([r["per_second"] for r in runs]) for runs in (alone, beside)]
    return {"title": f"{IDLE_CONNECTIONS} idle keep-alive connections beside 16 active ones",
            "detail": {"alone": alone, "beside": beside}, "rows": [
                row("16 active alone", rate[0], "/s"),
                row(f"16 active beside {IDLE_CONNECTIONS} idle", rate[1], "/s", 20000),
                row("share kept", rate[1] / rate[0], "x", 0.9),
                row("p99 beside the idle ones", median([r["p99_ms"] for r in beside]), "ms", 25,
                    "less", f"alone {median([r['p99_ms'] for r in alone]):.1f}"),
                row("memory for one idle connection",
                    (median([r["rss_kib"] for r in beside]) -
                     median([r["rss_kib"] for r in alone])) * 1024 / IDLE_CONNECTIONS, "bytes",
                    None, "less")]}


# --- The whole road ---

def road(trial, number, gateway=None):
    """A server and its edge, which has `gateway` in its configuration."""
    server = trial.server(name=f"road-server{number}")
    edge = trial.edge(server.http_port, name=f"road-edge{number}")
    if gateway:
        edge.config["gateway"] = gateway
        edge.write_config()
    server.start()
    edge.start()
    return server, edge


def leave(*nodes):
    for node in nodes:
        node.stop()
    for node in nodes:
        subprocess.run(["rm", "-rf", node.folder], check=True)


def link_choice(trial, args):
    """core/gateway/selector_benchmark.cc: the choice of a link for a message, by strategy."""
    subprocess.run(["cmake", "--build", trial.build.folder, "--target", "selector_benchmark"],
                   check=True, stdout=subprocess.DEVNULL)
    runs = [{(r["benchmark"], r["links"]): r["median_ns"] for r in map(json.loads, program(
        trial, "selector_benchmark", "--json").splitlines())} for _ in range(args.pairs)]
    return {"title": "The choice of a link for one message",
            "detail": [{f"{name} {links}": ns for (name, links), ns in r.items()} for r in runs],
            "rows": [row(f"{name} over {links} links", median([r[name, links] for r in runs]),
                         "ns", 1000 if links == 3 else None, "less") for name, links in runs[0]]}


# --- MQTT ---

MQTT_BYTES = 300  # As the generator's messages.
# Of mosquitto_pub; its own default is 20, and it is faster with more.
MQTT_PEER_WINDOW = 200
# mosquitto_pub -l ends with the first acknowledgement that bears the number of its last packet, and
# there are 65,535 numbers.
MQTT_MOST_MESSAGES = 65_000
MQTT_LIMIT_S = 60


def mqtt_instance(broker, role, client_id):
    return {"name": "mqtt", "plugin": "mqtt",
            "config": {"role": role, "broker_url": f"127.0.0.1:{broker.port}",
                       "client_id": client_id}}


def mqtt_road(trial, broker, number):
    server = trial.server(name=f"mqtt-server{number}")
    edge = trial.edge(1, name=f"mqtt-edge{number}", node_id=f"E{number}")
    server.config["instances"].append(mqtt_instance(broker, "server", f"S{number}"))
    edge.config["instances"][-1] = {**mqtt_instance(broker, "client", f"E{number}"),
                                    "start": "manual"}
    for node in (server, edge):
        node.write_config()
        node.start()
    return server, edge


def mqtt_ours(trial, broker, number, seconds):
    """What waits in the edge's spool, as lines in a file: from the start of the road to the last
    message committed on the server and confirmed to the edge."""
    server, edge = mqtt_road(trial, broker, number)
    count = trial.grpc_load(edge, ledger=False, seconds=seconds, messages=MQTT_MOST_MESSAGES,
                            window=8192, frame=256, drain_seconds=30).result()["accepted"]
    pids = {"edge": edge.process.pid, "server": server.process.pid, "broker": broker.process.pid}
    cpu = {name: measure.cpu_seconds(pid) for name, pid in pids.items()}
    begin = monotonic()
    subprocess.run([trial.build.program("viaductctl"), "-s", edge.control[len("unix:"):],
                    "instances", "start", "mqtt"], check=True, stdout=subprocess.DEVNULL)
    # Each look costs the server as much as ten messages.
    wait_for(lambda: server.total_detections() >= count, MQTT_LIMIT_S, "the road to drain", 0.02)
    run = {"count": count, "per_second": count / (monotonic() - begin)}
    for name, pid in pids.items():
        run[f"{name}_cpu_us"] = (measure.cpu_seconds(pid) - cpu[name]) / count * 1e6
    leave(edge, server)
    return run


def mqtt_theirs(trial, broker, count):
    """mosquitto_pub -l | mosquitto_sub: from the first line to the last one heard. Nobody keeps
    any. The session is there before, so that no line is early."""
    lines = os.path.join(trial.folder, "lines")
    with open(lines, "w") as f:
        f.write(("x" * MQTT_BYTES + "\n") * count)
    base = ["-h", "127.0.0.1", "-p", str(broker.port), "-q", "1", "-t", "bench"]
    sub = [mosquitto_program("mosquitto_sub"), *base, "-i", "bench-sub"]
    subprocess.run([*sub, "-c", "-E"], check=True, stderr=subprocess.DEVNULL)
    cpu = measure.cpu_seconds(broker.process.pid)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = monotonic()
    hears = subprocess.Popen([*sub, "-c", "-C", str(count)], stdout=subprocess.DEVNULL,
                             preexec_fn=die_with_parent)
    try:
        with open(lines) as f:
            subprocess.run([mosquitto_program("mosquitto_pub"), *base, "-l", "-M",
                            str(MQTT_PEER_WINDOW)], stdin=f, check=True, timeout=MQTT_LIMIT_S)
        if hears.wait(MQTT_LIMIT_S) != 0:
            raise Failure("mosquitto_sub did not hear all")
    finally:
        hears.kill()
        hears.wait()
    run = {"per_second": count / (monotonic() - begin)}
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    both = now.ru_utime + now.ru_stime - spent.ru_utime - spent.ru_stime
    run["clients_cpu_us"] = both / count * 1e6
    run["broker_cpu_us"] = (measure.cpu_seconds(broker.process.pid) - cpu) / count * 1e6
    subprocess.run([*sub, "-E"], check=True, stderr=subprocess.DEVNULL)  # Ends the session.
    return run


def mqtt_ingest(trial, args):
    """Edge to server through mosquitto, committed and confirmed, beside mosquitto's own clients
    through the same broker. All share both CPUs."""
    ours, theirs = [], []
    for number in range(args.pairs):
        # Anew for each pair: it keeps what is for a server that has left.
        broker = Broker(trial, f"broker{number}").start()
        ours.append(mqtt_ours(trial, broker, number, args.seconds))
        theirs.append(mqtt_theirs(trial, broker, ours[-1]["count"]))
        broker.kill()
        say(f"MQTT, round {number + 1}: {ours[-1]['per_second']:.0f}/s committed, mosquitto's "
            f"clients {theirs[-1]['per_second']:.0f}/s")

    def middle(runs, key):
        return median([r[key] for r in runs])

    ratio = median([a["per_second"] / b["per_second"] for a, b in zip(ours, theirs)])
    return {"title": "MQTT: edge -> synced -> mosquitto -> committed on the server -> confirmed",
            "detail": {"viaduct": ours, "mosquitto": theirs}, "rows": [
                row("committed on the server (C)", middle(ours, "per_second"), "/s"),
                row("mosquitto_pub -l to mosquitto_sub, QoS 1 (A)", middle(theirs, "per_second"),
                    "/s"),
                row("ratio", ratio, "x", 1),
                *[row(f"CPU a message, {name}", middle(ours, f"{name}_cpu_us"), "us", None, "less")
                  for name in ("edge", "server")],
                row("CPU a message, mosquitto", middle(ours, "broker_cpu_us"), "us", None, "less",
                    f"beside its own clients {middle(theirs, 'broker_cpu_us'):.1f}, these "
                    f"{middle(theirs, 'clients_cpu_us'):.1f}")]}


# --- PostgreSQL ---

def postgres_ingest(trial, args):
    """Arrays of 64 detections over REST, node and PostgreSQL and generator on the same CPUs."""
    trial.store = "postgresql"
    runs, server = [], None
    for number in range(args.pairs):
        if server:
            leave(server)
        server = trial.server(name=f"pg{number}")
        server.start()
        begin = monotonic()
        result = trial.http_load(server.http_port, ledger=False, form="array", batch=64,
                                 connections=16, seconds=args.seconds).result()
        seconds = monotonic() - begin
        if result["accepted"] != result["made"]:
            raise Failure(f"PostgreSQL: {result}")
        wait_for(lambda: server.total_detections() >= result["accepted"], 60, "the counters")
        runs.append({"per_second": result["per_second"], "seconds": seconds,
                     "p99_ms": result["latency_ms"]["p99"],
                     "server_cpu_us": server.cpu_seconds() / result["accepted"] * 1e6,
                     "server_rss_mib": server.rss_kib() / MIB})
        say(f"PostgreSQL, round {number + 1}: {runs[-1]['per_second']:.0f}/s committed")
    leave(server)
    rows = [row("committed, generator, node and PostgreSQL on the same cores",
                median([r["per_second"] for r in runs]), "/s", 20000),
            row("p99 of an array of 64", median([r["p99_ms"] for r in runs]), "ms", None, "less"),
            row("CPU a message, node", median([r["server_cpu_us"] for r in runs]), "us", None,
                "less")]
    return {"title": "Server node on PostgreSQL (C, synchronous_commit)", "detail": runs,
            "rows": rows}


def postgres_reads(trial, args):
    """What a dashboard reads of --rows detections and events, at rest and while messages come."""
    trial.store = "postgresql"
    server = trial.server(name="full")
    server.start()
    server.stop()  # It has made the tables.
    say(f"PostgreSQL: filling {args.rows:,} rows")
    store_reads.fill_postgres(trial.postgres(), server.database, args.rows)
    return read_full_store(trial, server, args.rows, "PostgreSQL")


def sqlite_reads(trial, args):
    """The same of a SQLite store."""
    server = trial.server(name="full")
    server.start()
    server.stop()
    say(f"SQLite: filling {args.rows:,} rows")
    store_reads.fill_sqlite(server.store_path, args.rows, int(time.time() * 1000))
    return read_full_store(trial, server, args.rows, "SQLite")


def read_full_store(trial, server, rows, name):
    server.start()
    measured = store_reads.measure_reads(trial, server, rows, row)
    leave(server)
    return {"title": f"First pages and statistics of {rows:,} detections in {name}", **measured}


# --- A node at rest ---

def idle_node(trial, args):
    ready, rss, threads = [], [], []
    for number in range(max(args.pairs * 2, 10)):
        server = trial.server(name=f"idle-server{number}")
        edge = trial.edge(server.http_port, name=f"idle-edge{number}")
        edge.start(), server.start()
        edge.stop()
        ready.append(edge.start())  # The second start: its files exist, as on every boot.
        wait_for(lambda e=edge: e.get("/api/test").status == 200, 5, "the edge to answer")
        time.sleep(0.5)  # Idle is what is measured.
        rss.append(edge.rss_kib() / MIB)
        threads.append(len(os.listdir(f"/proc/{edge.process.pid}/task")))
        leave(edge, server)
    return {"title": "An edge node at rest (REST listener and REST road)",
            "detail": {"ready_ms": ready, "rss_mib": rss, "threads": threads}, "rows": [
                row("start to ready, median", median(ready), "ms", 100, "less"),
                row("start to ready, worst", max(ready), "ms", None, "less"),
                row("resident memory", median(rss), "MiB", 30, "less"),
                row("threads", median(threads), "", None, "less")]}


# --- Programs of the rooms ---

def program(trial, name, *arguments):
    done = subprocess.run(peers.pinned(trial.build.program(name), *arguments),
                          capture_output=True, text=True, check=False, timeout=600)
    if done.returncode != 0:
        raise Failure(f"{name}: {done.stderr[-2000:]}")
    return done.stdout


def abi_overhead(trial, args):
    """core/plugin/link_benchmark.cc: batches through a real library that confirms each at once."""
    subprocess.run(["cmake", "--build", trial.build.folder, "--target", "link_benchmark"],
                   check=True, stdout=subprocess.DEVNULL)
    runs = [{r["batch"]: r["median_ns"] for r in map(json.loads, program(
        trial, "link_benchmark", "--json").splitlines())} for _ in range(args.pairs)]
    return {"title": "Host's cost of one delivered message over the plugin ABI", "detail": runs,
            "rows": [row(f"batch of {size}", median([r[size] for r in runs]), "ns",
                         50 if size == 32 else None, "less") for size in runs[0]]}


def spool(trial, args):
    """core/spool alone; its own program makes the figures, one fresh file a round."""
    runs = []
    for number in range(args.pairs):
        folder = os.path.join(trial.folder, f"spool{number}")
        os.makedirs(folder)
        runs.append(json.loads(program(trial, "spool_benchmark", folder)))
        subprocess.run(["rm", "-rf", folder], check=True)
        say(f"spool, round {number + 1}: {runs[-1]}")

    def middle(key):
        return median([r[key] for r in runs])

    return {"title": "The spool alone, one core", "detail": runs, "rows": [
        row("accepted in groups of 128", middle("accept_per_s"), "/s", 100000, "more",
            f"fdatasync {middle('fdatasync_per_s'):.0f}/s"),
        row("claimed and confirmed", middle("drain_per_s"), "/s"),
        row("one message alone, accepted to synced", middle("accept_single_us"), "us", None, "less"),
        row(f"open with {middle('backlog'):,.0f} messages", middle("open_ms"), "ms", 200, "less"),
        row("first batch after that open", middle("first_batch_ms"), "ms", None, "less"),
        row("memory for the open backlog", middle("open_rss_kib") / MIB, "MiB", 32, "less")]}


def base(_trial, _args):
    sync = measure.fdatasync_per_second()
    loop = measure.loopback_bytes_per_second()
    return {"title": "Physical base of this machine, in the same run",
            "detail": {"fdatasync_per_second": sync, "loopback_bytes_per_second": loop}, "rows": [
                row("fdatasync after each 4 KiB", sync, "/s"),
                row("loopback, one stream", loop / 1e9, "GB/s")]}
