#!/usr/bin/env python3
"""Compares articles of the stream `articles.normalized` with the records that a real site made of the same raw events.

    powerapps_compare.py ARTICLES.ndjson powerapps-dev.ndjson

ARTICLES: one article/1 a line, in the order of the stream (`newsmill tail --stream normalized --format json`).
The second file has one {"raw", "expect"} a line. Pairs are made by URL; where a URL occurs several times, its i-th row
goes with its i-th article (load the later ones in a second call, so that each has a message of its own). Every
difference is printed, then the rate of exact matches of each field. Exit code 1: a rate is below what is expected, or
an article is missing. Figures and URLs only: nothing of the texts is printed unless --show is given.
"""

import argparse
import collections
import json
import re
import sys

FIELDS = ("slug", "path", "topics", "quality", "cdnAmpWebUrl", "providerImages")
DATED = re.compile(r"^_news/\d{4}-\d\d-\d\d-(.*)\.md$")


def slug(path):
    found = DATED.match(path or "")
    return found.group(1) if found else None


def facts(record, article):
    """The compared fields, from an `expect` or from an article."""
    images = article.get("provider", {}).get("images") if article else record["providerImages"]
    source = article or record
    return {
        "slug": slug(source.get("path")),
        "path": source.get("path"),
        "topics": sorted(source.get("topics") or []),
        "quality": source.get("quality"),
        "cdnAmpWebUrl": source.get("cdnAmpWebUrl"),
        "providerImages": bool(images),
    }


def read_lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def by_url(articles):
    """originalUrl -> its articles in the order of the stream, retractions left out."""
    found = collections.defaultdict(list)
    for article in articles:
        if not article.get("retracted"):
            found[article["originalUrl"]].append(article)
    return found


def compare(rows, articles):
    """Yields (row number, URL, wanted facts, facts or None if there is no article)."""
    found = by_url(articles)
    taken = collections.Counter()
    for number, row in enumerate(rows):
        url = row["raw"]["url"].strip()
        mine = found.get(url, [])
        article = mine[taken[url]] if taken[url] < len(mine) else None
        taken[url] += 1
        yield number, url, facts(row["expect"], None), facts(row["expect"], article) if article else None


def report(rows, articles, show):
    exact = collections.Counter()
    missing = 0
    for number, url, want, have in compare(rows, articles):
        if have is None:
            missing += 1
            print(f"row {number}: no article for {url}")
            continue
        for field in FIELDS:
            if want[field] == have[field]:
                exact[field] += 1
            else:
                hidden = field in ("slug", "path") and not show
                detail = "" if hidden else f": {have[field]!r}, expected {want[field]!r}"
                print(f"row {number}: {field} differs{detail} ({url})")
    return exact, missing


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("articles")
    parser.add_argument("expected")
    parser.add_argument("--show", action="store_true", help="print differing slugs and paths too")
    parser.add_argument(
        "--min", action="append", default=[], metavar="FIELD=RATE", help="exit 1 below this rate (0 to 1), repeatable"
    )
    args = parser.parse_args()
    rows = read_lines(args.expected)
    exact, missing = report(rows, read_lines(args.articles), args.show)
    wanted = dict(pair.split("=", 1) for pair in args.min)
    failed = missing > 0
    for field in FIELDS:
        rate = exact[field] / len(rows)
        short = rate < float(wanted.get(field, 0))
        failed = failed or short
        print(f"{field:15} {exact[field]:4} of {len(rows)} exact ({rate:.2%}){'  TOO FEW' if short else ''}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
