#!/usr/bin/env python3
"""Writes freeze_test.c anew from the headers: make_freeze_test.py > freeze_test.c

To be run only when the ABI has grown; the difference then shows additions and nothing else
(tests/abi/README.md). The test itself compares the headers with the numbers in the file.
"""
import pathlib
import re
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
INCLUDE = HERE.parent.parent / "sdk/include"
HEADERS = ["base", "host", "config", "lifecycle", "services", "deliver", "submit", "call", "file",
           "probe", "frame", "module"]


def without_comments(text):
    return re.sub(r"/\*.*?\*/", " ", text, flags=re.S)


def structs(text):
    """(name, [(field, function type or None)]) of every struct with a body."""
    for match in re.finditer(r"(?:typedef )?struct (vd_\w+) \{(.*?)\n\}( vd_\w+)?;", text, re.S):
        fields = []
        for line in match.group(2).split(";"):
            line = " ".join(line.split())
            if not line:
                continue
            pointer = re.match(r"(.+?)\(\*(\w+)\)\((.*)\)$", line)
            if pointer:
                fields.append((pointer.group(2), f"{pointer.group(1).strip()} (*)({pointer.group(3)})"))
            else:
                fields.append((re.search(r"(\w+)(?:\[\w+\])?$", line).group(1), None))
        yield match.group(1), fields


def constants(text):
    for match in re.finditer(r"^#define (VD_\w+) (.+)$", text, re.M):
        name, value = match.groups()
        if name in ("VD_EXPORT", "VD_STR_LITERAL"):
            continue
        yield name, value.strip()


def numbers(questions):
    """Asks the compiler for the value of each expression."""
    lines = ['#include <stddef.h>', '#include <stdio.h>', '#include "viaduct/abi/abi.h"',
             "int main(void) {"]
    lines += [f'  printf("%lld\\n", (long long)({question}));' for question in questions]
    lines += ["  return 0;", "}"]
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "ask.c")
        source.write_text("\n".join(lines))
        program = pathlib.Path(folder, "ask")
        subprocess.run(["cc", f"-I{INCLUDE}", source, "-o", program], check=True)
        return subprocess.run([program], check=True, capture_output=True,
                              text=True).stdout.split()


def main():
    out = ["/*",
           " * The frozen layout of plugin ABI 1.0: every size, offset, constant and function type.",
           " * Made by make_freeze_test.py; a change of a line here is a break of the ABI, additions",
           " * are a new minor (tests/abi/README.md).",
           " */",
           "#include <stddef.h>", "#include <string.h>", "", '#include "viaduct/abi/abi.h"', "",
           "#define SIZE(type, size) _Static_assert(sizeof(type) == (size), #type)",
           "#define OFFSET(type, field, offset) \\",
           '  _Static_assert(offsetof(type, field) == (offset), #type "." #field)',
           "#define NUMBER(name, value) _Static_assert((long long)(name) == (value), #name)",
           "#define FUNCTION(type, field, ...)                                                \\",
           "  _Static_assert(__builtin_types_compatible_p(__typeof__(((type *)0)->field),      \\",
           '                                              __VA_ARGS__), #type "." #field)',
           "",
           "/* The layout of 64-bit machines, little or big. */",
           "SIZE(void *, 8);", ""]
    texts = []
    for header in HEADERS:
        text = (INCLUDE / f"viaduct/abi/{header}.h").read_text()
        text = re.sub(r"\\\n", " ", without_comments(text))
        found = list(structs(text))
        out.append(f"/* ---- {header}.h {'-' * (86 - len(header))} */")
        plain = [(n, v) for n, v in constants(text) if '"' not in v and "(a, b" not in n + v
                 and not n.startswith("VD_FOURCC")]
        texts += [(n, v) for n, v in constants(text) if v.startswith('"')]
        values = numbers([n for n, _ in plain])
        out += [f"NUMBER({name}, {value});" for (name, _), value in zip(plain, values)]
        questions = []
        for name, fields in found:
            questions += [f"sizeof({name})"] + [f"offsetof({name}, {field})" for field, _ in fields]
        values = iter(numbers(questions))
        for name, fields in found:
            out += ["", f"SIZE({name}, {next(values)});"]
            for field, function in fields:
                out.append(f"OFFSET({name}, {field}, {next(values)});")
                if function:
                    out.append(f"FUNCTION({name}, {field}, {function});")
        out.append("")
    out += ["_Static_assert(VD_FOURCC('R', 'G', 'B', '3') == UINT32_C(0x33424752), \"fourcc\");",
            "_Static_assert(VD_FOURCC_JPEG == UINT32_C(0x4745504a), \"fourcc\");",
            "_Static_assert(__builtin_types_compatible_p(vd_module_entry_fn, const vd_module *(*)(void)),",
            '               "vd_module_entry_fn");',
            "_Static_assert(__builtin_types_compatible_p(vd_task_fn, void (*)(void *)), \"vd_task_fn\");",
            "", "/* Ids can not be compared at compile time. */",
            "static const char *const kTexts[][2] = {"]
    out += [f"    {{{name}, {value}}}," for name, value in texts]
    out += ["};", "", "int main(void) {",
            "  for (size_t i = 0; i < sizeof(kTexts) / sizeof(kTexts[0]); ++i) {",
            "    if (strcmp(kTexts[i][0], kTexts[i][1]) != 0) return 1;", "  }",
            "  return 0;", "}"]
    print("\n".join(out))


main()
