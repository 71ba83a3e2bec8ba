"""The register of processing: every table in it, for machines and for people."""

import msgspec
import pytest
from click.testing import CliRunner

from core.classification import CLASSIFICATION, Activity
from core.processing_register import ProcessingRegister, markdown_of, page_of, processing_register
from shell.commands.register import register

REGISTER = processing_register("A & <B> GmbH")


def test_every_table_of_the_classification_is_in_it_once() -> None:
    tables = [table for entry in REGISTER.entries for table in entry.tables]
    assert sorted(tables) == sorted(map(str, CLASSIFICATION))
    assert [entry.activity for entry in REGISTER.entries] == list(Activity)


def test_people_read_in_both_forms_what_machines_do() -> None:
    markdown, page = markdown_of(REGISTER), page_of(REGISTER)
    for entry in REGISTER.entries:
        for text in (entry.purpose, entry.legal_basis, *entry.tables):
            assert text in markdown
            assert text.replace("'", "&#x27;") in page
    assert "A &amp; &lt;B&gt; GmbH" in page
    assert "<B>" not in page, "texts are texts"


@pytest.mark.parametrize(
    ("format_", "begins"), [("markdown", "# Register of"), ("html", "<!doctype html>"), ("json", "{")]
)
def test_the_command_prints_each_form(format_: str, begins: str) -> None:
    said = CliRunner().invoke(register, ["--format", format_, "--controller", REGISTER.controller])
    assert said.exit_code == 0
    assert said.stdout.startswith(begins)
    if format_ == "json":
        assert msgspec.json.decode(said.stdout, type=ProcessingRegister) == REGISTER
