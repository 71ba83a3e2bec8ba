"""What can go wrong with the embedded servers and the data folder they live in."""

from core.errors import PlatformError


class EmbeddedServerError(PlatformError):
    """An embedded server cannot be run."""


class BinaryMissing(EmbeddedServerError):
    """The program {program} is missing; install the package {package} again."""

    fields = ("program", "package")


class SetprivMissing(EmbeddedServerError):
    """As root this needs the program setpriv (of util-linux); install it, or run as a normal user."""


class AccountMissing(EmbeddedServerError):
    """PostgreSQL needs an operating-system user with a name, and the user id {uid} has none."""

    fields = ("uid",)


class DataFolderInUse(EmbeddedServerError):
    """The data folder {folder} is in use by the running process {pid}; stop that one first."""

    fields = ("folder", "pid")


class DataFolderUnusable(EmbeddedServerError):
    """The folder {folder} cannot be used: {reason}."""

    fields = ("folder", "reason")


class ServerDidNotStart(EmbeddedServerError):
    """{server} did not start; its log ends with: {log}"""

    fields = ("server", "log")


class ServerDidNotStop(EmbeddedServerError):
    """{server} (process {pid}) goes on running although it was killed."""

    fields = ("server", "pid")
