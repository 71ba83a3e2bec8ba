import hashlib
from base64 import b64encode

import pytest

from core.checkpoint import (
    Checkpoint,
    CheckpointMalformed,
    key_id,
    note_of,
    parse_note,
    parse_public_key,
    public_key_text,
)

# The example of c2sp.org/tlog-checkpoint.
EXAMPLE = """example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa \
Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
"""
KEY = bytes(range(32))
HEAD = Checkpoint("example.com/log/1", 7, hashlib.sha256(b"").digest())
NOTE = note_of(HEAD, public_key=KEY, signature=bytes(64))


def test_the_example_of_the_specification_is_read() -> None:
    found = parse_note(EXAMPLE)
    assert found.checkpoint.origin == "example.com/behind-the-sofa"
    assert found.checkpoint.size == 20852163
    assert found.checkpoint.text == found.text
    [signature] = found.signatures
    assert (signature.name, len(signature.signature)) == ("example.com/behind-the-sofa", 64)


def test_a_note_is_read_as_it_was_written() -> None:
    found = parse_note(NOTE)
    assert found.checkpoint == HEAD
    assert found.by(KEY) == bytes(64)
    assert found.by(bytes(32)) is None


def test_a_key_is_told_by_name_type_and_bytes() -> None:
    assert key_id("name", KEY) == hashlib.sha256(b"name\n\x01" + KEY).digest()[:4]


def test_a_public_key_is_read_alone_or_as_a_verifier_key() -> None:
    text = public_key_text(KEY)
    assert parse_public_key(f" {text}\n") == KEY
    assert parse_public_key(f"example.com/log/1+{key_id('example.com/log/1', KEY).hex()}+{text}") == KEY


@pytest.mark.parametrize(
    "text", ["", "no base64!", b64encode(bytes(32)).decode(), b64encode(b"\x02" + bytes(32)).decode()]
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(CheckpointMalformed):
        parse_public_key(text)


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n\n",
        NOTE.removesuffix("\n"),
        NOTE.replace("\n7\n", "\n07\n"),
        NOTE.replace("\n7\n", "\n-7\n"),
        NOTE.replace("\n7\n", "\n\n"),
        NOTE.replace("—", "-"),
        NOTE.replace(HEAD.text.split("\n")[2], "AAAA"),
        NOTE.partition("— ")[0],
        NOTE + NOTE.rpartition("\n\n")[2] * 16,
        NOTE.replace("example.com/log/1\n", "example.com/log/1\n" + "x\n" * 10_000),
    ],
)
def test_what_is_no_checkpoint_is_refused(note: str) -> None:
    with pytest.raises(CheckpointMalformed):
        parse_note(note)
