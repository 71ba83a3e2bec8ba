"""`eu-platform keys`: the keys that sign access tokens."""

import os
from datetime import UTC, datetime
from pathlib import Path

import click

from shell.commands.connect import data_option, said_in_a_sentence
from shell.keys import load_keys, rotate_key
from shell.settings import load_settings


@click.group()
def keys() -> None:
    """The keys that sign access tokens."""


@keys.command()
@click.option(
    "--revoke-old", is_flag=True, help="Refuse tokens of the old keys from now on: everybody logs in again."
)
@data_option
def rotate(revoke_old: bool, data: Path | None) -> None:
    """Sign with a new key from now on; running API processes take it up within seconds."""
    with said_in_a_sentence():
        settings = load_settings(os.environ, data=data)
        kid = rotate_key(settings, datetime.now(UTC), keep_old=not revoke_old)
        verifying = len(load_keys(settings, datetime.now(UTC)).kids)
    click.echo(f"Signing with {kid}; {verifying} keys verify.")
