"""`eu-platform gdpr register`: the register of processing."""

import click
import msgspec

from core.processing_register import markdown_of, processing_register
from shell.settings import Settings


@click.command("register")
@click.option(
    "--format", "format_", type=click.Choice(["markdown", "json"]), default="markdown", show_default=True
)
@click.option("--controller", default=Settings().seller_name, show_default=True, help="Who is responsible.")
def register(format_: str, controller: str) -> None:
    """Print the register of processing (Art. 30 GDPR), made from the classification of columns."""
    found = processing_register(controller)
    as_json = msgspec.json.format(msgspec.json.encode(found)).decode()
    click.echo(as_json if format_ == "json" else markdown_of(found))
