#!/usr/bin/env python3
"""The version of the project stands in CMakeLists.txt; that of the packages in debian/changelog.

    tools/check_version.py [ROOT]
"""
import pathlib
import re
import sys


def first(path, pattern):
    found = re.search(pattern, path.read_text(encoding="utf-8"), re.MULTILINE)
    return found.group(1) if found else None


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent)
    project = first(root / "CMakeLists.txt", r"^project\(\w+ VERSION ([0-9.]+)")
    packages = first(root / "debian/changelog", r"^viaduct \(([^)]+)\)")
    if project is None or project != packages:
        print(f"debian/changelog: is of {packages}, the project of {project}")
        return 1
    print(f"version: {project}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
