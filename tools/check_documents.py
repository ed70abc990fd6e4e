#!/usr/bin/env python3
"""Every block of the documents is run by a test, checked in form by one, or shown for a reason: each has
its line in tools/document_blocks.txt, and each line there has a block and a test.

    tools/check_documents.py [ROOT]
"""
import json
import os
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "support"))
from documents import CLAIMS, SKIPPED_FOLDERS, all_documents, covers, read_blocks, read_claims, read_document  # noqa: E402

LANGUAGES = {"sh", "yaml", "json", "c", "cpp", "cmake", "text"}
UNCLAIMED = {"text", "json"}  # What is said, or a drawing.
WAYS = {"run", "form", "shown"}


class Checker:
    def __init__(self, root):
        self.root = str(root)
        self.findings = []

    def run(self):
        self.claims = read_claims(self.root)
        self.blocks = [block for path in all_documents(self.root) for block in self.blocks_of(path)]
        for block in self.blocks:
            self.check_block(block)
        tests = self.registered_tests()
        for claim in self.claims:
            self.check_claim(claim, tests)
        return self.findings

    def report(self, path, line, text):
        self.findings.append(f"{path}:{line}: {text}")

    def blocks_of(self, path):
        blocks = read_blocks(path, self.root)
        lines = read_document(path, self.root).splitlines()
        fenced = set()
        for block in blocks:
            fenced.update(range(block.line, block.line + block.text.count("\n") + 2))
        before = ""
        for number, line in enumerate(lines, 1):
            if number in fenced:
                line = ""
            elif re.match(r" {0,3}(```|~~~)", line):
                self.report(path, number, "a fence that does not end, or another than ```LANGUAGE")
            elif line.startswith("    ") and not before and not re.match(r"\s+([-*]|\d+\.) ", line):
                self.report(path, number, "an indented block: fence it with ```LANGUAGE")
            before = line.strip()
        return blocks

    def check_block(self, block):
        if block.language not in LANGUAGES:
            self.report(block.path, block.line, f"a block of '{block.language}': say one of "
                        f"{', '.join(sorted(LANGUAGES))}")
            return
        if block.language == "json":
            self.check_json(block)
        found = [claim for claim in self.claims if covers(claim, block)]
        if not found and block.language not in UNCLAIMED:
            self.report(block.path, block.line, f"no test runs this block ('{block.heading}'): add it to one, and "
                        f"to {CLAIMS}")
        if len(found) > 1:
            self.report(block.path, block.line, f"twice in {CLAIMS}: lines "
                        f"{', '.join(str(claim.line) for claim in found)}")

    def check_json(self, block):
        """One value, or one a line."""
        try:
            json.loads(block.text)
        except ValueError:
            try:
                for line in block.text.splitlines():
                    json.loads(line)
            except ValueError as error:
                self.report(block.path, block.line, f"no JSON: {error}")

    def registered_tests(self):
        """What stands in the CMakeLists, where a test is named with or without its ending."""
        text = ""
        for folder, folders, files in os.walk(self.root):
            folders[:] = sorted(set(folders) - SKIPPED_FOLDERS)
            if "CMakeLists.txt" in files:
                text += read_document(os.path.join(folder, "CMakeLists.txt"))
        return set(re.findall(r"[\w.-]+", text))

    def check_claim(self, claim, tests):
        if claim.how not in WAYS:
            self.report(CLAIMS, claim.line, f"'{claim.how}' is none of {', '.join(sorted(WAYS))}")
        if not any(covers(claim, block) for block in self.blocks):
            self.report(CLAIMS, claim.line, f"{claim.document} has no such block (any more)")
        if claim.how != "run" and not claim.reason:
            self.report(CLAIMS, claim.line, "why is it not run?")
        if claim.how == "shown":
            return
        path = os.path.join(self.root, claim.test)
        if not os.path.isfile(path):
            self.report(CLAIMS, claim.line, f"there is no {claim.test}")
            return
        name = os.path.basename(path)
        if name != "CMakeLists.txt" and not {name, os.path.splitext(name)[0]} & tests:
            self.report(CLAIMS, claim.line, f"{claim.test} is no test of any CMakeLists.txt")
        self.check_that_it_reads(claim, read_document(path, self.root))

    def check_that_it_reads(self, claim, source):
        """A test that has been given a document takes its blocks from there."""
        folder, name = os.path.split(claim.document)
        named = claim.document in source or (name in source and os.path.basename(folder) in source)
        if not named and "claimed_blocks(" not in source:
            self.report(CLAIMS, claim.line, f"{claim.test} does not read {claim.document}")


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else HERE.parent
    checker = Checker(root)
    for finding in checker.run():
        print(finding)
    ways = {way: sum(claim.how == way for claim in checker.claims) for way in sorted(WAYS)}
    print(f"documents: {len(checker.blocks)} blocks, "
          f"{', '.join(f'{count} lines {way}' for way, count in ways.items())}, "
          f"{len(checker.findings)} findings")
    return 1 if checker.findings else 0


if __name__ == "__main__":
    sys.exit(main())
