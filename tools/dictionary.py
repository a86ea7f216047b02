"""Write the data dictionary of the marts, docs/dictionary.md, from what dbt knows of them.

    dbt parse && python tools/dictionary.py

With ``--manifest`` another manifest than ``target/manifest.json`` is read; that of a host project
with the semantic layer on will do, because the package is described alike in all of them.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = REPOSITORY / "docs" / "dictionary.md"

HEAD = """\
# Data dictionary

Every mart with its grain, the questions it answers and its columns. Types are those of the
contract, which a build enforces. Written by `make dictionary` from the descriptions of the models;
change them there.
"""

METRICS = """\
## Metrics

What MetricFlow knows, where the [semantic layer](how-to/semantic-layer.md) is on.

| metric | meaning |
|---|---|
"""


def on_one_line(text: str) -> str:
    """Join the lines of a description."""
    return re.sub(r"\s+", " ", text).strip()


def description_parts(text: str) -> tuple[str, str, list[str]]:
    """Part a mart's description into what it says, its grain and the questions it answers.

    Raises
    ------
    ValueError
        If it tells no grain ("One row per ...") or no question ("Answers: ...?").
    """
    text = on_one_line(text)
    grain = re.search(r"One row per [^.]*\.", text)
    answers = re.search(r"Answers: (.*\?)", text)
    if not grain or not answers:
        missing = "grain" if not grain else "question"
        raise ValueError(f"The description tells no {missing}: {text}")
    questions = re.findall(r"[^?]+\?", answers[1])
    rest = text
    for part in (grain[0], answers[0]):
        rest = rest.replace(part, "")
    questions = [question.strip() for question in questions]
    return on_one_line(rest), grain[0], [q[0].upper() + q[1:] for q in questions]


def table_cell(text: str) -> str:
    """Write a text so that it stays in its cell."""
    return on_one_line(text).replace("|", "\\|")


def mart_section(node: Mapping) -> str:
    """Describe one mart, from its node of the manifest, as Markdown."""
    rest, grain, questions = description_parts(node["description"])
    lines = [f"## {node['name']}", "", f"**{grain}** {rest}", ""]
    lines += [f"- {question}" for question in questions]
    lines += ["", "| column | type | description |", "|---|---|---|"]
    lines += [
        f"| `{column['name']}` | {column['data_type']} | {table_cell(column['description'])} |"
        for column in node["columns"].values()
    ]
    return "\n".join(lines)


def metric_section(metrics: Sequence[Mapping]) -> str:
    """List the metrics of the semantic layer, from their nodes of the manifest."""
    return METRICS + "\n".join(
        f"| `{metric['name']}` | {table_cell(metric['description'])} |" for metric in metrics
    )


def dictionary(manifest: Mapping) -> str:
    """Write the page, from a manifest, marts in the order of their names."""
    marts = [
        node
        for node in manifest["nodes"].values()
        if node["package_name"] == "coterie"
        and node["resource_type"] == "model"
        and node["path"].startswith("marts/")
    ]
    marts.sort(key=lambda node: node["name"])
    links = "\n".join(f"- [{node['name']}](#{node['name']})" for node in marts)
    parts = [HEAD, links, *map(mart_section, marts)]
    metrics = [m for m in manifest["metrics"].values() if m["package_name"] == "coterie"]
    if metrics:
        parts.append(metric_section(sorted(metrics, key=lambda metric: metric["name"])))
    return "\n\n".join(part.strip() for part in parts) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Be the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = REPOSITORY / "target" / "manifest.json"
    parser.add_argument("--manifest", type=Path, default=default, help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=PAGE, help="default: %(default)s")
    given = parser.parse_args(arguments)
    manifest = json.loads(given.manifest.read_text(encoding="utf-8"))
    given.out.write_text(dictionary(manifest), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
