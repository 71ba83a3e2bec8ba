"""A real S3 server on this machine, and settings that use it."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import msgspec

from shell.settings import Secret, Settings


@contextmanager
def s3_server() -> Iterator[str]:
    """The address of a server with a bucket, for as long as the body runs."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 -- slow to import, for the few tests that need it

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    httpx.put(f"{endpoint}/objects", trust_env=False).raise_for_status()
    yield endpoint
    server.stop()


def in_bucket(endpoint: str, bucket: str = "objects", settings: Settings | None = None) -> Settings:
    """Settings with their objects in a bucket there."""
    return msgspec.structs.replace(
        settings or Settings(),
        object_store=f"s3://{bucket}/platform",
        s3_endpoint=endpoint,
        s3_access_key_id=Secret("key"),
        s3_secret_access_key=Secret("secret"),
    )
