"""Files that tell who is in a video."""

from pathlib import Path

import pytest

from jetstream.errors import UserError
from jetstream.evaluation import ground_truth
from tests.support.repository import REPOSITORY
from tools.pages import blocks


def test_truths_of_the_accuracy_page_are_truths() -> None:
    page = REPOSITORY / "docs" / "accuracy.md"
    found = [ground_truth.parse(block.text.encode()) for block in blocks(page) if block.language == "json"]

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
