"""The documents say what is there: files, commands, recipes, settings, decisions."""

import re
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import pytest

from shell.cli import main
from shell.settings import PREFIX, Secret, Settings

ROOT = Path(__file__).parents[1]
ADR = ROOT / "docs" / "adr"
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
DOCUMENTS += sorted((ROOT / "docs").rglob("*.md"))

FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
# A file of ours; `core/money.py` and the like are short for what lies in src/platform.
FOLDERS = r"(?:\.ci|bench|core|docs|jobs|ops|queries|shell|sql|src|tests|web)"
FILE = re.compile(rf"{FOLDERS}/[\w./-]+")
SHORT = (ROOT, ROOT / "src" / "platform", ROOT / "sql")
COMMAND = re.compile(r"\beu-platform((?: +[\w.-]+)+)")
RECIPE = re.compile(r"\bjust +([a-z]+(?:-[a-z]+)*)")
SETTING = re.compile(rf"\b{PREFIX}[A-Z0-9_]+")
ROW = re.compile(rf"^\| `({PREFIX}[A-Z0-9_]+)` \| (?:`([^`]*)`|[^`|]*) \| \S.*\|$", re.MULTILINE)

SECRETS = [field for field in msgspec.structs.fields(Settings) if field.type == (Secret | None)]

each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def code(text: str) -> Iterator[str]:
    """What stands in a document as code: each line of a block, each span in a sentence."""
    for block in FENCE.findall(text):
        yield from block.splitlines()[1:-1]
    yield from SPAN.findall(FENCE.sub("", text))


def missing_links(text: str, folder: Path) -> list[str]:
    """The relative links that lead nowhere."""
    targets = (target.partition("#")[0] for target in LINK.findall(FENCE.sub("", text)))
    return [
        target
        for target in targets
        if target and not re.match(r"\w+:", target) and not (folder / target).exists()
    ]


def missing_files(text: str) -> list[str]:
    """The files named as code that do not exist, apart from an `__init__.py`, which must not."""
    named = {span for span in code(text) if FILE.fullmatch(span) and not span.endswith("__init__.py")}
    examples = {name for name in named if "NNN" in name}
    return sorted(name for name in named - examples if not any((root / name).exists() for root in SHORT))


def unknown_commands(text: str) -> list[str]:
    """The calls of `eu-platform` that name a command or an option that there is not."""
    calls = {call for line in code(text) for call in COMMAND.findall(line)}
    return sorted(f"eu-platform{call}" for call in calls if not _is_known(main, call.split()))


def _is_known(command: click.Command, words: list[str]) -> bool:
    context = click.Context(command)
    if isinstance(command, click.Group):
        found = command.get_command(context, words[0]) if words else None
        return not words or (found is not None and _is_known(found, words[1:]))
    known = {name for item in command.get_params(context) for name in (*item.opts, *item.secondary_opts)}
    return all(word in known for word in words if word.startswith("--"))


def unknown_settings(text: str) -> set[str]:
    """The variables that are no settings."""
    in_files = {PREFIX + field.name.upper() + "_FILE" for field in SECRETS}
    return set(SETTING.findall(text)) - set(defaults()) - in_files


def defaults() -> dict[str, str | None]:
    """The default of each setting's variable as the environment would give it, None where it has none."""
    fields = msgspec.structs.fields(Settings)
    return {PREFIX + field.name.upper(): _written(field.default) for field in fields}


def _written(default: object) -> str | None:
    assert not isinstance(default, Secret), "no secret has a default"
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return ",".join(default) or None
    return None if default is None else str(default)


@each_document
def test_every_link_leads_to_a_file(path: Path) -> None:
    assert missing_links(path.read_text("utf-8"), path.parent) == []


@each_document
def test_every_file_that_is_named_exists(path: Path) -> None:
    assert missing_files(path.read_text("utf-8")) == []


