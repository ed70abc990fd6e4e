#!/usr/bin/env python3
"""The echo program of tests/support, which is the websocket listener's own server code, under
engine.io-client, python3-websocket and hand-made octets: what the protocols say of framing,
fragments, UTF-8, control frames, close codes, limits, heartbeats, upgrades and bad peers.
"""

import contextlib
import http.client
import json
import os
import socket
import ssl
import struct
import subprocess
import time

import common_path  # noqa: F401
from harness import Failure, die_with_parent, main, wait_for
from websocket_peer import BINARY, CLOSE, KEY, MORE, PING, PONG, TEXT, Peer
from websocket_peers import expect, node_script
from websocket_road import make_certificate

PATIENCE_S = 20


@contextlib.contextmanager
def echo(t, mode, *options):
    process = subprocess.Popen(
        [t.build.program("echo"), "--mode", mode, "--port", "0", *map(str, options)],
        stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
    try:
        yield int(process.stdout.readline().split()[-1])
        expect(process.poll() is None, f"echo died: {process.returncode}")
    finally:
        process.terminate()
        expect(process.wait(PATIENCE_S) == 0, f"echo ended with {process.returncode}")


def raw_framing(port):
    peer = Peer(port)
    expect(peer.status == 101, peer.head)
    expect("Sec-WebSocket-Accept: " in peer.head, peer.head)
    for size in (0, 1, 125, 126, 127, 65535, 65536, 200000):
        peer.frame(TEXT, "a" * size)
        expect(peer.receive() == (TEXT, b"a" * size), f"text of {size}")
        peer.frame(BINARY, b"\xff" * size)
        expect(peer.receive() == (BINARY, b"\xff" * size), f"binary of {size}")
    # Fragments, with a ping between them; UTF-8 cut in the middle of a character.
    euro = "ü€😀".encode()
    peer.frame(TEXT, euro[:3], fin=False)
    peer.frame(PING, "between")
    expect(peer.receive() == (PONG, b"between"), "no pong between fragments")
    peer.frame(MORE, euro[3:6], fin=False)
    peer.frame(MORE, b"", fin=False)
    peer.frame(MORE, euro[6:])
    expect(peer.receive() == (TEXT, euro), "fragments")
    peer.frame(PONG, "nobody asked")
    peer.frame(PING, b"x" * 125)
    expect(peer.receive() == (PONG, b"x" * 125), "long ping")
    # One octet at a time.
    for octet in b"\x81\x82\x00\x00\x00\x00ok":
        peer.socket.sendall(bytes([octet]))
    peer.text("ok")
    peer.frame(CLOSE, struct.pack(">H", 1000) + b"bye")
    peer.closed_with(1000)


def raw_violations(port):
    cases = [
        (1002, lambda p: p.frame(TEXT, "x", mask=False)),
        (1002, lambda p: p.frame(TEXT, "x", rsv=0x40)),
        (1002, lambda p: p.frame(TEXT, "x", rsv=0x20)),
        (1002, lambda p: p.frame(TEXT, "x", rsv=0x10)),
        (1002, lambda p: p.frame(3, "x")),
        (1002, lambda p: p.frame(11, "x")),
        (1002, lambda p: p.frame(PING, "x", fin=False)),
        (1002, lambda p: p.frame(PING, b"x" * 126)),
        (1002, lambda p: p.frame(MORE, "x")),
        (1002, lambda p: (p.frame(TEXT, "x", fin=False), p.frame(TEXT, "y"))),
        (1002, lambda p: p.frame(CLOSE, b"\x03")),
        (1002, lambda p: p.frame(CLOSE, struct.pack(">H", 1005))),
        (1002, lambda p: p.frame(CLOSE, struct.pack(">H", 999))),
        (1002, lambda p: p.socket.sendall(b"\x81\xfe\x00\x05\x00\x00\x00\x00hello")),
        (1007, lambda p: p.frame(CLOSE, struct.pack(">H", 1000) + b"\xff")),
        (1007, lambda p: p.frame(TEXT, b"\xed\xa0\x80")),
        (1007, lambda p: p.frame(TEXT, b"\xc3")),
        # At once, not only at the end of the message.
        (1007, lambda p: p.frame(TEXT, b"\xf4\x90\x80\x80", fin=False)),
        (1009, lambda p: p.frame(BINARY, b"", length=300001)),
        (1009, lambda p: (p.frame(BINARY, b"x" * 200000, fin=False),
                          p.frame(MORE, b"x" * 200000))),
    ]
    for number, (code, violate) in enumerate(cases):
        peer = Peer(port)
        violate(peer)
        try:
            peer.closed_with(code)
        except Failure as e:
            raise Failure(f"violation {number}: {e}") from None
    for code in (1000, 1001, 1003, 1007, 1011, 3000, 4999):
        peer = Peer(port)
        peer.frame(CLOSE, struct.pack(">H", code))
        peer.closed_with(code)
    peer = Peer(port)
    peer.frame(CLOSE)
    peer.closed_with(1005)


def bad_handshakes(port):
    def ask(request):
        with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as s:
            s.sendall(request)
            s.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := s.recv(65536):
                answer += piece
        return int(answer.split()[1]) if answer else 0

    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n"
    version = "Sec-WebSocket-Version: 13\r\n"
    key = f"Sec-WebSocket-Key: {KEY}\r\n"
    for expected, head in [
            (400, f"GET / HTTP/1.1\r\nHost: x\r\n{upgrade}{version}\r\n"),
            (400, f"GET / HTTP/1.1\r\nHost: x\r\n{upgrade}{version}Sec-WebSocket-Key: short\r\n\r\n"),
            (426, f"GET / HTTP/1.1\r\nHost: x\r\n{upgrade}{key}Sec-WebSocket-Version: 8\r\n\r\n"),
            (400, f"POST / HTTP/1.1\r\nHost: x\r\n{upgrade}{version}{key}Content-Length: 0\r\n\r\n"),
            (400, f"GET / HTTP/1.1\r\n{upgrade}{version}{key}\r\n"),
            (404, f"GET /elsewhere HTTP/1.1\r\nHost: x\r\n{upgrade}{version}{key}\r\n"),
            (400, "GET / HTTP/1.1\r\nHost x\r\n\r\n"),
            (431, "GET / HTTP/1.1\r\n" + "X: " + "y" * 40000 + "\r\n\r\n")]:
        got = ask(head.encode())
        expect(got == expected, f"{head[:120]!r}: {got}, expected {expected}")
    for garbage in (b"\x16\x03\x01\x02\x00" + b"\x00" * 512, b"\x00" * 4096, b"\r\n\r\n\r\n"):
        ask(garbage)


class Polling:
    def __init__(self, port, path="/engine.io/"):
        self.port, self.path = port, path

    def ask(self, method="GET", body=None, source=None, **query):
        query = {"EIO": 4, "transport": "polling", **query}
        target = self.path + "?" + "&".join(f"{k}={v}" for k, v in query.items() if v is not None)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S,
                                                source_address=source)
        try:
            connection.request(method, target, body)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def open(self):
        status, body = self.ask()
        expect(status == 200 and body[0] == "0", f"open: {status} {body}")
        self.opening = json.loads(body[1:])
        return self.opening["sid"]


