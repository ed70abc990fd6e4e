#!/usr/bin/env python3
"""What the listeners of a node offer to whoever asks, over a port: every version of SSL and TLS, and
every suite that OpenSSL has a name for, one by one, then all 65,536 numbers of suites; renegotiation,
compression, tickets. Hellos are made here, octet by octet, so that what a library of the machine
has left out is asked for as well.
"""

import os
import re
import socket
import struct
import subprocess
import threading

import common_path  # noqa: F401
from certificates import Authority
from harness import Failure, free_port, main

SSL3, TLS10, TLS11, TLS12, TLS13 = 0x0300, 0x0301, 0x0302, 0x0303, 0x0304
VERSIONS = {SSL3: "SSL 3", TLS10: "TLS 1.0", TLS11: "TLS 1.1", TLS12: "TLS 1.2", TLS13: "TLS 1.3"}
GOOD_12 = re.compile(r"ECDHE-(ECDSA|RSA)-(AES(128|256)-GCM-SHA(256|384)|CHACHA20-POLY1305)$")
GOOD_13 = {0x1301, 0x1302, 0x1303}
BLOCK = 2000  # Suites in one hello.
PATIENCE_S = 20


def extension(number, data):
    return struct.pack(">HH", number, len(data)) + data


def hello(version, suites):
    """A ClientHello that offers these suites with that version and no newer one."""
    groups = struct.pack(">H3H", 6, 0x001d, 0x0017, 0x0018)
    signatures = struct.pack(">HHHHHHHH", 14, 0x0403, 0x0804, 0x0805, 0x0401, 0x0503, 0x0501,
                             0x0201)
    name = b"localhost"
    extensions = [extension(0, struct.pack(">HBH", len(name) + 3, 0, len(name)) + name),
                  extension(10, groups), extension(11, b"\x01\x00"), extension(13, signatures)]
    if version == TLS13:
        extensions.append(extension(43, b"\x02\x03\x04"))
        share = struct.pack(">HH", 0x001d, 32) + b"\x09" + bytes(31)  # The base point of X25519.
        extensions.append(extension(51, struct.pack(">H", len(share)) + share))
    tail = b"".join(extensions)
    listed = b"".join(struct.pack(">H", s) for s in suites)
    body = (struct.pack(">H", min(version, TLS12)) + os.urandom(32) + b"\x00" +
            struct.pack(">H", len(listed)) + listed + b"\x01\x00")
    if version > SSL3:
        body += struct.pack(">H", len(tail)) + tail
    message = b"\x01" + struct.pack(">I", len(body))[1:] + body
    return b"\x16" + struct.pack(">HH", SSL3 if version == SSL3 else TLS10, len(message)) + message


def read(s, size):
    data = b""
    while len(data) < size:
        more = s.recv(size - len(data))
        if not more:
            return b""
        data += more
    return data


