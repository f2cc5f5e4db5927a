"""Published sets by name, through the clients of those who host them: ``isic`` and ``kaggle``.

The clients know the accounts, agreements and addresses; this only says what to ask them for.
"""

import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from training.datasets.sources import PrepareError

CLIENTS = {"isic": "isic-cli", "kaggle": "kaggle"}
"""Programs, and the packages that bring them."""


@dataclass(frozen=True)
class Published:
    """A set that a client can bring.

    Attributes:
        terms: where they are read.
        collection: its number in the ISIC Archive (``isic collection list``), or
        dataset: its name on Kaggle.
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
    """One call of a client.

    Attributes:
        names: of the sets it brings.
        reader: of ``training.prepare``, for what it brings.
        table: the file that is there when the download is whole.
    """

    names: tuple[str, ...]
    reader: str
    command: tuple[str, ...]
    folder: Path
    table: str


def plan(names: list[str], out: Path) -> list[Download]:
    """The calls that bring the sets, each into a folder of its own under ``out``.

    Sets of the ISIC Archive come in one call: they overlap, and its client brings each image once.
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
    """What a call would do, for a dry run."""
    lines = [f"{name}: terms: {SETS[name].terms}" for name in download.names]
    if (download.folder / download.table).is_file():
        return "\n".join([*lines, f"is there already: {download.folder}"])
    return "\n".join([*lines, f"would run: {shlex.join(download.command)}"])


def fetch(download: Download, accepted: bool) -> None:
    """Run the client, unless its download is there already. It can be stopped and called again.

    Raises:
        PrepareError: the terms are not accepted, the client is not installed, or it failed.
    """
    if (download.folder / download.table).is_file():
        return
    names, client = ", ".join(download.names), download.command[0]
    if not accepted:
        terms = "; ".join(SETS[name].terms for name in download.names)
        raise PrepareError(
            f"{names}: expected its terms to be accepted: read them ({terms}), then say "
            "--accept-terms"
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
            f"{names}: expected {client} to bring {download.table}, it ended with status {status}; "
            "what it says is above"
        )
