"""The cameras of a site, one for each way in: plain REST, Socket.IO, MQTT. Each hands detections with
a picture to a node, says each again until the node has answered that it has it, and writes the log
that the judge reads.
"""

import base64
import concurrent.futures
import contextlib
import hashlib
import http.client
import json
import sys
import threading
import uuid

from processes import SLOW

# Where Debian's packages are, also for a Python from elsewhere.
sys.path.append("/usr/lib/python3/dist-packages")
import paho.mqtt.client as paho  # noqa: E402  pylint: disable=wrong-import-position
import socketio  # noqa: E402  pylint: disable=wrong-import-position

ANSWER_S = 2 * SLOW  # Until a camera takes it that there will be none.
PAUSE_S = 0.02
STOP_S = 60 * SLOW
DURABLE = ("stored", "duplicate")


class RestRoad:
    def __init__(self, node):
        self.node = node

    def hand(self, detection):
        """The id under which the node has it; None where it did not say so."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            reply = self.node.post("/api/detection", detection, timeout=ANSWER_S)
            if reply.status == 200:
                return reply.json()["detection_id"]
        return None

    def close(self):
        pass


class SocketIoRoad:
    """One session, made anew when it is lost."""

    def __init__(self, port):
        self.port = port
        self.client = None

    def hand(self, detection):
        try:
            if self.client is None:
                self.client = socketio.Client(reconnection=False)
                self.client.connect(f"http://127.0.0.1:{self.port}", transports=["websocket"],
                                    wait_timeout=ANSWER_S)
            answer = self.client.call("lpr_data", detection, timeout=ANSWER_S)
            if isinstance(answer, dict) and answer.get("success"):
                return answer["detection_id"]
        except (socketio.exceptions.SocketIOError, OSError):
            self.close()
        return None

    def close(self):
        client, self.client = self.client, None
        if client is not None:
            with contextlib.suppress(Exception):  # It may be half made.
                client.disconnect()


class MqttRoad:
    """Believes the node's answer on lpr/ack, not the broker's."""

    def __init__(self, port, camera):
        self.camera = camera
        self.answers = {}
        self.changed = threading.Condition()
        self.client = paho.Client(f"camera-{camera}", clean_session=True)
        ready = threading.Event()
        self.client.on_connect = lambda c, *_: c.subscribe(f"lpr/ack/{camera}", qos=1)
        self.client.on_subscribe = lambda *_: ready.set()
        self.client.on_message = lambda _client, _user, message: self._hear(message.payload)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        if not ready.wait(ANSWER_S):
            raise OSError("the broker took no subscription")

    def _hear(self, payload):
        answer = json.loads(payload)
        if answer.get("status") in DURABLE:
            with self.changed:
                self.answers[answer["message_id"]] = answer["id"]
                self.changed.notify_all()

    def hand(self, detection):
        mine = detection["message_id"]
        self.client.publish(f"lpr/data/edge/{self.camera}", json.dumps(detection), qos=1)
        with self.changed:
            self.changed.wait_for(lambda: mine in self.answers, ANSWER_S)
            return self.answers.pop(mine, None)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


class EveryRoad:
    """The same message by several listeners at the same moment; it has one id at all of them."""

    def __init__(self, roads):
        self.roads = roads
        self.pool = concurrent.futures.ThreadPoolExecutor(len(roads))

    def hand(self, detection):
        ids = set(self.pool.map(lambda road: road.hand(detection), self.roads))
        if None in ids:
            return None
        return ids.pop() if len(ids) == 1 else f"several ids: {ids}"

    def close(self):
        self.pool.shutdown()
        for road in self.roads:
            road.close()


class Camera:
    """`known`: of each detection that the node has, the plate -> (message_id, the node's id)."""

    def __init__(self, trial, name, picture, road):
        self.name, self.road = name, road
        self.path, self.prefix = trial._new_log(name)  # pylint: disable=protected-access
        with open(picture, "rb") as f:
            self.picture = f.read()
        self.number = 0
        self.known = {}
        self.unanswered = 0
        self.going = False
        self.thread = None
        self.log = open(self.path, "w", buffering=1)  # noqa: SIM115

    def make(self):
        """A detection that nobody has seen; it is claimed from here on."""
        self.number += 1
        stamp = f"2024-01-15T10:{self.number // 60000 % 60:02}:{self.number // 1000 % 60:02}." \
                f"{self.number % 1000:03}Z"
        detection = {"type": "detection_result", "camera_id": self.name, "checkpoint_id": "CP1",
                     "timestamp": stamp, "ocr_results": [f"{self.prefix}{self.number:06}"],
                     "message_id": str(uuid.uuid4()),
                     "annotated_image": "sha256:" + hashlib.sha256(self.picture).hexdigest()}
        view = json.dumps(detection, sort_keys=True, separators=(",", ":"))
        self.log.write(f"claimed {detection['ocr_results'][0]} "
                       f"{hashlib.sha256(view.encode()).hexdigest()[:32]}\n")
        return {**detection, "annotated_image": base64.b64encode(self.picture).decode()}

    def hand(self, detection):
        """Once; whether the node has it."""
        plate, answer = detection["ocr_results"][0], self.road.hand(detection)
        if answer is None:
            self.unanswered += 1
            return False
        self.known[plate] = (detection["message_id"], answer)
        self.log.write(f"accepted {plate}\n")
        return True

    def start(self):
        self.going = True
        self.thread = threading.Thread(target=self._go, daemon=True)
        self.thread.start()
        return self

    def _go(self):
        pause = threading.Event()
        while self.going:
            detection = self.make()
            while not self.hand(detection):
                pause.wait(PAUSE_S)
            pause.wait(PAUSE_S)

    def stop(self):
        """When the node has the last one."""
        self.going = False
        self.thread.join(STOP_S)
        return not self.thread.is_alive()

    def close(self):
        self.road.close()
        self.log.close()