def engine_polling(port, limit):
    polling = Polling(port)
    sid = polling.open()
    expect(polling.opening == {"sid": sid, "upgrades": ["websocket"], "pingInterval": 300,
                               "pingTimeout": 200, "maxPayload": limit}, polling.opening)
    expect(polling.ask("POST", "4hello\x1ebAQIDBA==\x1e4more", sid=sid) == (200, "ok"), "POST")
    expect(polling.ask(sid=sid) == (200, "4hello\x1ebAQIDBA==\x1e4more"), "echo")
    for _ in range(3):
        expect(polling.ask(sid=sid) == (200, "2"), "ping")
        expect(polling.ask("POST", "3", sid=sid) == (200, "ok"), "pong")
    for status, query in [(400, {"EIO": None}), (400, {"EIO": 3}), (400, {"EIO": "abc"}),
                          (400, {"transport": "abc"}), (400, {"transport": None}),
                          (400, {"sid": "nobody"})]:
        got, body = polling.ask(**query)
        expect(got == status and "message" in json.loads(body), f"{query}: {got} {body}")
    expect(polling.ask("POST", "4x")[0] == 400 and polling.ask("PUT", "4x")[0] == 400, "method")
    for bad in ("abc", "4a\x1e", "b$$$", "9"):
        sid = polling.open()
        expect(polling.ask("POST", bad, sid=sid)[0] == 400, f"payload {bad!r}")
        expect(polling.ask(sid=sid)[0] == 400, f"{bad!r} did not end the session")
    sid = polling.open()
    expect(polling.ask("POST", "4" + "x" * limit, sid=sid)[0] == 413, "too large")


