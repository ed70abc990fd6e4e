#!/usr/bin/env python3
"""Every function pointer of the ABI has its comment, and the comment ends with its tag.

    check_tags.py FOLDER       the folder of the C headers
    check_tags.py --self-test

The comment says what the function does, who owns what, whether it blocks, which errors it may
return, and on its last line [KIND; STATES] (base.h).
"""
import pathlib
import re
import sys

KINDS = {"control", "lane", "any"}
STATES = {"none", "created", "configured", "started", "draining", "stopped", "all", "module"}
POINTER = re.compile(r"\(\*(\w+)\)\(")
TAG = re.compile(r"\[(\w+); ([\w, ]+)\]$")


def comment_before(lines, at):
    """The text of the comment that ends right above line `at`, without stars."""
    end = at - 1
    if end < 0 or not lines[end].rstrip().endswith("*/"):
        return None
    begin = end
    while "/*" not in lines[begin]:
        begin -= 1
        if begin < 0:
            return None
    text = "\n".join(lines[begin:end + 1])
    text = text.replace("/*", "").replace("*/", "")
    return [line.strip().lstrip("*").strip() for line in text.splitlines() if line.strip(" *")]


def mistakes(name, text):
    lines = text.splitlines()
    for number, line in enumerate(lines):
        pointer = POINTER.search(line)
        if not pointer or line.lstrip().startswith(("*", "/*", "#")):
            continue
        what = f"{name}:{number + 1}: {pointer.group(1)}"
        comment = comment_before(lines, number)
        if not comment:
            yield f"{what}: has no comment right above it"
            continue
        tag = TAG.search(comment[-1])
        if not tag:
            yield f"{what}: its comment does not end with a tag"
            continue
        states = [state.strip() for state in tag.group(2).split(",")]
        if tag.group(1) not in KINDS or not set(states) <= STATES:
            yield f"{what}: {tag.group(0)} is no tag"
        said = " ".join(comment[:-1])
        if tag.group(1) == "any" and not re.search(r"[Dd]oes not block|Wait-free", said):
            yield f"{what}: does not say that it does not block"
        if re.search(r"\bint32_t \(\*", line) and not re.search(r"VD_[A-Z_]+|Errors", said):
            yield f"{what}: does not name its errors"


def self_test():
    good = "  /* Does it. Does not block. VD_NOT_FOUND.\n   * [any; all] */\n  int32_t (*f)(void);\n"
    bad = {
        "no comment": "  int32_t (*f)(void);\n",
        "no tag": good.replace("[any; all]", "any; all"),
        "unknown kind": good.replace("any;", "some;"),
        "unknown state": good.replace("all]", "always]"),
        "blocking unsaid": good.replace("Does not block. ", ""),
        "errors unsaid": good.replace("VD_NOT_FOUND.", ""),
        "a line between": good.replace("*/\n", "*/\n\n"),
    }
    assert not list(mistakes("good", good)), list(mistakes("good", good))
    for name, text in bad.items():
        assert list(mistakes(name, text)), f"not found: {name}"
    print(f"check_tags: finds all {len(bad)} kinds of mistakes")


def main():
    if sys.argv[1] == "--self-test":
        return self_test()
    found = []
    count = 0
    for header in sorted(pathlib.Path(sys.argv[1]).glob("*.h")):
        text = header.read_text()
        count += len([l for l in text.splitlines() if POINTER.search(l)])
        found += mistakes(header.name, text)
    print("\n".join(found))
    print(f"check_tags: {count} function pointers, {len(found)} mistakes")
    sys.exit(1 if found or count < 60 else 0)


main()
