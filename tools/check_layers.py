#!/usr/bin/env python3
"""Enforces the arrows between the rooms (docs/ARCHITECTURE.md).

Reads the #include lines of every C and C++ file, the DEPS of every viaduct_*() call in a
CMakeLists.txt, and the string literals of core/ and host/. What is not allowed is reported as
file:line: reason. Exceptions stand, with their reasons, in tools/layers_allow.txt.

    tools/check_layers.py [ROOT]
"""
import pathlib
import re
import sys

ROOMS = ("sdk", "core", "proto", "host", "plugins", "tests", "bench", "examples", "tools")
SOURCES = (".h", ".cc", ".c", ".hpp", ".cpp")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]')
LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"')
CALL = re.compile(r"\b(viaduct_(?:library|executable|test|fuzzer|add_plugin|plugin)|"
                  r"target_link_libraries)\s*\(([^)]*)\)", re.S)
GENERATED = ("viaduct/control/", "viaduct/gateway/")
RPC = ("grpc/", "grpcpp/", "grpc++/", "google/") + GENERATED
RPC_TARGETS = ("grpc", "protobuf", "viaduct::proto", "viaduct_proto")
PLUGIN_NAMES = {"websocket", "rest", "mqtt", "sftp", "rsync", "hailo_lpr"}


def room_of(path):
    """The room of a project path: core/spool, plugins/rest, sdk/abi, host ..."""
    parts = path.split("/")
    if path.startswith("sdk/include/viaduct/"):
        return "sdk/" + parts[3] if len(parts) > 4 else "sdk"
    if parts[0] in ("core", "plugins") and len(parts) > 2:
        return "/".join(parts[:2])
    return parts[0]


def is_test(path):
    name = path.rsplit("/", 1)[-1]
    return bool(re.search(r"_(test|test_support|fuzz|benchmark|bench)\.(cc|c|h)$", name)) or "/tests/" in path \
        or "/testing/" in path


