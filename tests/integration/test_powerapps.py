"""Real raw events of a real site through the running pipeline, compared with the records that its editors published.

Needs the data folder beside the project (../shared/data); without it the test is skipped, since the texts belong to their
publishers and are not part of the project.
"""

import json
import pathlib
import subprocess
import sys

import pytest

from support.servers import ROOT
from support.workers import tool

DATA = ROOT.parent / "shared" / "data"
ROWS = DATA / "powerapps-dev.ndjson"
AT_ONCE_LATER = (140, 326)  # the second event of a URL that occurs twice; at an equal timestamp it might be stale

# What the figures must reach, of 338 rows.
LEAST = {"slug": 337, "cdnAmpWebUrl": 338, "topics": 337, "quality": 329}


def raw_lines(numbers, rows):
    return "".join(json.dumps(rows[number]["raw"]) + "\n" for number in numbers)


@pytest.mark.skipif(not ROWS.exists(), reason="../shared/data is not there")
def test_real_articles_become_the_published_ones(new_namespace, workers, tmp_path):
    ns = new_namespace(options={
        "topics": {"file": str(DATA / "powerapps-topics.json"), "searchIn": ["title"], "match": "prefix",
                   "always": ["power-apps"]},
        "providers": {"file": str(DATA / "powerapps-providers.json")},
    }).create_topics()
    rows = [json.loads(line) for line in ROWS.read_text(encoding="utf-8").splitlines()]
    workers.start("normalize", ns.config)
    workers.start("publish", ns.config)
    for numbers in ([n for n in range(len(rows)) if n not in AT_ONCE_LATER], AT_ONCE_LATER):
        tool("load", "-c", ns.config, "-", stdin=raw_lines(numbers, rows), check=True)
        tool("wait", "-c", ns.config, "--timeout", "60s", check=True)

    articles = tmp_path / "articles.ndjson"
    articles.write_bytes(b"\n".join(message.value for message in ns.read("normalized")) + b"\n")
    script = pathlib.Path(__file__).with_name("powerapps_compare.py")
    least = [f"--min={field}={(count - 0.5) / len(rows)}" for field, count in LEAST.items()]
    done = subprocess.run([sys.executable, script, articles, ROWS, *least], capture_output=True, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-3000:]
    assert workers.stop() == [0, 0]
    records = {message.key for message in ns.read("records")}
    assert len(records) == len({row["raw"]["url"] for row in rows})
