"""Every message that a test sees, against deploy/schemas and what a schema cannot say.

That is: the order of members (that of "properties"), no empty text where a member has none, sums, the headers of each stream and
their agreement with key and value. Compiled once; a message costs some 50 µs, so every one of them is looked at.

The schemas keep to what draft 2020-12 and draft 7 have in common, since fastjsonschema, which compiles them, knows the
latter; test_schemas.py checks them with jsonschema, too.
"""

import functools
import json
import re

import fastjsonschema

from .servers import ROOT

FOLDER = ROOT / "deploy" / "schemas"
STREAMS = {"normalized": "article/1", "facets": "facet/1", "records": "record/1", "dead": "dead/1"}
NUMBER = re.compile(r"[1-9][0-9]*")


def file_of(schema):
    """article/1 lies in article.1.json."""
    return FOLDER / f"{schema.replace('/', '.')}.json"


@functools.cache
def load(schema):
    return json.loads(file_of(schema).read_text(encoding="utf-8"))


@functools.cache
def validator(schema):
    """A function that raises fastjsonschema.JsonSchemaValueException."""
    return fastjsonschema.compile({**load(schema), "$schema": "http://json-schema.org/draft-07/schema#"}, use_default=False)


# ---- order

def _orderer(root, node):
    """A function (value, path, found) that appends what is out of order below `node` of the schema `root`, or None where
    nothing can be. Built once: the schema is not looked at again for each message."""
    if "$ref" in node:
        return _ref_orderer(id(root), node["$ref"])
    if "anyOf" in node:
        return next((order for option in node["anyOf"] if (order := _orderer(root, option))), None)
    if "items" in node:
        inner = _orderer(root, node["items"])
        return inner and functools.partial(_check_list, inner)
    if "properties" in node:
        places = {name: (place, _orderer(root, member) if isinstance(member, dict) else None)
                  for place, (name, member) in enumerate(node["properties"].items())}
        return functools.partial(_check_object, places)
    return None


_roots = {}


@functools.cache
def _ref_orderer(root_id, ref):
    root = _roots[root_id]
    return _orderer(root, root["$defs"][ref.removeprefix("#/$defs/")])


def _check_list(inner, values, path, found):
    if isinstance(values, list):
        for value in values:
            inner(value, path, found)


def _check_object(places, value, path, found):
    if not isinstance(value, dict):
        return
    last = -1
    for name, member in value.items():
        place, inner = places.get(name, (last, None))
        if place < last:
            found.append(f"{path}{name} stands behind members that come after it")
        last = max(last, place)
        if inner is not None:
            inner(member, f"{path}{name}.", found)


@functools.cache
def _order(schema, facet=None):
    root = load(schema)
    _roots[id(root)] = root
    return _orderer(root, root["$defs"][facet] if facet else root)


def ordered(schema, value):
    """The same object with its outermost members in the order of the schema; those that it does not name come last."""
    places = {name: place for place, name in enumerate(load(schema)["properties"])}
    return dict(sorted(value.items(), key=lambda pair: places.get(pair[0], len(places))))


# ---- values

def _pairs(pairs):
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError(f"a name stands twice: {[name for name, _ in pairs]}")
    return value


def value_problems(schema, value):
    """What is wrong with a parsed value, as sentences."""
    found = []
    try:
        validator(schema)(value)
    except fastjsonschema.JsonSchemaValueException as error:
        found.append(error.message)
        return found
    _order(schema)(value, "", found)
    if schema == "article/1" and "retracted" not in value:
        total = sum(part["points"] for part in value["qualityParts"])
        if total != value["quality"]:
            found.append(f"qualityParts make {total}, quality is {value['quality']}")
    if schema == "facet/1" and value.get("data") is not None:
        _order(schema, value["facet"])(value["data"], "data.", found)
        found += _facet_problems(value)
    if schema == "record/1" and "related" in value and value.get("story", {}).get("lead", value["id"]) != value["id"]:
        found.append("related of an article that is not the lead of its story")
    return found


