from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from core.usage_import import FAULT
from shell.usage_files import (
    BLOCK_BYTES,
    PIECE_ROWS,
    FileUnusable,
    open_usage_file,
    pieces,
)


def written(folder: Path, content: str | bytes, name: str = "usage.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def rows_of(path: Path, *columns: str, after: int = 0) -> list[tuple[int, dict[str, object]]]:
    file = open_usage_file(path)
    return [(number, dict(row)) for piece in pieces(file, columns, after=after) for number, row in piece.rows]


def faults_of(path: Path) -> list[tuple[int, object]]:
    return [(number, row[FAULT]) for number, row in rows_of(path, "a") if FAULT in row]


# --- CSV ----------------------------------------------------------------------------------------------


def test_rows_of_a_csv_have_the_numbers_of_their_lines(tmp_path: Path) -> None:
    path = written(tmp_path, '\n\na,b,c\n1,2,3\n\n"x\ny",5,6\n,,\n7,8,9\n\n')
    assert rows_of(path, "c", "a") == [
        (4, {"c": "3", "a": "1"}),
        (6, {"c": "6", "a": "x\ny"}),
        (9, {"c": "9", "a": "7"}),
    ]


def test_every_value_of_a_csv_is_text_as_it_is_written(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeffa,b\r\n0.10,NaN\r\n007,\r\n")
    assert rows_of(path, "a", "b") == [(2, {"a": "0.10", "b": "NaN"}), (3, {"a": "007", "b": ""})]


def test_a_row_with_fields_too_few_lacks_them_and_one_with_too_many_is_faulty(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b\n1\n1,2,\n1,2,3\n")
    assert rows_of(path, "a", "b") == [
        (2, {"a": "1", "b": None}),
        (3, {"a": "1", "b": "2"}),
        (4, {FAULT: "has 3 fields, and the header 2"}),
    ]


def test_a_quote_inside_a_field_is_part_of_it(tmp_path: Path) -> None:
    path = written(tmp_path, 'a,b\n5" disk,2\n3,4\n')
    assert rows_of(path, "a") == [(2, {"a": '5" disk'}), (3, {"a": "3"})]


def test_broken_quoting_costs_the_lines_that_it_swallows_and_says_which(tmp_path: Path) -> None:
    path = written(tmp_path, 'a,b\n1,2\n"x"y,3\n3,4\n"open,5\n6,7\n')
    assert faults_of(path) == [
        (3, "its quoting is broken (',' expected after '\"')"),
        (5, "its quoting is broken (unexpected end of data); lines 5 to 6 are not read"),
    ]
    assert [number for number, row in rows_of(path, "a") if FAULT not in row] == [2, 4]


def test_a_row_in_another_encoding_does_not_spoil_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b\nMünchen,1\nBerlin,2\n".encode("latin-1"))
    assert rows_of(path, "a") == [(2, {"a": "M\ufffdnchen"}), (3, {"a": "Berlin"})]


@pytest.mark.parametrize("lines", [1, PIECE_ROWS, PIECE_ROWS + 1, 2 * PIECE_ROWS + 7])
def test_pieces_go_on_after_any_piece_as_if_they_had_never_stopped(tmp_path: Path, lines: int) -> None:
    path = written(tmp_path, "a\n" + "".join(f"{n}\n" if n % 7 else f'"{n}\n"\n' for n in range(lines)))
    file = open_usage_file(path)
    whole = list(pieces(file, ["a"]))
    assert [int(row["a"]) for piece in whole for _, row in piece.rows] == list(range(lines))
    assert whole[-1].end == file.rows
    for place, piece in enumerate(whole):
        assert list(pieces(file, ["a"], after=piece.end)) == whole[place + 1 :]


def test_the_content_has_one_digest_under_any_name(tmp_path: Path) -> None:
    one, same, other = (
        open_usage_file(written(tmp_path, content, name)).digest
        for name, content in [("1.csv", "a\n1\n"), ("2.csv", "a\n1\n"), ("3.csv", "a\n2\n")]
    )
    assert one == same != other


# --- Parquet -------------------------------------------------------------------------------------------


def test_values_of_a_parquet_keep_their_types_exactly(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "decimal": [Decimal("0.100000000000000001")],
            "uint": pl.Series([2**64 - 1], dtype=pl.UInt64),
            "double": [0.1],
            "single": pl.Series([0.1], dtype=pl.Float32),
            "category": pl.Series(["cpu"], dtype=pl.Categorical),
            "text": ["vm"],
            "day": [date(2014, 2, 14)],
            "naive": [datetime(2014, 2, 14, 14, 30)],  # noqa: DTZ001 -- a time without an offset is wanted
            "aware": [datetime(2014, 2, 14, 14, 30, tzinfo=UTC)],
            "nothing": pl.Series([None], dtype=pl.Int64),
        }
    )
    path = tmp_path / "usage.parquet"
    frame.write_parquet(path)
    assert rows_of(path, *frame.columns) == [
        (
            1,
            {
                "decimal": Decimal("0.100000000000000001"),
                "uint": 2**64 - 1,
                "double": 0.1,
                "single": "0.1",
                "category": "cpu",
                "text": "vm",
                "day": date(2014, 2, 14),
                "naive": datetime(2014, 2, 14, 14, 30),  # noqa: DTZ001
                "aware": datetime(2014, 2, 14, 14, 30, tzinfo=UTC),
                "nothing": None,
            },
        )
    ]


def test_a_parquet_is_read_on_after_any_row_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "usage.dat"
    pl.DataFrame({"a": range(12_000)}).write_parquet(path, row_group_size=1_000)
    file = open_usage_file(path)
    assert file.rows == 12_000
    assert [row["a"] for piece in pieces(file, ["a"]) for _, row in piece.rows] == list(range(12_000))
    rest = [pair for piece in pieces(file, ["a"], after=11_998) for pair in piece.rows]
    assert rest == [(11_999, {"a": 11_998}), (12_000, {"a": 11_999})]


def test_a_damaged_parquet_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "usage.parquet"
    pl.DataFrame({"a": range(12_000)}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FileUnusable, match=r"it is damaged \("):
        open_usage_file(path)


# --- neither -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"\n\r\n\n", "it has nothing but empty lines"),
        (bytes(range(256)) * 8, "it is neither Parquet nor text in UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "it is neither Parquet nor text in UTF-8"),
        (b"\x1f\x8b\x08rest", r"it is compressed \(gzip\)"),
        (b"PK\x03\x04rest", r"it is compressed \(ZIP, or a workbook\)"),
        (b"a,b\n" + b"x" * 2 * BLOCK_BYTES + b",1\n", "it has a line of more than a million characters"),
        (b"a,a\n1,2\n", "two of its columns are named 'a'"),
        (b'"a,b\n1,2\n', r"its header cannot be read \("),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_usable_file_is_refused_in_a_sentence(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(FileUnusable, match=f"cannot be imported: {reason}"):
        open_usage_file(written(tmp_path, content))


def test_a_file_that_is_missing_or_no_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    for path, reason in [
        (tmp_path / "none.csv", "there is no such file"),
        (tmp_path, "it is a folder"),
        (Path("/dev/null"), "it is no regular file"),
        (tmp_path / ("x" * 300), "File name too long"),
    ]:
        with pytest.raises(FileUnusable, match=reason):
            open_usage_file(path)
