#!/usr/bin/env python3
"""What the documents show of configurations is taken by `viaduct-host --check` without an error, each
with as little around it as makes it a whole one; and the mistakes that docs/CONFIG.md shows are told in
those words.
"""

import os
import re
import subprocess

import common_path  # noqa: F401
from documents import claimed_blocks, read_blocks, read_claims
from harness import Failure, main, say

CONFIG = "docs/CONFIG.md"
LIMIT_S = 60
# Names of files in the examples; in a trial they are in its folder.
FILES = re.compile(r"/etc/viaduct/")
SECRET = "a-secret\n"
# Plugins of whoever reads: of another's camera, and those that the documents teach to write.
NOT_INSTALLED = {"my_camera", "my_reader", "line_json", "json_lines"}
# Sections that an example speaks of and does not repeat.
AROUND = {"docs/SECURITY.md": '  - {name: mqtt, plugin: mqtt, config: {role: client, '
                              'broker_url: "mqtts://broker.site.example:8883"}}\n'}
MISTAKEN = """\
node:
  id: CAM001
instances:
  - name: http
    plugin: rest
    config:
      role: server
      listen: 127.0.0.1:8000
      # The first mistake:
      time_out: 3s
  - name: uplink
    plugin: rest
    config:
      role: client
      base_url: http://lpr-server:8000
spool:
  max_bytes: "4 Gigs"
"""


def expect(condition, what):
    if not condition:
        raise Failure(what)


class Files:
    """The folder of what the examples name below /etc/viaduct."""

    def __init__(self, t):
        self.t = t
        self.folder = os.path.join(t.folder, "etc")
        os.mkdir(self.folder)

    def whole(self, block):
        """The example as a configuration of its own."""
        text = FILES.sub(self.folder + "/", block.text)
        for path in re.findall(re.escape(self.folder) + r"/[\w.-]+", text):
            with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
                f.write(SECRET)
        if not re.search(r"^node:", text, re.MULTILINE):
            text = "node: {id: NODE1, data_dir: /var/lib/viaduct}\n" + text
        if block.path in AROUND and not re.search(r"^instances:", text, re.MULTILINE):
            text += "instances:\n" + AROUND[block.path]
        text = re.sub(r"^plugins:.*\n", "", text, flags=re.MULTILINE)
        return text + f"plugins: {{path: [{self.t.build.plugins}]}}\n"

    def check(self, text):
        """(exit code, what is told of it)"""
        with open(os.path.join(self.t.folder, "node.yaml"), "w") as f:
            f.write(text)
        done = subprocess.run([self.t.build.program("viaduct-host"), "--check", "--config", "node.yaml"],
                              cwd=self.t.folder, env=dict(os.environ, STORE_PASSWORD="a-password"),
                              capture_output=True, text=True, timeout=LIMIT_S, check=False)
        return done.returncode, done.stdout + done.stderr


def is_taken(files, block):
    code, said = files.check(files.whole(block))
    told = [line for line in said.splitlines() if re.match(r"node\.yaml:\d", line)]
    unexpected = [line for line in told if not any(
        f'warning: plugin "{name}" is not installed' in line for name in NOT_INSTALLED)]
    expect(code == 0 and not unexpected, f"{block.path}:{block.line}: {code}\n{said}")


def mistakes_are_told(files):
    shown = [block for block in read_blocks(CONFIG) if block.language == "text"]
    expect(len(shown) == 1, f"{CONFIG}: {len(shown)} texts of mistakes")
    code, said = files.check(MISTAKEN)
    told = [line for line in said.splitlines() if " error: " in line]
    expect(code != 0 and told == shown[0].text.splitlines(),
           f"{CONFIG}:{shown[0].line} is not what is told:\n{said}")


def run(t):
    files = Files(t)
    documents = [claim.document for claim in read_claims() if claim.test.endswith("documented_yaml.py")]
    blocks = claimed_blocks(__file__, documents)
    for block in blocks:
        is_taken(files, block)
    mistakes_are_told(files)
    say(f"{len(blocks)} examples")
    t.figure(examples=len(blocks))


if __name__ == "__main__":
    main(run)
