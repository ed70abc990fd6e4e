"""What the documents tell people to type."""

import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def read_document(path):
    with open(os.path.join(ROOT, path)) as f:
        return f.read()


def shell_lines(text):
    """The lines of all blocks marked `sh`."""
    return [line for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
            for line in block.splitlines() if line.strip()]
