"""The Flask-SocketIO peer: answers a detection, stores nothing (class A).
Usage: flask_socketio_app.py <port>
"""

from gevent import monkey

monkey.patch_all()

import datetime  # noqa: E402
import itertools  # noqa: E402
import sys  # noqa: E402

from flask import Flask  # noqa: E402
from flask_socketio import SocketIO, emit  # noqa: E402

app = Flask(__name__)
socketio = SocketIO(app, async_mode="gevent")
_next = itertools.count(1)


@socketio.on("lpr_data")
def detection(body):
    emit("lpr_response", {
        "success": True, "message": "LPR data received successfully",
        "detection_id": str(next(_next)), "camera_id": body["camera_id"],
        "checkpoint_id": body["checkpoint_id"],
        "timestamp": datetime.datetime.now(datetime.timezone.utc).isoformat()})


if __name__ == "__main__":
    socketio.run(app, host="127.0.0.1", port=int(sys.argv[1]))
