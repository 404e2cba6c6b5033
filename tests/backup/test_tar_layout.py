"""Python's own tar reader sees what was written."""

import io
import tarfile

import pytest

from jetstream.backup import tar_layout


@pytest.mark.parametrize("name", ["a", "x" * 100, "x" * 101, "Zoë/" * 200 + "1.jpg"])
@pytest.mark.parametrize("size", [0, 511, 512, 513])
def test_header_is_what_tar_reads(name: str, size: int) -> None:
    content = bytes(range(256)) * 2 + b"x"
    archive = (
        tar_layout.header(name, size, mode=0o640, changed_s=1_700_000_000)
        + content[:size]
        + tar_layout.padding(size)
        + tar_layout.END
    )

    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        (member,) = tar.getmembers()
        file = tar.extractfile(member)
        assert file is not None
        assert (member.name, member.size, member.mode, member.mtime) == (name, size, 0o640, 1_700_000_000)
        assert member.isreg()
        assert file.read() == content[:size]


@pytest.mark.parametrize("size", [8**11 - 1, 8**11, 1 << 40])
def test_size_of_many_gigabytes_is_read(size: int) -> None:
    assert tarfile.TarInfo.frombuf(tar_layout.header("a", size), "utf-8", "strict").size == size


def test_length_of_a_header_depends_on_the_name_alone() -> None:
    name = "ü" * 90

    lengths = {len(tar_layout.header(name, size, changed_s=size)) for size in (0, 1, 8**11, 1 << 62)}

    assert len(lengths) == 1


@pytest.mark.parametrize("block", [b"", b"no header", bytes(512), b"x" * 512])
def test_bytes_without_a_size_have_none(block: bytes) -> None:
    assert not tar_layout.size_in(block)
