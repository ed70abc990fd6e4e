#!/usr/bin/env python3
"""Builds the documents as a static site that needs no other host, and checks that every link and
anchor in it leads somewhere.

    tools/site/build_site.py BUILD OUT     BUILD: where the programs were built; OUT is replaced
"""

import html.parser
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse

import manuals
import reference

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s:]+)(#[^)\s]*)?\)")
FENCE = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)


def documents():
    """The Markdown of the project."""
    words = ["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split("\n")
    return [path for path in listed if path and os.path.exists(os.path.join(ROOT, path))]


class Tree:
    """What mkdocs is given: the documents, and whatever they link to, where they are in the project."""

    def __init__(self, folder):
        self.folder = folder

    def put(self, path, text):
        full = os.path.join(self.folder, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w") as f:
            f.write(text)

    def take(self, path):
        with open(os.path.join(ROOT, path)) as f:
            parts = FENCE.split(f.read())
        parts[::2] = [LINK.sub(lambda match: self.link(path, match), part) for part in parts[::2]]
        self.put(path, "".join(parts))

    def link(self, page, match):
        """A folder is shown by its README, or not at all; any other file comes along."""
        mark, text, to, anchor = match.groups()
        target = os.path.normpath(os.path.join(os.path.dirname(page), to))
        if os.path.isdir(os.path.join(ROOT, target)):
            if not os.path.exists(os.path.join(ROOT, target, "README.md")):
                return text
            return f"{mark}[{text}]({os.path.join(to, 'README.md')}{anchor or ''})"
        if not target.endswith(".md"):
            copy = os.path.join(self.folder, target)
            os.makedirs(os.path.dirname(copy), exist_ok=True)
            shutil.copyfile(os.path.join(ROOT, target), copy)
        return match[0]


class Page(html.parser.HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.anchors, self.links, self.loads = {""}, [], []
        with open(path) as f:
            self.feed(f.read())

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.anchors.update(values[key] for key in ("id", "name") if values.get(key))
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if tag in ("img", "script", "link", "iframe", "source"):
            self.loads += [values[key] for key in ("src", "href") if values.get(key)]


def problems(site):
    """Links that lead nowhere, and whatever a page would fetch from another host."""
    pages = {os.path.join(folder, name): Page(os.path.join(folder, name))
             for folder, _, names in os.walk(site) for name in names if name.endswith(".html")}
    found = []
    for path, page in pages.items():
        shown = os.path.relpath(path, site)
        found += [f"{shown}: fetches {url}" for url in page.loads if "//" in url]
        for url in page.links:
            parts = urllib.parse.urlsplit(url)
            if parts.scheme or parts.netloc or shown == "404.html":
                continue
            target = path if not parts.path else os.path.normpath(
                os.path.join(os.path.dirname(path), urllib.parse.unquote(parts.path)))
            if not os.path.isfile(target):
                found.append(f"{shown}: {url} leads nowhere")
            elif target in pages and urllib.parse.unquote(parts.fragment) not in pages[target].anchors:
                found.append(f"{shown}: {url} names nothing on that page")
    return found


def main(build, out):
    with tempfile.TemporaryDirectory() as folder:
        tree = Tree(folder)
        for path in documents():
            tree.take(path)
        tree.put("reference/http.md", reference.http(os.path.join(ROOT, "core/lpr/openapi.json")))
        tree.put("reference/grpc.md", reference.grpc(os.path.join(ROOT, "proto")))
        tree.put("reference/permissions.md",
                 reference.permissions(os.path.join(build, "bin/viaductctl")))
        for path, text in manuals.pages(ROOT, os.path.join(build, "bin")).items():
            tree.put(path, text)
        with open(os.path.join(HERE, "mkdocs.yml")) as f:
            plan = f.read()
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as config:
            config.write(f"{plan}docs_dir: {folder}\nsite_dir: {os.path.abspath(out)}\n")
            config.flush()
            done = subprocess.run(["mkdocs", "build", "--clean", "-f", config.name],
                                  capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr)
    found = problems(out)
    if found:
        sys.exit("\n".join(found))
    print(f"{os.path.abspath(out)}/index.html")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
