"""Download published sets by name, with the clients of their hosts: ``isic`` and ``kaggle``.

The clients handle accounts, licence agreements and addresses.
"""

import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from training.datasets.records import PrepareError

CLIENTS = {"isic": "isic-cli", "kaggle": "kaggle"}
"""The package that provides each client program."""


@dataclass(frozen=True)
class Published:
    """A set that a client can download.

    Attributes:
        terms: the licence, and where to read it.
        collection: the number of its ISIC Archive collection (``isic collection list``), or None.
        dataset: its name on Kaggle, or None.
    """

    terms: str
    collection: int | None = None
    dataset: str | None = None


SETS = {
    "ham10000": Published(
        "CC BY-NC 4.0, https://doi.org/10.7910/DVN/DBW86T",
        dataset="kmader/skin-cancer-mnist-ham10000",
    ),
    "isic2019": Published("https://challenge.isic-archive.com/data/#2019", collection=65),
    "siim2020": Published("https://challenge.isic-archive.com/data/#2020", collection=70),
    "bcn20000": Published("https://api.isic-archive.com/collections/249/", collection=249),
}


@dataclass(frozen=True)
class Download:
    """One call of a client program.

    Attributes:
        names: the sets that it downloads.
        reader: name of the reader for them, as in ``training.prepare``'s options.
        table: a file that exists once the download is complete.
    """

    names: tuple[str, ...]
    reader: str
    command: tuple[str, ...]
    folder: Path
    table: str


def plan(names: list[str], out: Path) -> list[Download]:
    """Plan the calls that download the sets; each call has its own folder under ``out``.

    One call fetches all sets of the ISIC Archive, because they overlap, and the client downloads
    each image of a call only once.
    """
    chosen = {name: SETS[name] for name in names}
    archive = {name: each.collection for name, each in chosen.items() if each.collection}
    downloads = []
    if archive:
        numbers = sorted(str(number) for number in archive.values())
        folder = out / f"isic-{'-'.join(numbers)}"
        arguments = ("image", "download", "--collections", ",".join(numbers), str(folder))
        command: tuple[str, ...] = ("isic", *arguments)
        downloads.append(Download(tuple(archive), "isic_archive", command, folder, "metadata.csv"))
    for name, each in chosen.items():
        if each.dataset:
            folder = out / name
            command = ("kaggle", "datasets", "download", each.dataset, "--unzip", "-p", str(folder))
            downloads.append(Download((name,), name, command, folder, "HAM10000_metadata.csv"))
    return downloads


def describe(download: Download) -> str:
    """Describe what a call would do, for ``--dry-run``."""
    lines = [f"{name}: terms: {SETS[name].terms}" for name in download.names]
    if (download.folder / download.table).is_file():
        return "\n".join([*lines, f"already downloaded: {download.folder}"])
    return "\n".join([*lines, f"would run: {shlex.join(download.command)}"])


def fetch(download: Download, accepted: bool) -> None:
    """Run the client, unless its download is complete; an interrupted download is continued.

    Raises:
        PrepareError: the terms are not accepted, the client is not installed, or it failed.
    """
    if (download.folder / download.table).is_file():
        return
    names, client = ", ".join(download.names), download.command[0]
    if not accepted:
        terms = "; ".join(SETS[name].terms for name in download.names)
        raise PrepareError(
            f"{names}: terms not accepted yet: read them ({terms}), then add --accept-terms"
        )
    if shutil.which(client) is None:
        raise PrepareError(
            f"{names}: expected the program {client} on the PATH, found none: "
            f"pip install {CLIENTS[client]}"
        )
    download.folder.mkdir(parents=True, exist_ok=True)
    print(shlex.join(download.command), flush=True)
    status = subprocess.run(download.command, check=False).returncode  # noqa: S603 - a fixed call
    if status or not (download.folder / download.table).is_file():
        raise PrepareError(
            f"{names}: expected {client} to download {download.table}, but it ended with status "
            f"{status}; its own messages are above"
        )
