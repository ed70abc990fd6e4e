#!/usr/bin/env python3
"""Looks at the commands of the documents that no test can run, because they install, build or train for
hours, and at those inside of sentences: the programs are there, and know the words and options that they
are given.

    tools/document_forms_test.py BUILD
"""
import json
import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/support"))
from documents import all_documents, claimed_blocks, read_blocks, read_document  # noqa: E402

TRAINING = ROOT / "plugins/hailo_lpr/training"
LIMIT_S = 60


def lines(document):
    """Each command of this test in that document, as words without comments."""
    return [shlex.split(line, comments=True) for block in claimed_blocks(__file__, [document])
            for line in block.text.splitlines()]


def shown_by(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=True)
    return done.stdout


def options(words):
    return {word.split("=")[0] for word in words if word.startswith("--")}


def has_options(words, known, where):
    missing = options(words) - set(re.findall(r"--[a-z][\w-]*", known))
    assert not missing, f"{where}: {' '.join(words)}: no option {missing}"


def verbs_of_dev():
    return re.findall(r"^  ([a-z]+) ", shown_by(str(ROOT / "dev"), "help"), re.MULTILINE)


def entry_script(document):
    verbs = verbs_of_dev()
    for words in lines(document):
        assert words[0] == "./dev" and words[1] in verbs, f"{document}: {words} is none of {verbs}"


def fault_script(_build):
    for words in lines("docs/TESTING.md"):
        has_options(words, shown_by(str(ROOT / words[0]), "--help"), "docs/TESTING.md")


def arguments_of(script):
    """The names of what argparse takes, from the source: the program itself wants torch."""
    found = re.findall(r'add_argument\("([\w-]+)"(.*)', (TRAINING / script).read_text())
    return {name: rest for name, rest in found}


def training(_build):
    document = "plugins/hailo_lpr/training/README.md"
    for words in lines(document):
        if words[:2] == ["./dev", "train"]:
            assert words[2] in ("reader", "province"), words
            script, given = "train.py", words[3:]
        else:
            assert words[0] == "python3", words
            script, given = words[1], words[2:]
        known = arguments_of(script)
        has_options(given, " ".join(known), document)
        plain = [name for name in known if not name.startswith("-")]
        assert len([w for w in given if "/" in w or w.isupper()]) >= len(plain), f"{words}: wants {plain}"
    net = (ROOT / "tools/dev.d/train.sh").read_text()
    assert "reader" in net and "province" in net and "train.py" in net, "./dev train has changed"


def onnxruntime(_build):
    """The version, and the place in its package, are those that our tests use."""
    text = (ROOT / "plugins/hailo_lpr/BACKENDS.md").read_text()
    version = json.loads((ROOT / "tests/support/npm/package.json").read_text())["devDependencies"]["onnxruntime-node"]
    first, second, _ = lines("plugins/hailo_lpr/BACKENDS.md")
    assert first[-1] == f"onnxruntime-node@{version}" and f"version {version} is tested" in text, first
    place = second[4].replace("/x64/", "/${onnxruntime_machine}/")
    assert place in (ROOT / "plugins/hailo_lpr/CMakeLists.txt").read_text(), f"{second[4]} is not what is tested"


def sdk(build):
    document = "docs/WRITE_A_PLUGIN.md"
    usage = [words for words in lines(document) if words[0].startswith(("viaduct-check", "["))]
    known = shown_by(str(build / "bin/viaduct-check"), "--help")
    assert usage, f"{document} has lost viaduct-check"
    for words in usage:
        has_options([word.strip("[]") for word in words], known, document)
    whole = next(block.text for block in read_blocks(document) if "cmake --install" in block.text)
    for words in claimed_blocks(__file__, ["sdk/template/README.md"])[0].text.splitlines():
        assert words in whole.splitlines(), f"sdk/template/README.md: {words!r} is not in {document}"


def tools_of_the_tests(build):
    """The options in the table of tools, each of its program."""
    table = read_document("docs/TESTING.md").split("\n## Tools\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)[^|]*\| (.*) \|$", table, re.MULTILINE)
    named = [(name, re.findall(r"`(--[a-z-]+)", text)) for name, text in rows]
    for name, given in named:
        if given:
            flag = "--help-all" if name == "loadgen" else "--help"
            has_options(given, shown_by(str(build / "tests" / name), flag), f"docs/TESTING.md, {name}")
    assert sum(len(given) for _, given in named) > 5, f"the table of tools is gone: {named}"


def benchmarks(_build):
    """bench/README.md has each case, and no other."""
    document = "bench/README.md"
    source = read_document("bench/run")
    known = set(re.findall(r'"(\w+)"', re.search(r"^CASES = \[(.*?)\]", source, re.MULTILINE | re.DOTALL)[1]))
    table = read_document(document).split("\n## Cases\n")[1].split("\n## ")[0]
    told = {name for cell in re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE)
            for name in re.findall(r"`(\w+)`", cell)}
    assert told == known - {"base"}, f"{document}: {told ^ (known - {'base'})}"
    given = re.findall(r"`(--[a-z]+)`", read_document(document))
    assert given, f"{document} names no option"
    has_options(given, source, document)


def inside_sentences(document):
    """What stands in the text in grave accents and begins with one of our programs."""
    text = re.sub(r"^```.*?^```", "", read_document(document), flags=re.MULTILINE | re.DOTALL)
    for command in re.findall(r"`((?:viaductctl|viaduct-host|viaduct-check|\./dev) [^`]*)`", text):
        yield shlex.split(command)


def commands_of_viaductctl(build):
    """{its words: its own options}, as the completion of a shell knows them."""
    script = shown_by(str(build / "bin/viaductctl"), "completion", "bash")
    return {tuple(path.split()): words for path, words in
            re.findall(r"^    '(viaductctl[a-z -]*)'\) words='([^']*)'", script, re.MULTILINE)}


def sentences(build):
    known = commands_of_viaductctl(build)
    helps = {name: shown_by(str(build / "bin" / name), "--help") for name in ("viaduct-host", "viaduct-check")}
    verbs = verbs_of_dev()
    count = 0
    for document in all_documents():
        if document == "CHANGELOG.md":  # It tells of what was.
            continue
        for words in inside_sentences(document):
            count += 1
            if words[0] == "./dev":
                assert words[1] in verbs, f"{document}: {words}"
            elif words[0] != "viaductctl":
                has_options(words, helps[words[0]], document)
            else:
                # What follows the words of a command are its arguments, where it has no more of them.
                path = max((tuple(words[:n]) for n in range(1, len(words) + 1) if tuple(words[:n]) in known), key=len)
                rest = words[len(path):]
                deeper = any(other[:-1] == path for other in known)
                assert not (deeper and rest and not rest[0].startswith("-")), f"{document}: {words}"
                has_options(rest, f"{known[path]} {known[(words[0],)]}", document)
    assert count > 50, f"only {count} commands in sentences"


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    for document in ("README.md", "CONTRIBUTING.md"):
        entry_script(document)
    for look in (fault_script, training, onnxruntime, sdk, tools_of_the_tests, benchmarks, sentences):
        look(build)
    print("documents: what is not run could be")


if __name__ == "__main__":
    main()