@each_document
def test_every_command_that_is_named_exists(path: Path) -> None:
    assert unknown_commands(path.read_text("utf-8")) == []


def test_every_recipe_that_is_named_exists() -> None:
    just = Path(sysconfig.get_path("scripts")) / "just"
    summary = subprocess.run([just, "--summary"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    lines = [line for path in DOCUMENTS for line in code(path.read_text("utf-8"))]
    named = {recipe for line in lines for recipe in RECIPE.findall(line)}
    assert {"up", "demo", "test", "check"} <= named <= set(summary.split())


@each_document
def test_every_setting_that_is_named_exists(path: Path) -> None:
    assert unknown_settings(path.read_text("utf-8")) == set()


def test_the_file_of_every_secret_is_documented() -> None:
    text = (ROOT / "docs" / "settings.md").read_text("utf-8")
    assert [field.name for field in SECRETS if f"`{PREFIX}{field.name.upper()}_FILE`" not in text] == []


def test_every_setting_is_documented_once_with_its_default() -> None:
    rows = ROW.findall((ROOT / "docs" / "settings.md").read_text("utf-8"))
    assert len(rows) == len(defaults())
    assert {name: default or None for name, default in rows} == defaults()


def test_every_decision_is_listed_under_its_title() -> None:
    pages = sorted(ADR.glob("[0-9]*.md"))
    listed = re.findall(
        r"^\| \[(\d{4})\]\(([^)]+)\) \| (.+) \|$", (ADR / "README.md").read_text("utf-8"), re.MULTILINE
    )
    assert [(page.name[:4], page.name) for page in pages] == [(number, name) for number, name, _ in listed]
    assert len({number for number, _, _ in listed}) == len(pages)
    for page, (number, _, title) in zip(pages, listed, strict=True):
        assert page.read_text("utf-8").startswith(f"# {number}: {title}\n")


@pytest.mark.parametrize("page", sorted(ADR.glob("[0-9]*.md")), ids=lambda page: page.stem)
def test_a_decision_has_context_decision_and_consequences(page: Path) -> None:
    parts = re.findall(r"^## (.+)$", page.read_text("utf-8"), re.MULTILINE)
    assert parts == ["Context", "Decision", "Consequences"]


def test_every_document_is_in_the_index() -> None:
    linked = set(LINK.findall((ROOT / "docs" / "README.md").read_text("utf-8")))
    assert {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"} <= linked


def test_documents_that_the_sources_name_exist() -> None:
    sources = [ROOT / "pyproject.toml", ROOT / "justfile", *sorted((ROOT / "src" / "platform").rglob("*.py"))]
    named = {name for path in sources for name in re.findall(r"\bdocs/[\w/-]+\.md", path.read_text("utf-8"))}
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_the_readme_opens_with_the_two_commands() -> None:
    first_screen = "\n".join((ROOT / "README.md").read_text("utf-8").splitlines()[:24])
    commands = """
```
pip install uv && uv run just up      # the platform, on http://127.0.0.1:8000
pip install uv && uv run just test    # the tests
```
"""
    assert commands in first_screen


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            missing_links("[a](nowhere.md), [b](README.md#tour), [c](https://a.example/b)", ROOT),
            ["nowhere.md"],
        ),
        (missing_files("`core/nowhere.py`, `core/money.py`, `sql/tenant/NNN_name.sql`"), ["core/nowhere.py"]),
        (unknown_commands("`eu-platform fly`, `eu-platform migrate`"), ["eu-platform fly"]),
        (unknown_commands("```sh\nuv run eu-platform up --hots x\n```"), ["eu-platform up --hots x"]),
        (unknown_commands("`eu-platform operator make`"), ["eu-platform operator make"]),
        (unknown_settings("PLATFORM_PROT, PLATFORM_PORT"), {"PLATFORM_PROT"}),
    ],
)
def test_the_checks_catch(found: object, said: object) -> None:
    assert found == said
