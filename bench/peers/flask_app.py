"""The Flask peer: parses the JSON of a detection, answers, stores nothing (class A)."""

import datetime
import itertools

from flask import Flask, jsonify, request

app = Flask(__name__)
_next = itertools.count(1)


@app.post("/api/detection")
def detection():
    body = request.get_json()
    return jsonify(success=True, message="Detection data received", detection_id=next(_next),
                   camera=body["camera_id"],
                   timestamp=datetime.datetime.now(datetime.timezone.utc).isoformat())