def in_parallel(polling, sid, second):
    """A poll that waits while `second` is asked; both answers."""
    with socket.create_connection(("127.0.0.1", polling.port), PATIENCE_S) as waiting:
        waiting.sendall(f"GET {polling.path}?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\n"
                        "Host: x\r\nConnection: close\r\n\r\n".encode())
        time.sleep(0.02)  # The other must come second; there is nothing to see of the first.
        other = second()
        answer = b""
        while piece := waiting.recv(65536):
            answer += piece
        return answer.split(b"\r\n\r\n", 1)[1].decode(), other


def engine_sessions(port):
    polling = Polling(port)
    sid = polling.open()
    first, second = in_parallel(polling, sid, lambda: polling.ask(sid=sid))
    expect(first == "1" and second[0] == 400, f"two polls: {first!r} {second}")
    expect(polling.ask(sid=sid)[0] == 400, "two polls did not end the session")
    sid = polling.open()
    first, second = in_parallel(polling, sid, lambda: polling.ask("POST", "1", sid=sid))
    expect(first == "6" and second[0] == 200, f"close: {first!r} {second}")
    expect(polling.ask(sid=sid)[0] == 400, "closed, but still there")
    # Silence ends it.
    sid = polling.open()
    wait_for(lambda: polling.ask("POST", "4x", sid=sid)[0] == 400, PATIENCE_S, "ping time-out", 0.1)
    # A sid that was overheard is of no use elsewhere.
    sid = polling.open()
    expect(polling.ask(sid=sid, source=("127.0.0.2", 0))[0] == 400, "stolen: polled")
    expect(polling.ask("POST", "4x", source=("127.0.0.2", 0), sid=sid)[0] == 400, "stolen: posted")
    stolen = Peer(port, f"/engine.io/?EIO=4&transport=websocket&sid={sid}",
                  source=("127.0.0.2", 0))
    expect(stolen.status == 400, f"stolen: upgraded, {stolen.status}")
    expect(polling.ask("POST", "4mine", sid=sid)[0] == 200, "the owner was thrown out")


def engine_upgrade(port):
    polling = Polling(port)
    sid = polling.open()
    target = f"/engine.io/?EIO=4&transport=websocket&sid={sid}"
    peer = Peer(port, target)
    peer.frame(TEXT, "2probe")
    peer.text("3probe")
    # A second one that wants the same session, and a half-open one that never comes to an end.
    expect(Peer(port, target).status == 400, "two probes")
    polling.ask("POST", "4late", sid=sid)
    peer.frame(TEXT, "5")
    peer.text("4late")
    peer.frame(TEXT, "4hello")
    peer.text("4hello")
    peer.frame(BINARY, b"\x01\x02")
    expect(peer.receive() == (BINARY, b"\x01\x02"), "binary after the upgrade")
    expect(polling.ask(sid=sid)[0] == 400, "polling after the upgrade")
    expect(Peer(port, target).status == 400, "upgraded twice")
    peer.frame(TEXT, "abc")
    peer.closed_with(1002)
    sid = polling.open()
    peer = Peer(port, f"/engine.io/?EIO=4&transport=websocket&sid={sid}")
    peer.frame(TEXT, "4before the probe")
    expect(peer.receive()[0] == CLOSE, "a message before the probe")
    expect(polling.ask("POST", "4still", sid=sid)[0] == 200, "a bad probe took the session along")
    peer = Peer(port, "/engine.io/?EIO=4&transport=websocket")
    expect(json.loads(peer.receive()[1][1:])["upgrades"] == [], "an upgrade of a WebSocket")
    began = time.monotonic()
    peer.text("2")
    expect(peer.receive()[0] == CLOSE, "no end without a pong")
    expect(time.monotonic() - began > 0.4, "the end came too early")


