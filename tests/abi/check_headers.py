#!/usr/bin/env python3
"""Compiles every header of the SDK alone, with every language and compiler it promises.

    check_headers.py ROOT [COMPILER...]     (default gcc and clang, those that are installed)
"""
import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
C = [("c", std) for std in ("c99", "c11", "c17")]
CXX = [("c++", std) for std in ("c++11", "c++14", "c++17", "c++20")]
WRAPPER = [("c++", std) for std in ("c++17", "c++20")]


def jobs(include, folder, compilers):
    for header in sorted(include.rglob("*.h")):
        name = header.relative_to(include).as_posix()
        languages = WRAPPER if "/cpp/" in name else C + CXX
        # Through a file that includes it: a header alone is no translation unit. Twice, for its
        # guard.
        source = folder / (name.replace("/", "_") + ".txt")
        source.write_text(f'#include "{name}"\n#include "{name}"\n')
        for compiler in compilers:
            for language, std in languages:
                yield [compiler, "-x", language, f"-std={std}", "-fsyntax-only", *WARNINGS,
                       f"-I{include}", str(source)]


def run(command):
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return command, result.returncode, result.stderr


def main():
    include = pathlib.Path(sys.argv[1]).resolve() / "sdk/include"
    compilers = [c for c in sys.argv[2:] or ("gcc", "clang") if shutil.which(c)]
    if not compilers:
        sys.exit("check_headers: no compiler is installed")
    failed = count = 0
    with tempfile.TemporaryDirectory() as folder, \
            concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for command, code, text in pool.map(run, jobs(include, pathlib.Path(folder), compilers)):
            count += 1
            if code != 0:
                failed += 1
                print(" ".join(command), text, sep="\n")
    print(f"check_headers: {count} compilations with {', '.join(compilers)}, {failed} failed")
    sys.exit(1 if failed or count < 100 else 0)


main()
