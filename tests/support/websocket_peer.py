"""A WebSocket client that may send anything. Python's standard library only."""

import base64
import socket
import struct

from processes import Failure

PATIENCE_S = 20
KEY = base64.b64encode(b"0123456789abcdef").decode()
TEXT, BINARY, CLOSE, PING, PONG, MORE = 1, 2, 8, 9, 10, 0


def expect(condition, what):
    if not condition:
        raise Failure(what)


class Peer:
    """A client that may send anything."""

    def __init__(self, port, target="/", headers="", source=None, tls=None):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S,
                                               source_address=source)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self.socket.sendall((f"GET {target} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                             f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                             f"Sec-WebSocket-Key: {KEY}\r\n{headers}\r\n").encode())
        self.rest = b""
        while b"\r\n\r\n" not in self.rest:
            piece = self.socket.recv(65536)
            expect(piece, f"{target}: closed instead of an answer")
            self.rest += piece
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        self.head = head.decode()
        self.status = int(head.split()[1])

    def frame(self, opcode, payload=b"", fin=True, mask=True, rsv=0, length=None):
        if isinstance(payload, str):
            payload = payload.encode()
        size = len(payload) if length is None else length
        head = bytes([(0x80 if fin else 0) | rsv | opcode])
        flag = 0x80 if mask else 0
        if size < 126:
            head += bytes([flag | size])
        elif size < 65536:
            head += bytes([flag | 126]) + struct.pack(">H", size)
        else:
            head += bytes([flag | 127]) + struct.pack(">Q", size)
        key = b"\x01\x02\x03\x04" if mask else b""
        body = bytes(c ^ key[i % 4] for i, c in enumerate(payload)) if mask else payload
        self.socket.sendall(head + key + body)

    def need(self, size):
        while len(self.rest) < size:
            piece = self.socket.recv(65536)
            if not piece:
                return False
            self.rest += piece
        return True

    def receive(self):
        """(opcode, payload); None at the end of the connection."""
        try:
            if not self.need(2):
                return None
            opcode, size, at = self.rest[0] & 15, self.rest[1] & 127, 2
            if size == 126:
                self.need(4)
                size, at = struct.unpack(">H", self.rest[2:4])[0], 4
            elif size == 127:
                self.need(10)
                size, at = struct.unpack(">Q", self.rest[2:10])[0], 10
            self.need(at + size)
        except ConnectionResetError:
            return None
        payload, self.rest = self.rest[at:at + size], self.rest[at + size:]
        return opcode, payload

    def text(self, expected):
        got = self.receive()
        expect(got == (TEXT, expected.encode()), f"expected {expected}, got {got}")

    def closed_with(self, code):
        got = self.receive()
        expect(got and got[0] == CLOSE, f"no close but {got}")
        found = struct.unpack(">H", got[1][:2])[0] if got[1] else 1005
        expect(found == code, f"closed with {found} {got[1][2:]}, not {code}")
        expect(self.receive() is None, "not closed after close")
        self.socket.close()
