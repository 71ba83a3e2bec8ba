"""`eu-platform gdpr register`: the register of processing."""

import click
import msgspec

from core.processing_register import markdown_of, page_of, processing_register
from shell.settings import Settings


@click.command("register")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["markdown", "html", "json"]),
    default="markdown",
    show_default=True,
)
@click.option("--controller", default=Settings().seller_name, show_default=True, help="Who is responsible.")
def register(format_: str, controller: str) -> None:
    """Print the register of processing (Art. 30 GDPR), made from the classification of columns."""
    found = processing_register(controller)
    match format_:
        case "json":
            click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
        case "html":
            click.echo(page_of(found))
        case _:
            click.echo(markdown_of(found))
