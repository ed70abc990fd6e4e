#!/usr/bin/env python3
"""Runs clang-tidy over the project's own sources and remembers what was clean.

A source is looked at again only if it, a project header it includes, .clang-tidy or its compile
command has changed since it was last found clean.

    tools/run_tidy.py --build build/clang [--jobs N] [PATTERN...]
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
OWN = re.compile(r"^(core|host|plugins|sdk|tests|bench|examples|tools)/.*\.(cc|c)$")


def headers_by_object(build):
    """The project headers of every object file, from ninja's own record."""
    text = subprocess.run(["ninja", "-C", build, "-t", "deps"], capture_output=True, text=True,
                          check=True).stdout
    headers, current = {}, None
    for line in text.splitlines():
        if line and not line[0].isspace():
            current = headers.setdefault(line.split(":")[0], [])
        elif line.strip() and current is not None:
            path = pathlib.Path(build, line.strip()).resolve()
            if path.is_relative_to(ROOT):
                current.append(path)
    return headers


def digest(command, headers):
    state = hashlib.sha256()
    state.update((ROOT / ".clang-tidy").read_bytes())
    state.update(command["command"].encode())
    for path in sorted({pathlib.Path(command["file"]), *headers}):
        if path.exists():
            state.update(path.read_bytes())
    return state.hexdigest()


def own_commands(build, patterns):
    for command in json.loads(pathlib.Path(build, "compile_commands.json").read_text()):
        path = pathlib.Path(command["file"])
        name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else ""
        if OWN.match(name) and (not patterns or any(re.search(p, name) for p in patterns)):
            yield name, command


def tidy(build, command):
    result = subprocess.run(["clang-tidy", "--quiet", "-p", str(build), command["file"]],
                            capture_output=True, text=True, check=False)
    return result.returncode, result.stdout


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("patterns", nargs="*")
    options = parser.parse_args()
    build = str(pathlib.Path(options.build).resolve())
    memory = pathlib.Path(build, "tidy.json")
    clean = json.loads(memory.read_text()) if memory.exists() else {}
    headers = headers_by_object(build)
    work, seen = [], set()
    for name, command in own_commands(build, options.patterns):
        state = digest(command, headers.get(command.get("output", ""), []))
        if name not in seen and clean.get(name) != state:
            work.append((name, command, state))
        seen.add(name)
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        runs = {pool.submit(tidy, build, command): (name, state) for name, command, state in work}
        for run in concurrent.futures.as_completed(runs):
            name, state = runs[run]
            code, output = run.result()
            if code == 0:
                clean[name] = state
                # At once: a run takes an hour and may be ended before.
                memory.write_text(json.dumps(clean, indent=0))
            else:
                failed += 1
                print(f"-- {name}\n{output}", flush=True)
    print(f"clang-tidy: {len(seen)} sources, {len(work)} looked at, {failed} with findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
