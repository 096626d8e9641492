"""What lies in Redis of `related`, read without its code, and the rules that must hold of it whenever nothing is on its way."""

import collections
import json
import math
import struct

State = collections.namedtuple("State", "article gone vector links hints story into centroid members counters postings rev out ttl")


def vector(text):
    return {text[i:i + 8]: struct.unpack_from("<f", text, i + 8)[0] for i in range(0, len(text), 12)}


def load(space):
    """Every key below {rel}."""
    prefix = f"{space.name}:{{rel}}:".encode()
    state = State({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, 0, {}, {})
    rev = 0
    with space.redis.client() as client:
        for key in client.scan_iter(match=prefix + b"*", count=1000):
            kind, _, name = key[len(prefix):].partition(b":")
            state.ttl[key] = client.ttl(key)
            if kind == b"m":
                fields = client.hgetall(key)
                (state.gone if b"gone" in fields else state.article)[name] = fields
            elif kind == b"v":
                state.vector[name] = vector(client.get(key)[1:])
            elif kind == b"l":
                state.links[name] = client.get(key)
            elif kind == b"h":
                state.hints[name] = client.lrange(key, 0, -1)
            elif kind == b"s":
                fields = client.hgetall(key)
                if b"into" in fields:
                    state.into[name] = fields[b"into"]
                else:
                    state.story[name] = fields
            elif kind == b"c":
                state.centroid[name] = vector(client.get(key))
            elif kind == b"z":
                state.members[name] = client.zrange(key, 0, -1, withscores=True)
            elif kind == b"df":
                state.counters[name] = client.hgetall(key)
            elif kind == b"p":
                state.postings[name] = dict(client.zrange(key, 0, -1, withscores=True))
            elif kind == b"out":
                state.out[name] = dict(client.zrange(key, 0, -1, withscores=True))
            elif kind == b"rev":
                rev = int(client.get(key))
            else:
                assert kind == b"meaning", key
    return state._replace(rev=rev)


def root(state, story):
    seen = set()
    while story in state.into:
        assert story not in seen, "a cycle of pointers"
        seen.add(story)
        story = state.into[story]
    return story


def check_stories(state):
    """Every member in one list, sizes, leads, centroids."""
    where = {}
    for story, members in state.members.items():
        for member, _ in members:
            assert member not in where, f"{member.hex()} is in two lists"
            where[member] = story
    for name, fields in state.article.items():
        assert name in where, f"{name.hex()} is in no list"
        assert root(state, fields[b"s"]) == where[name], f"{name.hex()} lies in another list than it says"
        assert name in state.vector, f"{name.hex()} has no vector"
    assert set(where) <= set(state.article), "a list holds what is no article"
    for story, fields in state.story.items():
        members = state.members.get(story, [])
        assert int(fields[b"n"]) == len(members), f"{story.hex()}: size {fields[b'n']}, {len(members)} members"
        assert not fields.get(b"rest"), f"{story.hex()}: members are still moving"
        best = max(members, key=lambda member: (member[1], member[0]))[0]
        assert fields[b"lead"] == best, f"{story.hex()}: the lead is not its best member"
        times = [int(state.article[member][b"t"]) for member, _ in members]
        assert int(fields[b"last"]) >= max(times)
    assert set(state.members) == set(state.story) == set(state.centroid)


def check_centroids(state, centroid_max=64):
    """Where nothing was pruned, the sum of the members' vectors."""
    for story, centroid in state.centroid.items():
        want = collections.Counter()
        for member, _ in state.members[story]:
            want.update(state.vector[member])
        if len(want) > centroid_max or len(want) != len(centroid):
            assert len(centroid) <= centroid_max
            nobody = {term.hex(): weight for term, weight in centroid.items() if term not in want}
            assert not nobody, f"{story.hex()} has terms of nobody: {nobody}"
            continue
        for term, weight in want.items():
            # it is kept in 32 bits, so each sum may be wrong by half of its last place
            room = max(1e-4, 2.0 ** -24 * len(state.members[story]))
            assert math.isclose(centroid.get(term, 0), weight, rel_tol=room, abs_tol=1e-4), (story.hex(), weight, centroid.get(term))


def check_postings(state, most=64):
    for term, ids in state.postings.items():
        assert len(ids) <= most
        for name, at in ids.items():
            assert name in state.article, f"a posting of {name.hex()}, which is no article"
            assert term in state.vector[name], f"a posting of {name.hex()} under a term that it does not have"
            assert at == int(state.article[name][b"t"])
    for values in state.counters.values():
        assert all(int(value) >= 0 for value in values.values())


def check_sound(state):
    check_stories(state)
    check_centroids(state)
    check_postings(state)
    assert not any(state.out.values()), "something is still to be sent"
    for key, ttl in state.ttl.items():
        name = key.split(b"{rel}:", 1)[1]
        assert ttl > 0 or name == b"rev" or name == b"meaning", f"{key} never expires"


def newest_facets(space):
    """{id: (revision, data)} of related; of equal revisions the later one."""
    newest = {}
    for message in space.read("facets"):
        facet = json.loads(message.value)
        if facet["facet"] == "related" and facet["revision"] >= newest.get(facet["id"], (0,))[0]:
            newest[facet["id"]] = (facet["revision"], facet["data"])
    return newest


def check_facets(state, facets, most=20):
    """The last facet of every id is what the state says, but for a member's size."""
    for name, fields in state.article.items():
        revision, data = facets[name.hex()]
        story = root(state, fields[b"s"])
        members = sorted(state.members[story], key=lambda member: (member[1], member[0]), reverse=True)
        lead = members[0][0]
        assert data, f"{name.hex()} was retracted by its last facet"
        assert (data["story"]["id"], data["story"]["lead"]) == (story.hex(), lead.hex()), f"{name.hex()} was told of another story or lead"
        shown = [entry["id"] for entry in data["related"]]
        if name == lead:
            assert data["story"]["size"] == len(members), f"{name.hex()}: size"
            assert shown == [member.hex() for member, _ in members if member != lead][:most], f"{name.hex()}: what it shows"
        else:
            assert shown == []
        links = state.links.get(name, b"")
        assert [entry["id"] for entry in data["links"]] == [links[i:i + 16].hex() for i in range(0, len(links), 20)]
        assert revision <= state.rev
    for name in state.gone:
        assert facets[name.hex()][1] is None, f"{name.hex()} is gone, its facet is not"