def socketio_packets(port):
    def connect(namespace="40"):
        peer = Peer(port, "/socket.io/?EIO=4&transport=websocket")
        expect(peer.receive()[1][:1] == b"0", "no opening")
        if namespace:
            peer.frame(TEXT, namespace)
            expect(peer.receive()[1].startswith(namespace[:2].encode()), "not connected")
        return peer

    peer = connect()
    peer.text('42["auth",{}]')
    peer.frame(TEXT, '42["message",1,"2",{"3":[true]}]')
    peer.text('42["message-back",1,"2",{"3":[true]}]')
    peer.frame(TEXT, '42456["message-with-ack",1,"2",{"3":[false]}]')
    peer.text('43456[1,"2",{"3":[false]}]')
    placeholders = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}'
    for sent, back in (('452-["message",', '452-["message-back",'),
                       ('452-789["message-with-ack",', "462-789[")):
        peer.frame(TEXT, sent + placeholders + "]")
        peer.frame(BINARY, b"\x01\x02\x03")
        peer.frame(BINARY, b"\x04")
        peer.text(back + placeholders + "]")
        expect([peer.receive(), peer.receive()] ==
               [(BINARY, b"\x01\x02\x03"), (BINARY, b"\x04")], "attachments")
    peer.frame(TEXT, '40/custom,{"token":"123"}')
    expect(peer.receive()[1].startswith(b'40/custom,{"sid":"'), "custom")
    peer.text('42/custom,["auth",{"token":"123"}]')
    peer.frame(TEXT, "40/random")
    peer.text('44/random,{"message":"Invalid namespace"}')
    peer.frame(TEXT, "41/custom")
    peer.frame(TEXT, '42["message","to main"]')
    peer.text('42["message-back","to main"]')
    # Acknowledgements of what was never asked are nothing.
    peer.frame(TEXT, '4312345["x"]')
    peer.frame(TEXT, '42["message","still"]')
    peer.text('42["message-back","still"]')
    for bad in ("4abc", "42{}", "42[]", "42[1]", '42abc["message"]', "4", "47", "45", '451["x"]',
                '4599-["x",{"_placeholder":true,"num":0}]', '42/unknown,["message"]',
                '42["message"', "43[]", "44{}", "4" + "9" * 30, '42["message"]x',
                '42["message"' + ",0" * 300 + "]", '42["message",' + "[" * 300 + "]" * 300 + "]",
                '40/custom,{"token":"' + "x" * 40000 + '"}', "40"):
        peer = connect()
        peer.receive()
        peer.frame(TEXT, bad)
        got = peer.receive()
        accepted = bad == "40"
        expect(got and (got[0] == TEXT if accepted else got[0] == CLOSE), f"{bad}: {got}")
    peer = connect()
    peer.receive()
    peer.frame(BINARY, b"an attachment of nothing")
    expect(peer.receive()[0] == CLOSE, "a stray attachment")
    peer = connect()
    peer.receive()
    peer.frame(TEXT, '451-["message",{"_placeholder":true,"num":0}]')
    peer.frame(TEXT, '42["message"]')
    expect(peer.receive()[0] == CLOSE, "a text in place of an attachment")
    peer = connect()
    peer.receive()
    peer.frame(TEXT, "41")
    expect(peer.receive()[0] == CLOSE, "left the last namespace")
    peer = connect(namespace=None)
    while got := peer.receive():
        if got[0] == CLOSE:
            break
        peer.frame(TEXT, "3")
    expect(got and got[0] == CLOSE, "no end without a namespace")


