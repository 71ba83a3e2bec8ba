"""The file in which a person gets what is held of it."""

from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import msgspec

from core.access_package import AccessPackage, page_of


def archive_of(package: AccessPackage) -> bytes:
    """A zip file of `data.json` and `index.html`; the same package gives the same bytes."""
    files = {
        "data.json": msgspec.json.format(msgspec.json.encode(package)),
        "index.html": page_of(package).encode(),
    }
    buffer, moment = BytesIO(), package.made_at.timetuple()[:6]
    with ZipFile(buffer, "w", ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(ZipInfo(name, moment), content, ZIP_DEFLATED)
    return buffer.getvalue()
