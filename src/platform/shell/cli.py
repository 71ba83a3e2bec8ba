"""The command line `eu-platform`; each command lives in a module of its own and is loaded when it is used."""

from importlib import import_module

import click

COMMANDS = {
    "api": ("shell.commands.run", "api"),
    "audit": ("shell.commands.audit", "audit"),
    "backup": ("shell.commands.backup", "backup"),
    "demo": ("shell.commands.demo", "demo"),
    "doctor": ("shell.commands.doctor", "doctor"),
    "gdpr": ("shell.commands.gdpr", "gdpr"),
    "keys": ("shell.commands.keys", "keys"),
    "invoice": ("shell.commands.invoice", "invoice"),
    "migrate": ("shell.commands.migrate", "migrate"),
    "operator": ("shell.commands.operator", "operator"),
    "prune-backups": ("shell.commands.backup", "prune"),
    "restore": ("shell.commands.backup", "restore"),
    "scheduler": ("shell.commands.run", "scheduler"),
    "up": ("shell.commands.up", "up"),
    "usage": ("shell.commands.usage", "usage"),
    "worker": ("shell.commands.run", "worker"),
}


class Commands(click.Group):
    """A group that imports a command's module only when it is asked for, so that `--help` is instant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, sorted."""
        del ctx
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command with this name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name]
        found = getattr(import_module(module), attribute)
        return found if isinstance(found, click.Command) else None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="eu-platform")
def main() -> None:
    """Multi-tenant cloud platform for the EU: usage, costs, anomalies and invoices."""