def binary_of_one_event(port):
    """One event may be pending: its own frames do not count as others."""
    peer = Peer(port, "/socket.io/?EIO=4&transport=websocket")
    peer.receive()
    peer.frame(TEXT, "40")
    expect(peer.receive()[1].startswith(b"40"), "not connected")
    peer.receive()
    for _ in range(2):
        peer.frame(TEXT, '452-["message",{"_placeholder":true,"num":0},'
                         '{"_placeholder":true,"num":1}]')
        peer.frame(BINARY, b"a" * 300000)
        peer.frame(BINARY, b"b" * 300000)
        got = [peer.receive() for _ in range(3)]
        expect([size and len(size[1]) for size in got[1:]] == [300000, 300000],
               f"a binary event of several frames: {str(got)[:200]}")


def pong_behind_data(port):
    """A message that takes longer than a ping's time does not end its session."""
    peer = Peer(port, "/engine.io/?EIO=4&transport=websocket")
    peer.receive()
    message = b"4" + b"x" * 99
    peer.socket.sendall(bytes([0x81, 0x80 | len(message)]) + b"\x00\x00\x00\x00")
    for i in range(0, len(message), 5):
        peer.socket.sendall(message[i:i + 5])
        time.sleep(0.1)
    got = peer.receive()
    expect(got == (TEXT, b"2"), f"no ping: {got}")
    got = peer.receive()
    expect(got == (TEXT, message), f"the message on a slow line: {got}")
    expect(peer.receive()[0] == CLOSE, "no end without a pong")


def frames_of_many_records(t):
    """Over TLS, a session that is paused and goes on for every frame takes each of them once."""
    certificate, key = make_certificate(t)
    tls = ssl.create_default_context(cafile=certificate)
    with echo(t, "raw", "--max-pending-events", 1, "--certificate", certificate,
              "--key", key) as port:
        peer = Peer(port, tls=tls)
        count = 4000
        texts = [f"{i:05}{'x' * 20}" for i in range(count)]
        frames = b"".join(bytes([0x81, 0x80 | len(text)]) + bytes(4) + text.encode()
                          for text in texts)
        for at in range(0, len(frames), 500):  # A record each; the server finds several at once.
            peer.socket.sendall(frames[at:at + 500])
        for text in texts:
            peer.text(text)


def slow_reader(port):
    """Reads nothing of what it is sent: it is disconnected, and others are not disturbed."""
    slow = Peer(port, "/engine.io/?EIO=4&transport=websocket")
    quick = Peer(port, "/engine.io/?EIO=4&transport=websocket")
    slow.receive()
    quick.receive()
    slow.socket.settimeout(PATIENCE_S)
    message = "4" + "x" * 900000
    try:
        for _ in range(100):
            slow.frame(TEXT, message)
    except OSError:
        pass
    else:
        raise Failure("a peer that reads nothing was never disconnected")
    quick.frame(TEXT, "4quick")
    got = quick.receive()
    expect(got in ((TEXT, b"4quick"), (TEXT, b"2")), f"the other peer was disturbed: {got}")


def largest_gives_way(t):
    """One budget for all: of what is not complete and what is not read, the largest part goes."""
    limit = 4 << 20
    with echo(t, "socketio", "--max-buffered", limit, "--max-payload", limit) as port:
        def connect():
            peer = Peer(port, "/socket.io/?EIO=4&transport=websocket")
            peer.receive()
            peer.frame(TEXT, "40")
            expect(peer.receive()[1].startswith(b"40"), "not connected")
            peer.receive()
            return peer

        head = '453-["message"' + "".join(',{"_placeholder":true,"num":%d}' % i
                                          for i in range(3)) + "]"
        large, small = connect(), connect()
        for peer, size in ((large, 3 << 20), (small, 900000)):
            peer.frame(TEXT, head)
            peer.frame(BINARY, bytes(size))
        # It comes to too much by what the small one sends; the large one has to go.
        small.frame(BINARY, bytes(900000))
        large.closed_with(1013)
        small.frame(BINARY, b"x")
        expect([len(small.receive()[1]) for _ in range(4)][1:] == [900000, 900000, 1],
               "who held less was disturbed")
        deaf = connect()
        deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sent = 0
        try:
            while sent < 64 << 20:
                deaf.frame(TEXT, '42["message","' + "x" * 500000 + '"]')
                sent += 500000
        except OSError:
            pass
        expect(sent < 14 << 20, f"a peer that reads nothing was sent more than all may: {sent}")
        small.frame(TEXT, '42["message"]')
        small.text('42["message-back"]')


