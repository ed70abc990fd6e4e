#!/usr/bin/env python3
"""What a plugin file may export, import and need.

    check_symbols.py FILE_OR_FOLDER...
    check_symbols.py --expect-failure FILE
"""
import pathlib
import subprocess
import sys


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def mistakes(path):
    defined = [line.split() for line in output("nm", "-D", "--defined-only", path).splitlines()]
    exported = sorted(fields[-1] for fields in defined)
    if exported != ["vd_module_entry"]:
        yield f"exports {len(exported)} symbols: {', '.join(exported[:5])}"
    undefined = [line.split()[-1] for line in output("nm", "-D", "-u", path).splitlines()]
    for name in undefined:
        if name.startswith("vd_") or "viaduct" in name:
            yield f"wants {name} from the host"
    dynamic = output("readelf", "-d", "--wide", path)
    for line in dynamic.splitlines():
        if "(NEEDED)" in line and ("grpc" in line or "protobuf" in line):
            yield f"needs {line.split('[')[-1].rstrip(']')}"
        if "NODELETE" in line:
            yield "is linked with -z nodelete"
        if "TEXTREL" in line:
            yield "has text relocations"
    for line in output("readelf", "--dyn-syms", "--wide", path).splitlines():
        fields = line.split()
        if "UNIQUE" in fields and "UND" not in fields:
            yield f"defines the unique symbol {fields[-1]}, which keeps it from being unloaded"


def main():
    arguments = sys.argv[1:]
    expect_failure = arguments[:1] == ["--expect-failure"]
    files = []
    for argument in arguments[1:] if expect_failure else arguments:
        path = pathlib.Path(argument)
        files += sorted(path.glob("*.so")) if path.is_dir() else [path]
    found = [f"{path}: {mistake}" for path in files for mistake in mistakes(path)]
    print("\n".join(found))
    print(f"check_symbols: {len(files)} plugins, {len(found)} mistakes")
    if not files:
        sys.exit("check_symbols: there is no plugin to look at")
    sys.exit(0 if bool(found) == expect_failure else 1)


main()
