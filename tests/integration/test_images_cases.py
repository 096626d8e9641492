"""Where each of the 160 hostile cases of the images worker is tested. Cases with more than one place are seen from outside in the
first, and from inside, with every variation, in the others."""

import ast
import re

import pytest

from support.servers import ROOT

URLS, FETCH, SLOW, LAB = "test_images_urls.py", "test_images_fetch.py", "test_images_slow.py", "test_images_lab.py"
POLITENESS, CONTENT, BOMBS, FLEET = "test_images_politeness.py", "test_images_content.py", "test_images_bombs.py", "test_images_fleet.py"
STATE, SERVING, COLLECT = "test_images_state.py", "test_images_serving.py", "test_images_collect.py"
EVICT, KEEP = "test_images_evict.py", "test_images_keep.py"

WHERE = {
    **{n: [URLS] for n in [*range(1, 35), 42, 43]},
    **{n: [LAB, URLS] for n in range(35, 40)},
    40: ["test_images_address.c"],  # the boundaries of the rule: no packet is sent, so nothing is seen from outside
    41: [LAB],
    44: ["test_images_fetch_gate.c"],  # needs a policy that changes under an open connection, which no worker has
    **{n: [FETCH] for n in [*range(45, 59), 60, *range(67, 85)]},
    **{n: [SLOW] for n in (59, 61, 62, 63, 64)},
    65: [LAB], 66: [LAB],
    **{n: [POLITENESS] for n in [*range(85, 96), 100, 101, 102]},
    88: [POLITENESS, FLEET],
    96: [CONTENT],
    97: [FLEET], 98: [FLEET], 99: [FLEET],
    **{n: [CONTENT] for n in [*range(103, 109), *range(112, 117), *range(118, 135)]},
    **{n: [BOMBS] for n in (109, 110, 111, 117)},
    131: [CONTENT, SERVING],
    135: [BOMBS],
    126: [CONTENT, "test_images_decoder_bombs.c"],
    136: [CONTENT, "test_images_decoder_bombs.c"],
    137: [FLEET, "test_images_kills.py", "test_images_store_kill.c"],
    138: [STATE], 139: [STATE, "test_images_store_full.c"], 140: [STATE, "test_images_store_full.c"], 141: [FLEET],
    142: [STATE], 143: [STATE],
    144: [EVICT, KEEP], 146: [COLLECT, KEEP], 147: [EVICT, KEEP],
    **{n: [STATE] for n in (148, 149, 150, 151)},
    145: [SERVING],
    152: [FLEET],
    **{n: [SERVING] for n in range(153, 161)},
}


def numbers_in(text):
    """T5, T005, T026-2, "T61 to T63", and the first members of a table of cases: (26, "http...")."""
    found = {int(n) for n in re.findall(r"T0*([1-9][0-9]*)", text)}
    for first, last in re.findall(r"T0*([1-9][0-9]*) to T0*([1-9][0-9]*)", text):
        found |= set(range(int(first), int(last) + 1))
    return found | {int(n) for n in re.findall(r"^ *\*?\(\(?([1-9][0-9]*), f?\"", text, re.MULTILINE)}


@pytest.fixture(scope="module")
def named():
    files = [*ROOT.glob("tests/integration/test_images_*.py"), *ROOT.glob("tests/unit/test_images_*.c")]
    return {path.name: numbers_in(below_its_docstring(path)) for path in files}


def below_its_docstring(path):
    """What a file says that it tests at its top is no test."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".c":
        return text.partition("*/")[2]
    return text.replace(ast.get_docstring(ast.parse(text), clean=False) or "", "", 1)


def test_every_case_is_somewhere():
    assert sorted(WHERE) == list(range(1, 161))


@pytest.mark.parametrize("number", WHERE)
def test_it_is_there(named, number):
    for name in WHERE[number]:
        assert number in named[name], f"no test in {name} names T{number:03d}"
