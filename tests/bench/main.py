"""The benchmarks by name.

    tests/bench/run                               all of them, about half an hour
    tests/bench/run memory --worker normalize     one, for one worker
    tests/bench/run memory --events 100000        a short form: its figures are no claim
    tests/bench/run --json figures.json           writes them there (default: .newsmill/bench/NAMES-DATE.json)

Exit code 0 when every goal is met, 1 when one is missed or a run failed, 2 for a usage error.
"""

import argparse
import importlib
import os
import pathlib
import signal
import sys
import time

from support.servers import ROOT
from support.workers import INPUTS

from . import machine, report
from .rig import Rig, say

NAMES = {"memory": "memory", "scale": "scale", "pass": "pass_through", "latency": "latency", "linking": "linking", "growth": "growth", "heat": "heat",
         "images": "images"}  # and their modules


def modules():
    return {name: importlib.import_module(f"bench.{module}") for name, module in NAMES.items()}


def arguments(known):
    about = "\n".join(f"  {name:9} {module.SUMMARY}" for name, module in known.items())
    parser = argparse.ArgumentParser(prog="tests/bench/run", formatter_class=argparse.RawDescriptionHelpFormatter,
                                     description="Performance of newsmill on a real Kafka and a real Redis.\n\n" + about)
    parser.add_argument("name", nargs="*", choices=[[], *known], metavar="NAME", help=f"{', '.join(known)}; none: all")
    parser.add_argument("--json", metavar="FILE", help="where the figures go as JSON; default: .newsmill/bench/")
    parser.add_argument("--worker", action="append", choices=list(INPUTS), help="only this one; default: both")
    parser.add_argument("--keep", action="store_true", help="keep logs and servers' folders; failed runs keep them anyway")
    for module in known.values():
        module.add_arguments(parser)
    options = parser.parse_args()
    options.name = options.name or list(known)
    options.worker = options.worker or list(INPUTS)
    return options


def json_path(options):
    if options.json:
        return pathlib.Path(options.json)
    folder = ROOT / ".newsmill/bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{'-'.join(options.name)}-{time.strftime('%Y%m%dT%H%M%S')}.json"


def run_one(name, module, options):
    """On servers of its own: what an earlier benchmark left is not its concern."""
    rig = Rig(options.keep)
    began = time.monotonic()
    say(f"{name}: logs in {rig.folder}")
    result = report.Result(name)
    try:
        rig.start()
        result = module.run(rig, options)
    except AssertionError as error:
        result.failures.append(str(error))
    finally:
        rig.keep = rig.keep or bool(result.failures)
        rig.close()
    result.seconds = time.monotonic() - began
    print(report.table(result), flush=True)
    return result


def main():
    known = modules()
    options = arguments(known)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    os.environ.setdefault("NM_BUILD", "build-bench")
    facts = machine.facts()
    print("\n".join(f"{name:10} {value}" for name, value in facts.items()), flush=True)
    path = json_path(options)
    results = []
    for name in options.name:
        results.append(run_one(name, known[name], options))
        report.write_json(path, facts, results)
    missed = [result.name for result in results if not result.good]
    say(f"figures: {path}; " + (f"missed or failed: {', '.join(missed)}" if missed else "every goal is met"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
