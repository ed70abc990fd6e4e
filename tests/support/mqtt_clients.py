"""Three clients that others wrote, behind one face: mosquitto_pub and mosquitto_sub, Debian's
python3-paho-mqtt, npm's mqtt. Each publishes and hears everything on a broker.
"""

import json
import os
import subprocess
import sys
import threading

from broker import mosquitto_program
from processes import ROOT, STOP_LIMIT_S, Failure, die_with_parent, wait_for

# Debian's packages, also where another Python comes first.
sys.path.append("/usr/lib/python3/dist-packages")
import paho.mqtt.client as paho  # noqa: E402  pylint: disable=wrong-import-position

PATIENCE_S = 20


class Heard:
    def __init__(self, topic, payload, retain):
        self.topic, self.payload, self.retain = topic, payload, retain

    def json(self):
        """The answer, or the only one of an array of answers."""
        value = json.loads(self.payload)
        return value[0] if isinstance(value, list) else value


class Client:
    """What arrived is in `heard`, in order. Messages of other clients are among it."""

    def __init__(self):
        self.heard = []
        self._lock = threading.Lock()

    def _hear(self, topic, payload, retain):
        with self._lock:
            self.heard.append(Heard(topic, payload, retain))

    def on(self, topic):
        with self._lock:
            return [heard for heard in self.heard if heard.topic == topic]

    def await_on(self, topic, count=1, check=None):
        def enough():
            found = [h for h in self.on(topic) if check is None or check(h.json())]
            return found if len(found) >= count else None
        return wait_for(enough, PATIENCE_S, f"{count} on {topic}, heard "
                        f"{[(h.topic, h.payload[:200]) for h in self.on(topic)]}")


class MosquittoTools(Client):
    def __init__(self, port, version="mqttv5", arguments=()):
        super().__init__()
        self.base = ["-h", "127.0.0.1", "-p", str(port), "-V", version, *arguments]
        # What it says of its subscription would wait in a buffer for the first message.
        self.sub = subprocess.Popen(
            ["stdbuf", "-oL", mosquitto_program("mosquitto_sub"), *self.base, "-q", "1", "-t", "#",
             "-d", "-F", "%j"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            preexec_fn=die_with_parent)
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        if not self.ready.wait(PATIENCE_S):
            raise Failure("mosquitto_sub did not subscribe")

    def _read(self):
        for line in self.sub.stdout:
            if "Subscribed (" in line:
                self.ready.set()
            if line.startswith("{"):
                said = json.loads(line)
                self._hear(said["topic"], said.get("payload", ""), bool(said["retain"]))

    def publish(self, topic, payload, qos=1, retain=False):
        subprocess.run([mosquitto_program("mosquitto_pub"), *self.base, "-t", topic, "-q",
                        str(qos), "-s", *(["-r"] if retain else [])],
                       input=payload.encode("latin1"), check=True, timeout=PATIENCE_S)

    def close(self):
        self.sub.kill()
        self.sub.wait(STOP_LIMIT_S)
        self.thread.join(STOP_LIMIT_S)


class Paho(Client):
    def __init__(self, port, version=paho.MQTTv5, client_id="paho", prepare=None):
        super().__init__()
        self.client = paho.Client(client_id, protocol=version)
        if prepare:
            prepare(self.client)
        ready = threading.Event()
        self.client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self.client.on_subscribe = lambda *_: ready.set()
        self.client.on_message = lambda _client, _user, message: self._hear(
            message.topic, message.payload.decode("latin1"), message.retain)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        if not ready.wait(PATIENCE_S):
            raise Failure("paho did not subscribe")

    def publish(self, topic, payload, qos=1, retain=False):
        info = self.client.publish(topic, payload.encode("latin1"), qos, retain)
        info.wait_for_publish(PATIENCE_S)
        if not info.is_published():
            raise Failure(f"paho: {topic} was not acknowledged")

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


class MqttJs(Client):
    def __init__(self, port, version=5):
        super().__init__()
        environment = {**os.environ, "NODE_PATH": os.path.join(ROOT, "build/npm/node_modules")}
        script = os.path.join(ROOT, "tests/support/mqtt_session.js")
        self.process = subprocess.Popen(
            ["node", script, str(port), str(version), "#"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, bufsize=1, env=environment,
            preexec_fn=die_with_parent)
        self.numbers = set()
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        if not self.ready.wait(PATIENCE_S):
            raise Failure("npm's mqtt did not subscribe")

    def _read(self):
        for line in self.process.stdout:
            said = json.loads(line)
            if "ready" in said:
                self.ready.set()
            if "topic" in said:
                self._hear(said["topic"], said["payload"], said["retain"])
            if "published" in said and not said.get("error"):
                self.numbers.add(said["published"])

    def publish(self, topic, payload, qos=1, retain=False):
        number = len(self.numbers) + 1
        self.process.stdin.write(json.dumps({"topic": topic, "payload": payload, "qos": qos,
                                             "retain": retain, "number": number}) + "\n")
        wait_for(lambda: number in self.numbers, PATIENCE_S, f"npm's mqtt to publish {topic}")

    def close(self):
        self.process.stdin.close()
        self.process.wait(STOP_LIMIT_S)
        self.thread.join(STOP_LIMIT_S)
