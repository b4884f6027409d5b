"""Runs a command and says what it cost: wall time, CPU time of all its processes, peak memory of the largest one."""
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass

TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Cost:
    wall: float  # seconds
    cpu: float  # seconds, user and system
    rss: int  # bytes


class Failed(Exception):
    pass


def run(command, env=None, cwd=None, stdout=None, daemon=None):
    """Runs a command to its end; `daemon` is the process id of a server that does its work.

    Note that a child's peak memory is never below that of this program at the time of the start, some 20 MB.
    """
    environment = dict(os.environ) | (env or {})
    with tempfile.TemporaryFile() as errors:
        before = daemon_cpu(daemon)
        reset_peak(daemon)
        start = time.monotonic()
        process = subprocess.Popen(command, env=environment, cwd=cwd, stdin=subprocess.DEVNULL,
                                   stdout=stdout or subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            tail = errors.read()[-2000:].decode(errors="replace")
            raise Failed(f"{' '.join(map(str, command))}: exit code {process.returncode}\n{tail}")
    cpu = usage.ru_utime + usage.ru_stime + daemon_cpu(daemon) - before
    return Cost(wall, cpu, max(usage.ru_maxrss * 1024, peak(daemon)))


def daemon_cpu(pid):
    if pid is None:
        return 0.0
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def reset_peak(pid):
    """Sets the peak memory of a process back to what it uses now."""
    if pid is not None:
        with open(f"/proc/{pid}/clear_refs", "w") as f:
            f.write("5")


def peak(pid):
    if pid is None:
        return 0
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM:"))


def folder_size(path):
    return sum(os.lstat(os.path.join(folder, name)).st_size for folder, _, names in os.walk(path) for name in names)
