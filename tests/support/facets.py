"""Facets as the workers that enrich articles will write them, and when publish has come to rest with both its inputs."""

import json

from .articles import count, ident, put
from .waiting import until


def facet(number, name, revision, data):
    """(key, value) of a facet/1."""
    return ident(number), json.dumps({"id": ident(number), "facet": name, "revision": revision, "data": data})


def story(lead, *others):
    return {"story": {"id": ident(77), "lead": ident(lead), "size": 1 + len(others)},
            "related": [{"id": ident(n), "score": 0.5} for n in others], "links": []}


def heat(points):
    return {"heat": points, "asOf": "2031-04-12T06:00:00Z", "parts": []}


def cached(url):
    return {"url": url, "state": "cached", "isCached": True, "width": 640, "height": 480, "type": "image/png", "bytes": 7,
            "sha256": "0" * 64}


def facet_headers(ns, value):
    try:
        return ns.headers("facet/1", json.loads(value)["revision"])
    except (ValueError, KeyError, TypeError):
        return ns.headers("facet/1")


def put_facets(ns, *facets, check=None):
    put(ns, "facets", [(key, value, None, facet_headers(ns, value)) for key, value in facets], check=check)


def settle_all(ns, timeout_s=60):
    ns.wait_done("publish", "normalized", timeout_s)
    ns.wait_done("publish", "facets", timeout_s)


def rest(ns, timeout_s=60):
    """Until publish has done everything, its own touches too: a touch lies on the stream before its event is done."""
    def same():
        before = [count(ns, stream) for stream in ("normalized", "facets", "records")]
        settle_all(ns, timeout_s)
        return before == [count(ns, stream) for stream in ("normalized", "facets", "records")]
    until(same, timeout_s, "the streams grow no more")
