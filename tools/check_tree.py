#!/usr/bin/env python3
"""Habits of the whole tree that no compiler checks: unfinished work, skipped tests, names that say
nothing, files that grew too long, links and paths in the documents that lead nowhere.

    tools/check_tree.py [ROOT]
"""
import os
import pathlib
import re
import sys

SKIPPED_FOLDERS = {".git", "build", "node_modules", ".cache", "__pycache__"}
TEXT = {".h", ".cc", ".c", ".cpp", ".py", ".sh", ".md", ".txt", ".cmake", ".proto", ".yaml",
        ".yml", ".json", ".rs", ".js", ".html", ""}
CODE = {".h", ".cc", ".c", ".py", ".rs"}
MAX_LINES = 500
MAX_TEST_LINES = 900  # A test is a list of cases: long, but not deep.
TEST = re.compile(r"(_test|_test_support)\.[a-z]+$|/testing/|^tests/|^sdk/tests/")
THIS = "tools/check_tree"

WORDS = [
    (re.compile(r"\b(TODO|FIXME|XXX|TBD)\b"), "unfinished work belongs in an issue"),
    (re.compile(r"\bnot (yet )?implemented\b"), "unfinished work belongs in an issue"),
    (re.compile(r"\bGTEST_SKIP\b|\bDISABLED_|unittest\.skip|pytest\.mark\.skip"),
     "a test that does not run is no test"),
    (re.compile(r'^\s*"resolved":'), "a lock file must not name where packages come from"),
]
NAMES = re.compile(r"(^|[/_])(utils?|helpers?|misc|stuff)([_.]|$)")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
PATH = re.compile(r"`((?:sdk|core|proto|host|plugins|tests|bench|examples|tools|docs|cmake)"
                  r"/[\w./-]*\w)/?`")


class Checker:
    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.findings = []

    def run(self):
        for folder, folders, files in os.walk(self.root):
            folders[:] = sorted(set(folders) - SKIPPED_FOLDERS)
            for name in sorted(files):
                path = pathlib.Path(folder, name)
                if path.suffix in TEXT and not path.is_symlink():
                    self.check_file(path)
        return self.findings

    def check_file(self, path):
        name = path.relative_to(self.root).as_posix()
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            return
        lines = text.splitlines()
        if path.suffix in CODE and NAMES.search(name):
            self.report(name, 1, "a file is named for what it holds")
        limit = MAX_TEST_LINES if TEST.search(name) else MAX_LINES
        if path.suffix in CODE and len(lines) > limit:
            self.report(name, len(lines), f"more than {limit} lines: split it")
        if not name.startswith(THIS):
            for number, line in enumerate(lines, 1):
                self.check_words(name, number, line)
        if path.suffix == ".md":
            self.check_document(path, name, lines)

    def report(self, name, line, text):
        self.findings.append(f"{name}:{line}: {text}")

    def check_words(self, name, number, line):
        for pattern, reason in WORDS:
            match = pattern.search(line)
            if match:
                self.report(name, number, f"'{match.group().strip()}': {reason}")

    def check_document(self, path, name, lines):
        in_code = False
        for number, line in enumerate(lines, 1):
            if line.lstrip().startswith("```"):
                in_code = not in_code
            if in_code:
                continue
            for target in LINK.findall(line):
                self.check_link(path, name, number, target)
            for target in PATH.findall(line):
                if not (self.root / target).exists() and not (path.parent / target).exists():
                    self.report(name, number, f"`{target}`: there is no such path")

    def check_link(self, path, name, number, target):
        if re.match(r"[a-z]+:", target):
            return
        file, _, anchor = target.partition("#")
        there = path.parent / file if file else path
        if not there.exists():
            self.report(name, number, f"link {target}: there is no such file")
        elif anchor and there.suffix == ".md" and anchor not in anchors(there):
            self.report(name, number, f"link {target}: there is no such heading")


def anchors(path):
    """The ids that forges give to the headings of a Markdown file."""
    found = set()
    for line in path.read_text(encoding="utf-8").splitlines():
        match = re.match(r"#{1,6}\s+(.*)", line)
        if match:
            text = re.sub(r"[^\w\- ]", "", match.group(1).strip().lower())
            found.add(text.replace(" ", "-"))
    return found


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent
    findings = Checker(root).run()
    for finding in findings:
        print(finding)
    print(f"tree: {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
