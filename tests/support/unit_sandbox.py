#!/usr/bin/env python3
"""Runs a program under what a systemd unit file says of system calls, where no systemd runs:

    unit_sandbox.py UNIT [--user UID] -- PROGRAM ARGUMENTS...

The list of SystemCallFilter=, MemoryDenyWriteExecute=, RestrictAddressFamilies=, RestrictNamespaces=,
RestrictSUIDSGID=, UMask=, no capability, no new privileges. What the unit would refuse with an error
kills the process here, so that a test sees it. Every process that the program starts is bound as well.
"""

import argparse
import ctypes
import errno
import os
import resource
import signal
import socket
import stat
import subprocess
import sys

KILL = 0x80000000  # SCMP_ACT_KILL_PROCESS
ALLOW = 0x7fff0000
EQUAL, MASKED_EQUAL = 4, 7  # enum scmp_compare
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 24, 38
PROT_WRITE, PROT_EXEC = 2, 4
CLONE_NAMESPACES = 0x7e020000 | 0x80  # Every CLONE_NEW*.
SHM_EXEC = 0o100000
UNKNOWN = -1  # __NR_SCMP_ERROR


class Argument(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64),
                ("b", ctypes.c_uint64)]


def read_unit(path):
    """{key: [values]} of [Service]; an empty value forgets what was before, as in systemd."""
    values, section = {}, ""
    with open(path) as f:
        for line in f:
            line = line.strip()
            if line.startswith("["):
                section = line
            elif section == "[Service]" and "=" in line and line[0] not in "#;":
                key, value = (part.strip() for part in line.split("=", 1))
                values[key] = [*values.get(key, []), value] if value else []
    return values


def system_calls(words):
    """Names of a list in which @set stands for others, as `systemd-analyze` knows them."""
    names = set()
    for word in words:
        if not word.startswith("@"):
            names.add(word)
            continue
        out = subprocess.run(["systemd-analyze", "--no-pager", "syscall-filter", word],
                             capture_output=True, text=True, check=True).stdout
        lines = [line.strip() for line in out.splitlines()[1:]]
        names |= system_calls([line for line in lines if line and not line.startswith("#")])
    return names


def allowed_by(unit):
    """@default is allowed with every list."""
    allowed = system_calls(["@default"])
    lines = unit.get("SystemCallFilter", [])
    if not lines or lines[0].startswith("~"):
        raise SystemExit("unit_sandbox: want a SystemCallFilter= that allows")
    for line in lines:
        if line.startswith("~"):
            allowed -= system_calls(line[1:].split())
        else:
            allowed |= system_calls(line.split())
    return allowed


class Filter:
    """A seccomp filter that is built, then loaded."""

    def __init__(self):
        self.lib = ctypes.CDLL("libseccomp.so.2")
        self.lib.seccomp_init.restype = ctypes.c_void_p
        self.lib.seccomp_init.argtypes = [ctypes.c_uint32]
        self.lib.seccomp_rule_add_array.argtypes = [
            ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p]
        self.lib.seccomp_load.argtypes = [ctypes.c_void_p]
        self.context = self.lib.seccomp_init(KILL)

    def rule(self, action, name, *arguments):
        number = self.lib.seccomp_syscall_resolve_name(name.encode())
        if number == UNKNOWN:
            return  # Of another architecture, or newer than the library.
        array = (Argument * max(len(arguments), 1))(*arguments)
        code = self.lib.seccomp_rule_add_array(self.context, action, number, len(arguments), array)
        # EDOM: not of this architecture.
        if code not in (0, -errno.EDOM):
            raise SystemExit(f"unit_sandbox: no rule for {name}: {os.strerror(-code)}")

    def load(self):
        code = self.lib.seccomp_load(self.context)
        if code != 0:
            raise SystemExit(f"unit_sandbox: cannot load the filter: {os.strerror(-code)}")


def error(number):
    return 0x00050000 | number  # SCMP_ACT_ERRNO


def is_on(unit, key):
    return unit.get(key, ["no"])[-1] in ("yes", "true", "on", "1")


def restrict(unit):
    """Each rule that systemd adds beside the list is a filter of its own: the strictest counts."""
    if is_on(unit, "MemoryDenyWriteExecute"):
        f = permissive(["mmap", "mprotect", "pkey_mprotect", "shmat"])
        both = PROT_WRITE | PROT_EXEC
        for value in (0, PROT_WRITE, PROT_EXEC):
            f.rule(ALLOW, "mmap", Argument(2, MASKED_EQUAL, both, value))
        for name in ("mprotect", "pkey_mprotect"):
            f.rule(ALLOW, name, Argument(2, MASKED_EQUAL, PROT_EXEC, 0))
        f.rule(ALLOW, "shmat", Argument(2, MASKED_EQUAL, SHM_EXEC, 0))
        f.load()
    families = " ".join(unit.get("RestrictAddressFamilies", [])).split()
    if families:
        f = permissive(["socket"])
        for family in families:
            f.rule(ALLOW, "socket", Argument(0, EQUAL, getattr(socket, family), 0))
        # Libraries ask for it and do without; under the unit they do, too.
        f.rule(error(errno.EAFNOSUPPORT), "socket",
               Argument(0, EQUAL, getattr(socket, "AF_NETLINK"), 0))
        f.load()
    if is_on(unit, "RestrictNamespaces"):
        f = permissive(["clone", "unshare", "setns"])
        f.rule(ALLOW, "clone", Argument(0, MASKED_EQUAL, CLONE_NAMESPACES, 0))
        f.rule(error(errno.ENOSYS), "clone3")
        f.load()
    if is_on(unit, "RestrictSUIDSGID"):
        f = permissive(["chmod", "fchmod", "fchmodat"])
        bits = stat.S_ISUID | stat.S_ISGID
        f.rule(ALLOW, "chmod", Argument(1, MASKED_EQUAL, bits, 0))
        f.rule(ALLOW, "fchmod", Argument(1, MASKED_EQUAL, bits, 0))
        f.rule(ALLOW, "fchmodat", Argument(2, MASKED_EQUAL, bits, 0))
        f.load()


def permissive(but):
    """Allows everything known but these, for which rules are to come."""
    f = Filter()
    for name in system_calls(["@known"]) - set(but):
        f.rule(ALLOW, name)
    return f


def drop_privileges(user):
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() == 0:
        for capability in range(64):
            libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise SystemExit("unit_sandbox: no_new_privs is refused")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("unit")
    parser.add_argument("--user", type=int, default=65534, help="where this is root")
    parser.add_argument("program", nargs="+")
    args = parser.parse_args()
    unit = read_unit(args.unit)
    allowed = allowed_by(unit)
    drop_privileges(args.user)
    os.umask(int(unit.get("UMask", ["0022"])[-1], 8))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    restrict(unit)
    f = Filter()
    for name in sorted(allowed):
        f.rule(ALLOW, name)
    f.rule(ALLOW, "execve")
    f.load()
    os.execvp(args.program[0], args.program)


if __name__ == "__main__":
    sys.exit(main())
