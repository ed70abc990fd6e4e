"""What passes over a TCP connection, for scripts that must not find something in it."""

import socket
import threading

from processes import free_port

CHUNK = 65536


class Tap:
    """Listens on `port` and passes everything on to another one; keeps all of it."""

    def __init__(self, trial, target_port):
        self.target_port = target_port
        self.port = free_port()
        self._lock = threading.Lock()
        self._kept = bytearray()
        self._open = True
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()
        trial.cleanups.append(self.close)

    def octets(self):
        with self._lock:
            return bytes(self._kept)

    def close(self):
        self._open = False
        self._listener.close()

    def _accept(self):
        while self._open:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target_port), 10)
                far.settimeout(None)
            except OSError:
                near.close()
                continue
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source, sink):
        try:
            while True:
                octets = source.recv(CHUNK)
                if not octets:
                    break
                with self._lock:
                    self._kept += octets
                sink.sendall(octets)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        source.close()
