# shellcheck shell=bash

verb_scenes() {
  need scenes
  exec "$DEBIAN_PYTHON" plugins/hailo_lpr/training/scenes.py "$@"
}
