"""What the figures were measured on, and what processes cost: read from /proc, nothing installed for it."""

import dataclasses
import os
import pathlib
import platform
import re
import subprocess
import time

import confluent_kafka
from support.servers import ROOT
from support.workers import build_folder, run

TICKS = os.sysconf("SC_CLK_TCK")


def _said(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, cwd=ROOT)
    except OSError:
        return "unknown"
    return (done.stdout or done.stderr).strip().split("\n")[0] or "unknown"


def _cpu_model():
    found = re.search(r"^model name\s*:\s*(.+)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    return found[1] if found else platform.machine()


def _os_name():
    found = re.search(r'^PRETTY_NAME="(.+)"$', pathlib.Path("/etc/os-release").read_text(), re.M)
    return found[1] if found else "unknown"


def _memory_mib():
    return int(re.search(r"^MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.M)[1]) // 1024


def _kafka_version():
    jars = [path.name for path in (ROOT / ".newsmill/kafka/lib").glob("kafka_2.13-*.jar")]
    return jars[0].removeprefix("kafka_2.13-").removesuffix(".jar") if jars else "unknown"


def _build_type():
    found = re.search(r"^CMAKE_BUILD_TYPE:\w+=(.*)$", (build_folder() / "CMakeCache.txt").read_text(), re.M)
    return found[1] if found else "unknown"


def facts():
    """{name: text}, in the order in which they are printed."""
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cpu": _cpu_model(),
        "cores": str(os.cpu_count()),
        "memory": f"{_memory_mib()} MiB",
        "system": f"{_os_name()}, Linux {platform.release()}",
        "load": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "kafka": _kafka_version(),
        "redis": _said("redis-server", "--version").split(" sha=")[0],
        "librdkafka": f"{_said('pkg-config', '--modversion', 'rdkafka')} (harness: {confluent_kafka.libversion()[0]})",
        "newsmill": f"{run('newsmill-normalize', '--version').stdout.strip()}, {_build_type()}, "
                    f"{_said('git', 'describe', '--always', '--dirty')}",
    }


@dataclasses.dataclass(frozen=True)
class Usage:
    """Of one process at one instant."""
    at_s: float
    cpu_s: float
    rss_mib: float
    peak_mib: float


def usage(pid):
    """User and system time since its start (all threads, ended ones too), resident memory now and at most."""
    folder = pathlib.Path(f"/proc/{pid}")
    fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
    status = (folder / "status").read_text()
    memory = {name: int(re.search(rf"^{name}:\s+(\d+) kB", status, re.M)[1]) / 1024 for name in ("VmRSS", "VmHWM")}
    return Usage(time.monotonic(), (int(fields[11]) + int(fields[12])) / TICKS, memory["VmRSS"], memory["VmHWM"])


def children_cpu_s(pid):
    """Of the processes that it started: of those that ended and were collected, and of those that run."""
    ticks = 0
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:  # it ended
            continue
        if int(folder.name) == pid:
            ticks += int(fields[13]) + int(fields[14])
        elif int(fields[1]) == pid:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS


class Meter:
    """CPU of several processes since mark()."""

    def __init__(self, **pids):
        self.pids = pids
        self.mark()

    def mark(self):
        self._before = {name: usage(pid) for name, pid in self.pids.items()}

    def spent(self):
        """({name: CPU seconds}, seconds of the clock)."""
        after = {name: usage(pid) for name, pid in self.pids.items()}
        cpu = {name: after[name].cpu_s - before.cpu_s for name, before in self._before.items()}
        name = next(iter(after))
        return cpu, after[name].at_s - self._before[name].at_s
