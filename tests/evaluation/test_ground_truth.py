"""Files that tell who is in a video."""

import re
from pathlib import Path

import pytest

from jetstream.errors import UserError
from jetstream.evaluation import ground_truth
from tests.support.repository import REPOSITORY


def test_truths_of_the_readme_are_truths() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    section = readme[readme.index("## How well") : readme.index("## Recording and replay")]
    found = [ground_truth.parse(text.encode()) for text in re.findall(r"```json\n(.*?)```", section, re.DOTALL)]

    assert [told.names for told in found] == [{"Ada Lovelace"}, {"Ada Lovelace", "Charles Babbage"}]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "no json",
        '{"frame": 1}',
        '[{"frame": 1, "faces": [{"box": [1, 2, 3], "name": "Ada"}]}]',
        '[{"frame": "one", "faces": []}]',
        '{"shots": [], "size": [1, 1]}',
        '{"shots": [{"first": 0, "last": 5, "left": "Ada", "right": "Bob"}]}',
        '{"size": [9, 9], "shots": [{"first": 9, "last": 5, "left": "Ada", "right": "Bob"}]}',
        "\xff",
    ],
)
def test_damaged_truth_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "truth.json"
    path.write_bytes(text.encode("latin-1"))

    with pytest.raises(UserError, match=r"--truth .*truth\.json: .*expected \{") as caught:
        ground_truth.load(path)
    assert "\n" not in str(caught.value)
