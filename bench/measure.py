"""What the kernel says of a process, and the physical base of the machine."""

import os
import re
import socket
import statistics
import tempfile
import threading
import time

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def children(pid):
    """The process and everything below it."""
    found = [pid]
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children") as f:
            for child in f.read().split():
                found += children(int(child))
    return found


def cpu_seconds(pid):
    total = 0
    for p in children(pid):
        with open(f"/proc/{p}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / CLOCK_TICKS


def memory_kib(pid, key="VmRSS"):
    total = 0
    for p in children(pid):
        with open(f"/proc/{p}/status") as f:
            total += int(re.search(rf"{key}:\s+(\d+)", f.read()).group(1))
    return total


def fdatasync_per_second(folder=None, seconds=2.0, block=4096):
    """Appends of one block, each followed by fdatasync, as a log of single commits does."""
    with tempfile.NamedTemporaryFile(dir=folder) as f:
        data = b"\1" * block
        count, begin = 0, time.monotonic()
        while time.monotonic() - begin < seconds:
            os.write(f.fileno(), data)
            os.fdatasync(f.fileno())
            count += 1
        return count / (time.monotonic() - begin)


def loopback_bytes_per_second(seconds=1.0, block=1 << 16):
    listener = socket.create_server(("127.0.0.1", 0))
    out = socket.create_connection(listener.getsockname())
    into, _ = listener.accept()
    stop = threading.Event()

    def send():
        data = bytes(block)
        while not stop.is_set():
            out.sendall(data)
        out.close()

    thread = threading.Thread(target=send)
    thread.start()
    total, begin = 0, time.monotonic()
    buffer = bytearray(block)
    while time.monotonic() - begin < seconds:
        total += into.recv_into(buffer)
    rate = total / (time.monotonic() - begin)
    stop.set()
    while into.recv_into(buffer):
        pass
    thread.join()
    into.close()
    listener.close()
    return rate


def machine():
    with open("/proc/cpuinfo") as f:
        model = re.search(r"model name\s*:\s*(.*)", f.read())
    with open("/proc/meminfo") as f:
        memory = int(re.search(r"MemTotal:\s+(\d+)", f.read()).group(1))
    return {"cpu": model.group(1) if model else "?", "cpus": os.cpu_count(),
            "memory_mib": memory // 1024, "kernel": os.uname().release,
            "load_average": os.getloadavg()[0]}


def median(values):
    return statistics.median(values)


def percentile(values, percent):
    """The smallest that so many percent do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def now():
    return time.time()


def utc(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
