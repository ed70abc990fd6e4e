#!/usr/bin/env python3
"""Does what docs/TUTORIAL.md says, letter by letter, but for folders and the port: writes its files,
types its commands, builds the plugin with the SDK alone, has it checked, and runs it in a node.

    tools/tutorial_test.py BUILD
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/support"))
from processes import free_port  # noqa: E402

LIMIT_S = 240
PART = re.compile(r"(?:^`([\w.]+)`:\n\n)?^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def script(text):
    """The tutorial as one shell script: a block under a file's name is that file, others are typed."""
    lines = ["set -eu"]
    for name, language, block in PART.findall(text):
        if name:
            lines += [f"cat > {name} <<'END_OF_FILE'", block + "END_OF_FILE"]
        else:
            assert language == "sh", f"a block of {language} without a name"
            lines.append(block)
    return "\n".join(lines)


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    text = (ROOT / "docs/TUTORIAL.md").read_text()
    with tempfile.TemporaryDirectory(prefix="viaduct-tutorial-") as folder:
        changes = {"build/release": str(build), "/opt/viaduct": f"{folder}/sdk",
                   "/tmp/json_lines": f"{folder}/json_lines", "/usr/lib/viaduct/plugins": f"{build}/plugins",
                   "127.0.0.1:8001": f"127.0.0.1:{free_port()}"}
        for old, new in changes.items():
            assert old in text, f"docs/TUTORIAL.md has no {old!r} any more"
            text = text.replace(old, new)
        env = dict(os.environ, PATH=f"{build}/bin:{os.environ['PATH']}")
        done = subprocess.run(["bash", "-c", script(text)], cwd=folder, env=env, capture_output=True,
                              text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for wanted in ("1กข2345", "archive", "lines_written_total"):
        assert wanted in done.stdout, f"no {wanted!r} in\n{done.stdout}"
    print("docs/TUTORIAL.md: works as written")


if __name__ == "__main__":
    main()
