#!/usr/bin/env python3
"""Runs clang-tidy over the project's own sources and remembers what was clean.

A source is looked at again only if it, a project header it includes, .clang-tidy or its compile
command has changed since it was last found clean. Nothing is compiled for it but what the build
generates: clang-tidy reads all that the compiler would, and the errors of its thread-safety
analysis are findings here.

    tools/run_tidy.py --build build/clang [--jobs N] [PATTERN...]
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
OWN = re.compile(r"^(core|host|plugins|sdk|tests|bench|examples|tools)/.*\.(cc|c)$")


def make_generated(build):
    """What sources include and is made by the build: nothing else of it is needed."""
    outputs = subprocess.run(["ninja", "-C", build, "-t", "targets", "rule", "CUSTOM_COMMAND"],
                             capture_output=True, text=True, check=True).stdout.splitlines()
    wanted = sorted({name for name in outputs if name.endswith((".h", ".cc", ".c"))})
    subprocess.run(["ninja", "-C", build, *wanted], stdout=subprocess.DEVNULL, check=True)


def headers_of(command):
    """The project's own that the source includes, as the compiler finds them."""
    words = shlex.split(command["command"])
    flags = words[:words.index("-o")]
    listed = subprocess.run([*flags, "-MM", command["file"]], capture_output=True, text=True,
                            cwd=command["directory"], check=False)
    paths = (pathlib.Path(command["directory"], name).resolve()
             for name in listed.stdout.replace("\\\n", " ").split()[1:])
    return sorted(path.relative_to(ROOT).as_posix() for path in paths if path.is_relative_to(ROOT))


def digest(command, headers):
    state = hashlib.sha256()
    state.update((ROOT / ".clang-tidy").read_bytes())
    state.update(command["command"].encode())
    for name in sorted({pathlib.Path(command["file"]).relative_to(ROOT).as_posix(), *headers}):
        path = ROOT / name
        state.update(path.read_bytes() if path.exists() else b"gone")
    return state.hexdigest()


def own_commands(build, patterns):
    for command in json.loads(pathlib.Path(build, "compile_commands.json").read_text()):
        path = pathlib.Path(command["file"])
        name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else ""
        if OWN.match(name) and (not patterns or any(re.search(p, name) for p in patterns)):
            yield name, command


def look(build, command):
    """Exit status and findings, and what to remember when there are none."""
    headers = headers_of(command)
    state = digest(command, headers)
    # Paths through the macros of GoogleTest take four fifths of the time and show nothing of ours,
    # nor do the loops of benchmarks; the sanitizers run these sources.
    macros = command["file"].endswith(("_test.cc", "_benchmark.cc"))
    checks = ["--checks=-clang-analyzer-*"] if macros else []
    result = subprocess.run(["clang-tidy", "--quiet", "-p", build, *checks, command["file"]],
                            capture_output=True, text=True, check=False)
    return result.returncode, result.stdout, {"state": state, "headers": headers}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("patterns", nargs="*")
    options = parser.parse_args()
    build = str(pathlib.Path(options.build).resolve())
    make_generated(build)
    memory = pathlib.Path(build, "tidy.json")
    clean = json.loads(memory.read_text()) if memory.exists() else {}
    work, seen = [], set()
    for name, command in own_commands(build, options.patterns):
        known = clean.get(name)
        # Whatever else it may include now, one of these has changed for it.
        if name not in seen and (known is None or
                                 known["state"] != digest(command, known["headers"])):
            work.append((name, command))
        seen.add(name)
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        runs = {pool.submit(look, build, command): name for name, command in work}
        for run in concurrent.futures.as_completed(runs):
            name = runs[run]
            code, output, found = run.result()
            if code == 0:
                clean[name] = found
                # At once: a run takes an hour and may be ended before.
                memory.write_text(json.dumps(clean, indent=0))
            else:
                failed += 1
                print(f"-- {name}\n{output}", flush=True)
    print(f"clang-tidy: {len(seen)} sources, {len(work)} looked at, {failed} with findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
