import platform
import sysconfig
from pathlib import Path

from tests.architecture.sources import ROOT, SOURCES


def test_the_import_root_is_no_package_and_platform_is_the_standard_librarys() -> None:
    assert not (SOURCES / "__init__.py").exists()
    assert not (ROOT / "src" / "__init__.py").exists()
    assert Path(platform.__file__).parent == Path(sysconfig.get_path("stdlib"))
    assert platform.system()


def test_tests_are_no_package_so_that_they_cannot_hijack_the_packages_they_mirror() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_no_python_version_is_pinned() -> None:
    """With such a file, a uv that lives in a pyenv interpreter does not start."""
    assert not (ROOT / ".python-version").exists()