def late_pong(port):
    """A pong that answers another ping does not answer this one."""
    peer = Peer(port)
    first = peer.receive()
    expect(first[0] == PING and first[1], f"no ping: {first}")
    peer.frame(PONG, first[1])
    second = peer.receive()
    expect(second[0] == PING and second[1] != first[1], f"two pings alike: {second}")
    peer.frame(PONG, first[1])
    got = peer.receive()
    expect(got and got[0] == CLOSE, f"a late pong was taken for the next: {got}")


def load_generator(t, port):
    """The generator's sessions, idle ones beside them, all get their answers."""
    load = t.socketio_load(port, "--event", "message", "--answer", "message-back", sessions=3,
                           window=50, idle=40, messages=2000)
    expect(load.process.stderr.readline() == "idle\n", "the idle sessions are not open")
    result = load.result()
    expect(result["accepted"] == result["made"] == 2000, result)
    expect(result["connects"] == 43 and result["idle_connect_seconds"] > 0, result)
    other = t.socketio_load(port, "--event", "message", "--answer", "nothing", messages=10).result()
    expect((other["accepted"], other["refused"]) == (0, 10), other)


def pipelining(t):
    """Peers that ask and do not read, and ones whose request never ends, are let go."""
    with echo(t, "engine", "--stall-timeout", 1500, "--request-timeout", 1500) as port:
        request = b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"
        with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as many:
            many.sendall(request * 200)
            answers = b""
            while answers.count(b"HTTP/1.1 404") < 200:
                piece = many.recv(65536)
                expect(piece, "pipelined requests are not all answered")
                answers += piece
        with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as deaf:
            sent = 0
            try:
                while sent < 256 << 20:
                    sent += deaf.send(request * 2000)
            except OSError:
                pass
            expect(sent < 64 << 20, f"a peer that reads nothing was listened to: {sent}")
        with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as slow:
            slow.settimeout(0.2)
            began = time.monotonic()
            slow.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n"
                         + b"x" * 10000)
            answer = b""
            while not answer and time.monotonic() - began < PATIENCE_S:
                with contextlib.suppress(socket.timeout):
                    answer = slow.recv(65536)
                if not answer:
                    slow.sendall(b"x")
            expect(b" 408 " in answer, f"an octet now and then holds a request: {answer[:80]}")


def run(t):
    with echo(t, "raw", "--max-payload", 300000) as port:
        raw_framing(port)
        raw_violations(port)
        bad_handshakes(port)
    short = ("--ping-interval", 300, "--ping-timeout", 200)
    with echo(t, "engine", *short, "--max-payload", 1000000) as port:
        engine_polling(port, 1000000)
        engine_sessions(port)
        engine_upgrade(port)
        pong_behind_data(port)
        for transports in ("websocket", "polling", "polling,websocket"):
            node_script("engineio_session.js", f"http://127.0.0.1:{port}", transports)
    with echo(t, "engine", "--max-payload", 1000000) as port:
        slow_reader(port)
    with echo(t, "socketio", "--max-pending-events", 1, "--max-payload", 1000000) as port:
        binary_of_one_event(port)
    with echo(t, "raw", *short) as port:
        late_pong(port)
    largest_gives_way(t)
    with echo(t, "socketio") as port:
        load_generator(t, port)
    pipelining(t)
    frames_of_many_records(t)
    with echo(t, "socketio", "--connect-timeout", 1000, *short, "--max-payload", 1000000) as port:
        socketio_packets(port)


if __name__ == "__main__":
    main(run)
