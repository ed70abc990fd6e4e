"""The manuals of the programs as pages: made as those of the packages are, and set by groff."""

import os
import re
import subprocess
import tempfile
import textwrap

WIDTH = 100
BODY = 7  # Columns by which groff indents what is below a heading; a lesser heading by 3.


def as_text(path):
    """Without the lines at the head and the foot of the page."""
    with open(path, encoding="utf-8") as f:
        text = re.sub(r"^(\.TH .*)$", r"\1\n.ad l", f.read(), flags=re.MULTILINE)  # Not justified.
    done = subprocess.run(["groff", "-man", "-Tutf8", "-P-cbou", f"-rLL={WIDTH}n"], input=text,
                          capture_output=True, encoding="utf-8", check=True)
    lines = done.stdout.strip("\n").split("\n")
    return lines[1:-1]


def as_page(title, lines):
    """Headings are headings, what is below them stays as it was set."""
    out, body = [f"# {title}\n"], []

    def end_of_body():
        text = textwrap.dedent("\n".join(body)).strip("\n")
        if text:
            out.append(f"```text\n{text}\n```\n")
        body.clear()

    for line in lines:
        indent = len(line) - len(line.lstrip())
        if line.strip() and indent < BODY:
            end_of_body()
            name = re.sub(r"([\\`*_<>\[\]])", r"\\\1", line.strip())
            out.append(f"{'##' if indent == 0 else '###'} {name}\n")
        else:
            body.append(line)
    end_of_body()
    return "\n".join(out)


def pages(root, programs):
    """{path: Markdown} of every manual but that of the configuration, which is docs/CONFIG.md."""
    done = subprocess.run([os.path.join(programs, "viaductctl"), "--version"], capture_output=True, text=True,
                          check=True)
    version = done.stdout.split()[-1]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([os.path.join(root, "debian", "manuals.sh"), programs, folder, version], check=True)
        files = [os.path.join(folder, name) for name in os.listdir(folder) if re.search(r"\.\d$", name)]
        files.append(os.path.join(root, "debian", "viaduct-probe.1"))
        found = {}
        for path in files:
            name, section = os.path.basename(path).rsplit(".", 1)
            found[f"reference/{name}.{section}.md"] = as_page(f"{name}({section})", as_text(path))
    return found
