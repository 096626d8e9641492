"""Running newsmill's own programs: workers as processes with a log file each, and the operator's tool.

The programs come from the build folder named by NM_BUILD (default: build, relative to the repository).
"""

import os
import pathlib
import signal
import subprocess

from .servers import ROOT
from .waiting import until

# The workers that the fault tests and benchmarks run as a fleet, and the streams that they read; facets are made up there.
INPUTS = {"normalize": ("raw",), "publish": ("normalized", "facets")}


def build_folder():
    return ROOT / os.environ.get("NM_BUILD", "build")


def program(name):
    path = build_folder() / "bin" / name
    if not path.exists():
        raise FileNotFoundError(f"{path} is not built; run cmake --build {build_folder()}, or set NM_BUILD")
    return str(path)


def environment(extra=None):
    env = dict(os.environ)
    # A sanitizer's report must make the exit code a failure that nobody mistakes for one of ours (0 to 3).
    env.setdefault("ASAN_OPTIONS", "exitcode=99:detect_leaks=1")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    env.update(extra or {})
    return env


class Worker:
    """One process. `name` is the worker's, `log` the file that has its stderr and stdout."""

    def __init__(self, name, arguments, log, env):
        self.name = name
        self.log = pathlib.Path(log)
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env)
        self.paused = False

    @property
    def pid(self):
        return self.process.pid

    @property
    def alive(self):
        return self.process.poll() is None

    @property
    def code(self):
        """Exit code; negative: the signal that ended it; None while it runs."""
        return self.process.poll()

    def _signal(self, number):
        if not self.alive:
            return False
        self.process.send_signal(number)
        return True

    def kill(self):
        """SIGKILL; True when it hit a process that was alive."""
        hit = self._signal(signal.SIGKILL)
        self.process.wait()
        return hit

    def pause(self):
        self.paused = self._signal(signal.SIGSTOP)
        return self.paused

    def resume(self):
        self.paused = False
        return self._signal(signal.SIGCONT)

    def _status(self, field):
        """A field of the process' status, "" once it is gone."""
        try:
            lines = pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines()
        except OSError:
            return ""
        return next((line.split(None, 1)[1] for line in lines if line.startswith(field + ":")), "")

    @property
    def stopped(self):
        """Whether the process stands still (SIGSTOP), whoever did it."""
        return self._status("State").startswith("T")

    def _handles_term(self):
        caught = self._status("SigCgt")
        return not self.alive or bool(int(caught or "0", 16) & 1 << (signal.SIGTERM - 1))

    def term(self):
        """SIGTERM, once the process has a handler for it: before that it would end it like a kill."""
        until(self._handles_term, 30, lambda: f"{self.name} (pid {self.pid}) is ready for SIGTERM")
        return self._signal(signal.SIGTERM)

    def wait(self, timeout_s=15):
        """Exit code, once it has ended; AssertionError when it is too late."""
        until(lambda: not self.alive, timeout_s, lambda: f"{self.name} (pid {self.pid}) ends\n{self.log_tail()}")
        return self.code

    def log_text(self):
        return self.log.read_text(errors="replace")

    def log_tail(self, n_lines=40):
        return "\n".join(self.log_text().splitlines()[-n_lines:])


class Workers:
    """Starts workers and ends all of them at the end. Logs lie in `folder`, numbered in the order of the starts."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.all = []

    def start(self, name, config, *args, env=None, command=None):
        """Starts build/bin/newsmill-NAME -c CONFIG ARGS... `command` (a list) runs that in its place."""
        arguments = list(command or [program(f"newsmill-{name}")]) + ["-c", str(config), *args]
        worker = Worker(name, arguments, self.folder / f"{len(self.all):04d}-{name}.log", environment(env))
        self.all.append(worker)
        return worker

    @property
    def living(self):
        return [worker for worker in self.all if worker.alive]

    def stop(self, timeout_s=15):
        """SIGTERM to all; their exit codes. A worker that does not stop in time is an AssertionError."""
        living = self.living
        for worker in living:
            worker.resume()
            worker.term()
        return [worker.wait(timeout_s) for worker in living]

    def close(self):
        for worker in self.living:
            worker.kill()

    def show_logs(self, n_lines=40, n_last=8):
        """Tails of the logs of the last workers, for a failed test."""
        shown = []
        for worker in self.all[-n_last:]:
            state = "runs" if worker.alive else f"ended with {worker.code}"
            shown.append(f"---- {worker.log.name} (pid {worker.pid}, {state})\n{worker.log_tail(n_lines)}")
        return "\n".join(shown)


def run(name, *args, stdin=None, timeout_s=60, env=None, check=False):
    """Runs a program to its end; .stdout, .stderr (text) and .returncode are in the result."""
    done = subprocess.run([program(name), *map(str, args)], input=stdin if stdin is not None else "", text=True,
                          capture_output=True, timeout=timeout_s, env=environment(env), check=False, cwd=ROOT)
    if check and done.returncode != 0:
        raise AssertionError(f"{name} {' '.join(map(str, args))} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    return done


def tool(*args, **options):
    """The operator's tool: tool("load", "-c", config, file). Options as for run()."""
    return run("newsmill", *args, **options)
