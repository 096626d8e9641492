"""Every option of every worker, taken from the table that `newsmill options` prints: explained by --help, shown by
--print-config, bounded, and refused with its name when it is misspelt. No server is needed."""

import concurrent.futures
import json
import re

import pytest

from support.workers import run, tool

OTHER = "other default"  # the type of a row that only gives another table's option a default of this program


def rows():
    """{owner: {option: (type, default, range, meaning)}} of the table for READMEs, and {owner: {option: its other default}}."""
    tables, others, owner = {}, {}, None
    for line in tool("options", "--markdown", check=True).stdout.splitlines():
        if heading := re.fullmatch(r"\*\*(.*)\*\*", line):
            owner = tables.setdefault(heading.group(1), {})
            other = others.setdefault(heading.group(1), {})
        elif line.startswith("| `"):
            name, kind, default, bounds, meaning = [cell.strip() for cell in line.strip("|").split(" | ")]
            if kind == OTHER:
                other[name.strip("` ")] = default.strip("`")
            else:
                owner[name.strip("` ")] = (kind, default, bounds, meaning)
    return tables, others


TABLES, OTHERS = rows()
WORKERS = sorted(set(TABLES) - {"every program"})


def options_of(worker):
    return {**TABLES["every program"], **TABLES[worker]}


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "newsmill.yaml"
    path.write_text("{}\n")
    return path


def together(function, names):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return dict(zip(names, pool.map(function, names)))


def test_there_are_tables_of_all_workers():
    assert {"normalize", "publish", "related"} <= set(WORKERS) and all(len(table) >= 2 for table in TABLES.values())


def test_a_program_has_its_own_default_of_an_option_of_all(config):
    assert OTHERS["related"] == {"runtime.batchItems": "64"}
    for worker, others in OTHERS.items():
        for name, default in others.items() if worker in WORKERS else ():
            assert name in TABLES["every program"]
            printed = run(f"newsmill-{worker}", "-c", config, "--print-config", check=True).stdout
            assert f"{name}: {default}  # default of {worker}" in printed
            over = run(f"newsmill-{worker}", "-c", config, "--set", f"{name}=7", "--print-config", check=True).stdout
            assert f"{name}: 7  # --set" in over


@pytest.mark.parametrize("worker", WORKERS)
def test_each_is_typed_bounded_and_explained(worker):
    for name, (kind, default, bounds, meaning) in options_of(worker).items():
        assert kind.split()[0] in ("text", "path", "integer", "number", "boolean", "list", "mapping", "secret"), name
        assert default and meaning.endswith(".") and len(meaning) > 20, name
        assert bounds or name.startswith("kafka.") or kind == "path" and name.endswith(".file"), f"{name} has no bounds"


@pytest.mark.parametrize("worker", WORKERS)
def test_help_explains_each(worker):
    text = " ".join(run(f"newsmill-{worker}", "--help", check=True).stdout.split())
    missing = [name for name, (_, _, _, meaning) in options_of(worker).items()
               if f" {name} (" not in text or meaning not in text]
    assert missing == []


@pytest.mark.parametrize("worker", WORKERS)
def test_print_config_shows_each(config, worker):
    lines = run(f"newsmill-{worker}", "-c", config, "--print-config", check=True).stdout
    printed = run(f"newsmill-{worker}", "-c", config, "--print-config", "--format", "json", check=True).stdout
    missing = [name for name in options_of(worker)
               if not re.search(rf"(^|\s){re.escape(name)}\b", lines, re.MULTILINE) or
               name.rsplit(".", 1)[-1] not in json.dumps(json.loads(printed))]
    assert missing == []


def misspelt(name):
    """The name with the letter in the middle of its last word written twice."""
    *head, last = name.split(".")
    middle = len(last) // 2
    return ".".join([*head, last[:middle] + last[middle:middle + 1] + last[middle:]])


@pytest.mark.parametrize("worker", WORKERS)
def test_misspelt_one_is_refused_with_the_nearest_name(config, worker):
    names = options_of(worker)

    def refusal(name):
        done = run(f"newsmill-{worker}", "-c", config, "--set", f"{misspelt(name)}=1", "--check")
        return done.returncode, done.stderr

    answers = together(refusal, list(names))
    wrong = {name: answer for name, answer in answers.items()
             if answer[0] != 2 or not re.search(rf"\b{re.escape(name)}\b", answer[1])}
    assert wrong == {}


@pytest.mark.parametrize("worker", WORKERS)
def test_integers_out_of_bounds_are_refused_with_the_bounds(config, worker):
    bounded = {name: row[2] for name, row in options_of(worker).items() if row[0] == "integer"}

    def refusal(name):
        low, high = re.match(r"(-?\d+)\.\.(-?\d+)", bounded[name]).groups()
        done = [run(f"newsmill-{worker}", "-c", config, "--set", f"{name}={value}", "--check")
                for value in (int(low) - 1, int(high) + 1, "1.5", "")]
        return [(each.returncode, name in each.stderr) for each in done]

    answers = together(refusal, list(bounded))
    assert {name: answer for name, answer in answers.items() if answer != [(2, True)] * 4} == {}