def ask(port, version, suites):
    """(version, suite) of the server's hello, or None: it refused."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as s:
        s.sendall(hello(version, suites))
        try:
            head = read(s, 5)
            if not head or head[0] != 0x16:
                return None
            body = read(s, struct.unpack(">H", head[3:])[0])
        except ConnectionResetError:
            return None
    if not body or body[0] != 2:
        return None
    session = 38 + 1 + body[38]
    chosen = struct.unpack(">H", body[4:6])[0]
    suite = struct.unpack(">H", body[session:session + 2])[0]
    return (TLS13 if version == TLS13 and suite in range(0x1301, 0x1306) else chosen, suite)


def known_suites():
    """Number to name of what OpenSSL knows."""
    done = subprocess.run(["openssl", "ciphers", "-V", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"],
                          capture_output=True, text=True, check=True)
    suites = {}
    for line in done.stdout.splitlines():
        code, name = re.match(r"\s*0x(\w\w,0x\w\w) - (\S+)", line).groups()
        suites[int(code.replace(",0x", ""), 16)] = name
    return suites


def scan_all(port, version):
    """Every number of a suite that the server takes with that version."""
    taken = set()
    for first in range(0, 0x10000, BLOCK):
        # 0x5600 and 0x00ff are signals, no suites.
        left = [s for s in range(first, min(first + BLOCK, 0x10000)) if s not in (0x5600, 0x00ff)]
        while left:
            answer = ask(port, version, left)
            if answer is None:
                break
            taken.add(answer[1])
            left.remove(answer[1])
    return taken


class Listener:
    def __init__(self, name, port, oldest, key):
        self.name, self.port, self.oldest, self.key = name, port, oldest, key


def is_good(listener, version, number, name):
    if version == TLS13:
        return number in GOOD_13
    if "CHACHA20" in name and listener.name == "control.tcp":
        return False  # gRPC has a list of its own.
    return version == TLS12 == listener.oldest and bool(GOOD_12.match(name)) and \
        f"-{listener.key}-" in name


def scan(t, listener, suites):
    table = {}
    for version, label in VERSIONS.items():
        answered = []
        for number, name in suites.items():
            is_13 = 0x1301 <= number <= 0x1305
            if is_13 != (version == TLS13):
                continue
            answer = ask(listener.port, version, [number])
            if answer is not None:
                answered.append(name)
                if answer != (version, number):
                    raise Failure(f"{listener.name}: {label}, {name}: answered {answer}")
            if (answer is not None) != is_good(listener, version, number, name):
                raise Failure(f"{listener.name}: {label}, {name}: "
                              f"{'answered' if answer else 'refused'}")
        table[label] = answered
        everything = scan_all(listener.port, version)
        unnamed = everything - set(suites)
        if unnamed or len(everything) != len(answered):
            raise Failure(f"{listener.name}: {label}: takes {sorted(map(hex, everything))}, "
                          f"one by one {answered}")
    return table


def s_client(listener, *options):
    return ["openssl", "s_client", "-connect", f"127.0.0.1:{listener.port}", *options]


def client(listener, *options, stdin="", identity=()):
    done = subprocess.run(s_client(listener, *identity, *options), input=stdin, capture_output=True,
                          encoding="utf-8", errors="replace", timeout=PATIENCE_S, check=False)
    return done.stdout + done.stderr


def renegotiation(listener, *options):
    """What s_client says when it is told to, by an R alone in a line; it leaves at the end of its input."""
    process = subprocess.Popen(s_client(listener, *options), stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
                               errors="replace")
    limit = threading.Timer(PATIENCE_S, process.kill)
    limit.start()
    said = ""
    process.stdin.write("R\n")
    process.stdin.flush()
    for line in process.stdout:
        said += line
        if "no renegotiation" in line:
            break
    limit.cancel()
    process.kill()
    process.communicate()
    return said


def small_print(listener, identity):
    """Renegotiation, compression and tickets."""
    request = "GET /api/test HTTP/1.1\nHost: x\nConnection: close\n\n"
    facts = {}
    for option, version in (("-tls1_2", TLS12), ("-tls1_3", TLS13)):
        if version < listener.oldest:
            continue
        said = client(listener, option, "-comp", "-ign_eof", stdin=request, identity=identity)
        if "Compression: NONE" not in said:
            raise Failure(f"{listener.name}: compression: {said[-2000:]}")
        facts[f"tickets {VERSIONS[version]}"] = "TLS session ticket:" in said
        if version == TLS12:
            again = renegotiation(listener, option, *identity)
            if "RENEGOTIATING" not in again or "no renegotiation" not in again:
                raise Failure(f"{listener.name}: renegotiation: {again[-2000:]}")
    return facts


def print_table(t, results):
    for listener, table, facts in results:
        print(f"--- {listener.name}, {listener.key} certificate")
        for label, answered in table.items():
            print(f"  {label:8} {', '.join(answered) if answered else 'refused'}")
        print(f"  {'':8} no compression, no renegotiation, {facts}")
    t.figure(tls={listener.name: {**table, **facts} for listener, table, facts in results})


def run(t):
    authority = Authority(t.folder)
    ec = dict(zip(("certificate", "key"), authority.sign("ec")))
    rsa = dict(zip(("certificate", "key"), authority.sign("rsa", kind="rsa")))
    certificate, key = authority.sign("administrator")
    ports = [free_port() for _ in range(6)]
    server = t.server(control={"tcp": {"listen": f"127.0.0.1:{ports[5]}", **ec,
                                       "client_ca": authority.pem}})

    def add(name, plugin, port, **config):
        server.config["instances"].append({"name": name, "plugin": plugin, "config": {
            "role": "server", "listen": f"127.0.0.1:{port}", **config}})

    add("rest-ec", "rest", ports[0], **ec)
    add("rest-rsa", "rest", ports[1], **rsa)
    add("rest-13", "rest", ports[2], **ec, tls_min_version="1.3")
    add("websocket", "websocket", ports[3], **ec)
    add("websocket-12", "websocket", ports[4], **rsa, tls_min_version="1.2")
    server.write_config()
    server.start()
    listeners = [Listener("rest", ports[0], TLS12, "ECDSA"),
                 Listener("rest-rsa", ports[1], TLS12, "RSA"),
                 Listener("rest-13", ports[2], TLS13, "ECDSA"),
                 Listener("websocket", ports[3], TLS13, "ECDSA"),
                 Listener("websocket-12", ports[4], TLS12, "RSA"),
                 Listener("control.tcp", ports[5], TLS12, "ECDSA")]
    suites = known_suites()
    t.figure(suites_asked=len(suites))
    results = []
    for listener in listeners:
        identity = ("-cert", certificate, "-key", key, "-alpn", "h2") if listener.name == "control.tcp" else ()
        results.append((listener, scan(t, listener, suites), small_print(listener, identity)))
    print_table(t, results)
    for listener, _, facts in results:
        if listener.name != "control.tcp" and any(facts.values()):
            raise Failure(f"{listener.name}: {facts}")
    if server.stop() != 0:
        raise Failure(f"server: not 0\n{server.tail()}")


if __name__ == "__main__":
    main(run)
