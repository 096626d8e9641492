"""The README says what is true: its table of options is the one that the programs print."""

import re

from support.servers import ROOT
from support.workers import tool


def test_the_table_of_options_is_the_generated_one():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"<!-- options: begin -->\n(.*?)\n<!-- options: end -->", readme, re.DOTALL)
    assert table.strip() == tool("options", "--markdown", check=True).stdout.strip(), \
        "put the output of `build/bin/newsmill options --markdown` between the two marks"


def test_files_that_the_readme_links_exist():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    missing = [path for path in re.findall(r"\]\(([^)#]+)\)", readme) if not (ROOT / path).exists()]
    assert missing == []
