"""`make faults`: runs every test of a fault and prints the table; `--write` puts it into docs/faults.md too.

Exit 1 where one fails.
"""

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.faults.elsewhere import ROWS
from tests.support.repository import REPOSITORY

PAGE = REPOSITORY / "docs" / "faults.md"
BEGIN, END = "<!-- table -->\n", "<!-- end of table -->\n"


class Line(NamedTuple):
    fault: str
    sees: str
    recovered: str
    lost: str
    verdict: str
    test: str


def main(words: list[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        names = [name for name in words if name != "--write"] or ["tests/faults", *(row.test for row in ROWS)]
        command = [sys.executable, "-m", "pytest", "-q", "-m", "faults or not faults", "-o", "junit_family=xunit1"]
        code = subprocess.run([*command, f"--junitxml={report}", *names], check=False).returncode
        cases = list(ET.parse(report).getroot().iter("testcase"))
    lines = [*own_lines(cases), *lines_elsewhere(cases)]
    table = "".join(f"{line}\n" for line in markdown(lines))
    print(table)
    if "--write" in words:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(before + BEGIN + table + END + rest.partition(END)[2])
    return code


def own_lines(cases: list[ET.Element]) -> Iterator[Line]:
    for case in cases:
        module = case.get("classname", "")
        if not module.startswith("tests.faults.") or module == "tests.faults.test_rows":  # which is no fault
            continue
        said = {p.get("name", ""): p.get("value", "") for p in case.iter("property")}
        name = f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}"
        fault = said.get("fault", str(case.get("name", "")).removeprefix("test_").replace("_", " "))
        verdict = verdict_of([case])
        sees = said.get("sees") or next((str(s.get("message")) for s in case.iter("skipped")), "")
        yield Line(fault, sees, said.get("recovered", ""), said.get("lost", ""), verdict, name.partition("[")[0])


def lines_elsewhere(cases: list[ET.Element]) -> Iterator[Line]:
    for row in ROWS:
        path, _, name = row.test.partition("::")
        module = path.removesuffix(".py").replace("/", ".")
        mine = [c for c in cases if c.get("classname") == module and str(c.get("name")).partition("[")[0] == name]
        if mine:
            yield Line(row.fault, row.sees, "", row.lost, verdict_of(mine), f"{Path(path).stem}::{name}")


def verdict_of(cases: list[ET.Element]) -> str:
    if any(case.find(kind) is not None for case in cases for kind in ("failure", "error")):
        return "**fails**"
    return "skipped" if all(case.find("skipped") is not None for case in cases) else "holds"


def markdown(lines: list[Line]) -> Iterator[str]:
    yield "| fault | what a user sees | recovered in | lost | verdict | test |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for line in lines:
        yield "| " + " | ".join(word.replace("|", "\\|").replace("\n", " ") for word in line) + " |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
