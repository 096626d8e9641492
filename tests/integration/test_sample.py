"""The sample of the quick start, through all workers with the options of the quick start: what a newcomer is to see in it."""

import collections
import json

import yaml

from support import linking, stories
from support.articles import latest
from support.facets import rest
from support.servers import ROOT

FLEET = ("normalize", "related", "heat", "publish")


def registry(name):
    return yaml.safe_load((ROOT / "deploy/config" / f"{name}.yaml").read_text())


def sample(part):
    """(url or id, line) of every event, as `newsmill load` would send it."""
    for line in (ROOT / "deploy/sample" / f"{part}.ndjson").read_text().splitlines():
        try:
            event = json.loads(line)
            key = event.get("url") or event.get("id")
        except (ValueError, AttributeError):
            key = None
        yield key, line


def leads_of(space):
    """{story: its leads, one after the other} by the related facets in the order of their revisions."""
    facets = [json.loads(message.value) for message in space.read("facets")]
    found = collections.defaultdict(list)
    for facet in sorted((f for f in facets if f["facet"] == "related" and f["data"]), key=lambda f: f["revision"]):
        leads = found[facet["data"]["story"]["id"]]
        if facet["data"]["story"]["lead"] not in leads[-1:]:
            leads.append(facet["data"]["story"]["lead"])
    return found


def work_off(space, part):
    space.produce("raw", list(sample(part)))
    space.wait_done("normalize", "raw")
    space.wait_done("related", "normalized")
    linking.wait_told(space, 60)


def test_the_sample_has_stories_a_merge_and_a_lead_that_changes(new_namespace, workers):
    space = new_namespace(partitions=4, providers=registry("providers"), topics=registry("topics"),
                          options={"publish": {"expect": ["related"]}}).create_topics()
    for worker in FLEET:
        workers.start(worker, space.config)
    work_off(space, "raw")
    apart = set(stories.load(space).story)
    work_off(space, "later")
    for _ in range(2):  # heat hears of stories, publish of heat
        space.wait_done("heat", "facets")
        rest(space)
    state = stories.load(space)
    stories.check_sound(state)
    records = [json.loads(message.value) for message in latest(space).values() if message.value]
    shown = [record for record in records if record["published"]]
    assert sum(1 for record in shown if record.get("related")) >= 6, "leads with others below them"
    assert apart & set(state.into), "the second part makes no two stories one"
    changed = [leads for story, leads in leads_of(space).items() if len(leads) > 1 and bytes.fromhex(story) not in state.into]
    assert changed, "no story changed its lead"
    assert workers.stop() == [0] * len(FLEET)