class Checker:
    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.findings = []
        self.allowed = self.read_allow_list()
        self.used = set()
        self.edges = {}

    def read_allow_list(self):
        """Lines `path what  # reason`; what is an include, a target or a "literal"."""
        allowed = {}
        file = self.root / "tools/layers_allow.txt"
        if not file.exists():
            return allowed
        for number, line in enumerate(file.read_text().splitlines(), 1):
            rule, _, reason = line.partition("#")
            fields = rule.split()
            if not fields:
                continue
            if len(fields) != 2 or not reason.strip():
                self.report("tools/layers_allow.txt", number, "want `path what  # reason`")
                continue
            allowed[tuple(fields)] = number
        return allowed

    def report(self, path, line, text):
        self.findings.append(f"{path}:{line}: {text}")

    def deny(self, path, line, what, reason):
        if (path, what) in self.allowed:
            self.used.add((path, what))
            return
        self.report(path, line, f"{what}: {reason}")

    def run(self):
        for room in ROOMS:
            for path in sorted((self.root / room).rglob("*")):
                name = path.relative_to(self.root).as_posix()
                if path.suffix in SOURCES:
                    self.check_source(name, path.read_text(errors="replace"))
                elif path.name == "CMakeLists.txt":
                    self.check_cmake(name, path.read_text(errors="replace"))
        self.check_cycles()
        for rule, line in self.allowed.items():
            if rule not in self.used:
                self.report("tools/layers_allow.txt", line, f"{' '.join(rule)}: not needed any more")
        return self.findings

    # Includes.

    def check_source(self, path, text):
        for number, line in enumerate(text.splitlines(), 1):
            match = INCLUDE.match(line)
            if match:
                self.check_include(path, number, match.group(1) == "<", match.group(2))
        if path.startswith(("core/", "host/")) and not is_test(path):
            self.check_plugin_names(path, text)

    def resolve(self, path, include):
        """The project path that an include names, or None for one from outside the project."""
        for candidate in (include, "sdk/include/" + include,
                          str(pathlib.PurePosixPath(path).parent / include)):
            if (self.root / candidate).is_file():
                return pathlib.PurePosixPath(candidate).as_posix()
        first = include.split("/")[0]
        if first in ROOMS and "/" in include:
            return include
        return None

    def check_include(self, path, line, angled, include):
        room, target = room_of(path), self.resolve(path, include)
        reason = self.include_reason(path, room, angled, include, target)
        if reason:
            self.deny(path, line, include, reason)
        elif target and not is_test(path) and room.startswith("core/"):
            other = room_of(target)
            if other.startswith("core/") and other != room:
                self.edges.setdefault(room, {}).setdefault(other, (path, line))

    def include_reason(self, path, room, angled, include, target):
        rpc = include.startswith(RPC) and not (target or "").startswith("sdk/")
        other = room_of(target) if target else None
        if rpc and room not in ("proto", "host", "tests", "bench", "examples"):
            return "gRPC and protobuf belong to proto/ and host/ only"
        if other in ("tests", "bench", "examples") and room != other and not is_test(path) \
                and room not in ("tests", "bench", "examples"):
            return f"the product must not include {other}/"
        if room == "sdk/abi":
            inside = other == "sdk/abi"
            return None if inside or include in ("stdint.h", "stddef.h") else \
                "an ABI header includes <stdint.h>, <stddef.h> and other ABI headers only"
        if room.startswith("sdk/"):
            standard = angled and re.fullmatch(r"[a-z_0-9]+(\.h)?", include)
            inside = other and other.startswith("sdk")
            return None if inside or standard else \
                "an SDK header includes the standard library and SDK headers only"
        if room == "sdk":
            return f"the SDK must not include {other}/" if target and not \
                target.startswith("sdk/") and not is_test(path) else None
        if room.startswith("core/"):
            return f"core must not include {other}" if other and not \
                other.startswith(("core/", "sdk")) and not is_test(path) else None
        if room == "host":
            return "the host must not include a plugin" if other and \
                other.startswith("plugins/") else None
        if room.startswith("plugins/"):
            return self.plugin_reason(path, room, other)
        return None

    def plugin_reason(self, path, room, other):
        if other is None or other.startswith("sdk") or other in (room, "plugins/common"):
            return None
        if is_test(path) and other in ("tests", "sdk"):
            return None
        if other.startswith("plugins/"):
            return "a plugin must not include another plugin"
        return "a plugin includes SDK headers, plugins/common and its own folder only"

    def check_cycles(self):
        """Rooms of core form a directed graph without cycles."""
        done, stack = set(), []

        def visit(room):
            if room in stack:
                cycle = stack[stack.index(room):] + [room]
                path, line = self.edges[stack[-1]][room]
                self.deny(path, line, room, "cycle " + " -> ".join(cycle))
                return
            if room in done:
                return
            stack.append(room)
            for other in sorted(self.edges.get(room, {})):
                visit(other)
            stack.pop()
            done.add(room)

        for room in sorted(self.edges):
            visit(room)

    # Plugin names.

    def check_plugin_names(self, path, text):
        for number, line in enumerate(text.splitlines(), 1):
            code = line.split("//")[0]
            if INCLUDE.match(line):
                continue
            for literal in LITERAL.findall(code):
                if literal in PLUGIN_NAMES:
                    self.deny(path, number, f'"{literal}"', "core and host never name a plugin")

    # CMake.

    def check_cmake(self, path, text):
        text = re.sub(r"#[^\n]*", lambda m: " " * len(m.group()), text)
        room = room_of(path)
        for match in CALL.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            call, words = match.group(1), match.group(2).split()
            if call != "target_link_libraries":
                keyword = next((word for word in ("DEPS", "LIBS") if word in words), None)
                if keyword is None:
                    continue
                words = words[words.index(keyword):]
            is_product = call not in ("viaduct_test", "viaduct_fuzzer") and not (
                words and re.search(r"_(test|benchmark|bench)$", match.group(2).split()[0]))
            for word in words[1:]:
                reason = self.target_reason(room, word, is_product)
                if reason:
                    self.deny(path, line, word, reason)

    @staticmethod
    def target_reason(room, target, is_product):
        lower = target.lower()
        if lower.startswith(RPC_TARGETS) and room in ("sdk",) or \
                lower.startswith(RPC_TARGETS) and room.startswith(("core/", "plugins/", "sdk/")):
            return "gRPC and protobuf belong to proto/ and host/ only"
        own = "plugin_" + room.split("/")[-1]
        name = target[len("viaduct::"):] if target.startswith("viaduct::") else None
        if name is None:
            return None
        if room.startswith("plugins/") and name.startswith(("core_", "host")) and is_product:
            return "a plugin links the SDK, plugins/common and its libraries only"
        if room.startswith("plugins/") and name.startswith("plugin_") and \
                not name.startswith((own, "plugin_common", "plugins_common")):
            return "a plugin must not link another plugin"
        if room.startswith("core/") and name.startswith(("host", "plugin")) and \
                not name.startswith("plugin_api"):
            return "core must not link host or plugins"
        if room.startswith("sdk") and name.startswith(("core_", "host", "plugin_")) and is_product:
            return "the SDK must not link the product"
        return None


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent
    findings = Checker(root).run()
    for finding in findings:
        print(finding)
    print(f"layers: {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