def _facet_problems(value):
    found = []
    for image in value["data"].get("images", ()):
        widths = [thumbnail["width"] for thumbnail in image.get("thumbnails", ())]
        if widths != sorted(widths):
            found.append(f"thumbnails are not smallest first: {widths}")
    for name in ("related", "links"):
        scores = [link["score"] for link in value["data"].get(name, ())]
        if any(round(score, 4) != score for score in scores):
            found.append(f"{name}: a score of more than 4 decimals: {scores}")
    links = [link["score"] for link in value["data"].get("links", ())]
    if links != sorted(links, reverse=True):
        found.append(f"links are not best first: {links}")
    return found


# ---- messages

def _text(value):
    return value.decode("utf-8") if isinstance(value, bytes) else value


def _headers_of(headers):
    """Our headers as text: {name: value}, and the names that stand twice."""
    ours, twice = {}, []
    for name, value in headers.items() if isinstance(headers, dict) else headers or ():
        if name.startswith("nm-"):
            if name in ours:
                twice.append(name)
            ours[name] = _text(value)
    return ours, twice


def problems(space, stream, key, value, headers):
    """What is wrong with a message of normalized, facets, records or dead, as sentences; headers: pairs or a dict."""
    if stream not in STREAMS:
        return []
    try:
        ours, twice = _headers_of(headers)
        found = [f"the header {name} stands twice" for name in twice]
        if ours.get("nm-ns") != space.name:
            found.append(f"nm-ns is {ours.get('nm-ns')!r}")
        if stream == "dead":
            return found + _dead_problems(ours)
        return found + _own_problems(STREAMS[stream], _text(key), value, ours)
    except ValueError as error:  # UTF-8 or JSON
        return [str(error)]


def _dead_problems(ours):
    try:
        validator("dead/1")(ours)
    except fastjsonschema.JsonSchemaValueException as error:
        return [error.message]
    message = ours["nm-message"]
    return [] if message.isprintable() and len(message.encode()) <= 300 else [f"nm-message: {message!r}"]


def _own_problems(schema, key, value, ours):
    found = []
    if ours.get("nm-schema") != schema:
        found.append(f"nm-schema is {ours.get('nm-schema')!r}")
    allowed = {"nm-schema", "nm-ns", "nm-revision"}
    revision = None
    if value is None:
        if schema != "record/1":
            found.append("a tombstone")
        if not re.fullmatch("[0-9a-f]{32}", key or ""):
            found.append(f"the key is {key!r}")
    else:
        parsed = json.loads(_text(value), object_pairs_hook=_pairs)
        found += value_problems(schema, parsed)
        if isinstance(parsed, dict):
            revision = parsed.get("revision")
            if parsed.get("id") != key:
                found.append(f"the key is {key!r}, not the id")
            if parsed.get("facet") == "touch":
                allowed.discard("nm-revision")
    if set(ours) != allowed:
        found.append(f"headers are {sorted(ours)}")
    shown = ours.get("nm-revision")
    if shown is not None and (not NUMBER.fullmatch(shown) or revision not in (None, int(shown))):
        found.append(f"nm-revision is {shown!r}, revision {revision}")
    return found


def message_problems(space, stream, message):
    """The same for a message of the Python client, or one of support.namespace."""
    if callable(message.value):
        return problems(space, stream, message.key(), message.value(), message.headers())
    return problems(space, stream, message.key, message.value, message.headers)


def check(space, stream, message):
    found = message_problems(space, stream, message)
    if found:
        partition, offset, value = ((message.partition(), message.offset(), message.value()) if callable(message.value) else
                                    (message.partition, message.offset, message.value))
        raise AssertionError(f"{stream} {partition}/{offset} is not as deploy/schemas and messages say: {'; '.join(found)}\n"
                             f"{value!r:.1500}")


def check_sent(space, stream, key, value, headers):
    """For what a test writes itself, in place of a worker."""
    found = problems(space, stream, key, value, headers)
    assert not found, f"the test's own message for {stream} is not as deploy/schemas say: {'; '.join(found)}\n{value!r:.1500}"
