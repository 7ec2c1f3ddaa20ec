"""Files of the dataset hub, through huggingface_hub (extra `hub`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chassis.errors import CandorError, FieldViolation, Reason, invalid
from services.orchestrator.domain.tasks import SourceFile
from services.orchestrator.domain.tasks.catalog import by_hub
from services.orchestrator.domain.tasks.hub_files import choose, parse

_CONVERTED = "refs/convert/parquet"
_SECONDS = 30.0


def fetch(hub: str, cache: Path | None, max_bytes: int, endpoint: str | None = None) -> tuple[list[SourceFile], str]:
    """The files that a hub id stands for, and the commit they are of.

    Args:
        hub: `owner/name`, `owner/name:config/split`, either with `@revision`.
        cache: Folder of downloads; None: the client's own default.
        max_bytes: Limit on all files together, checked before anything is downloaded.
        endpoint: URL of the hub; None: the client's own (HF_ENDPOINT).

    Raises:
        CandorError: BACKEND_MISSING, BAD_DATASET, DATASET_TOO_LARGE, ENDPOINT_UNAVAILABLE.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        text = "hub ids need the package huggingface-hub: pip install '.[hub]'"
        raise CandorError(Reason.BACKEND_MISSING, text) from error
    identity, config, split, revision = parse(hub)
    entry = by_hub(identity)
    if entry is not None:
        config, split = config or entry.config, split or entry.split
    api = huggingface_hub.HfApi(endpoint=endpoint, library_name="candor")
    with _said_plainly(hub):
        commit, sizes = _listing(api, identity, revision or None)
        names, fault = choose(list(sizes), config, split)
        if not names and not revision:
            commit, sizes, names, fault = _converted(api, identity, config, split, fault)
        if not names:
            raise _bad(f"{identity} {fault}")
        total = sum(sizes[name] or 0 for name in names)
        if total > max_bytes:
            text = f"{hub}: its files have {total >> 20} MiB; at most {max_bytes >> 20}"
            raise CandorError(Reason.DATASET_TOO_LARGE, text)
        files = []
        for name in names:
            path = huggingface_hub.hf_hub_download(
                identity, name, repo_type="dataset", revision=commit, cache_dir=cache, endpoint=endpoint
            )
            files.append(SourceFile(name, Path(path).read_bytes()))
    if sum(len(file.data) for file in files) > max_bytes:
        raise CandorError(Reason.DATASET_TOO_LARGE, f"{hub}: its files have more than {max_bytes >> 20} MiB")
    return files, commit


def _listing(api: Any, identity: str, revision: str | None) -> tuple[str, Mapping[str, int | None]]:
    """Commit, and size by file name."""
    info = api.dataset_info(identity, revision=revision, files_metadata=True, timeout=_SECONDS)
    return str(info.sha), {entry.rfilename: entry.size for entry in info.siblings or []}


def _converted(
    api: Any, identity: str, config: str, split: str, fault: str
) -> tuple[str, Mapping[str, int | None], list[str], str]:
    """The hub's own conversion to parquet, for repositories that are a script."""
    from huggingface_hub.errors import RevisionNotFoundError

    try:
        commit, sizes = _listing(api, identity, _CONVERTED)
    except RevisionNotFoundError:
        return "", {}, [], fault
    names, _ = choose(list(sizes), config, split)
    return commit, sizes, names, fault


@contextmanager
def _said_plainly(hub: str) -> Iterator[None]:
    """Errors of the hub client as CandorError."""
    from huggingface_hub import errors

    # The base class of the HTTP library that this release of the client rests on: it has changed before.
    transport: type[Exception] = errors.HfHubHTTPError.__bases__[0]
    try:
        yield
    except errors.GatedRepoError as error:
        raise _bad(f"{hub} is gated: accept its terms on its page, then set HF_TOKEN") from error
    except errors.RevisionNotFoundError as error:
        raise _bad(f"{hub}: there is no such revision") from error
    except errors.RepositoryNotFoundError as error:
        raise _bad(f"{hub}: there is no such dataset, or it is private (set HF_TOKEN)") from error
    except errors.HFValidationError as error:
        raise _bad(f"{hub} is not the id of a dataset; write owner/name") from error
    except (errors.OfflineModeIsEnabled, errors.EntryNotFoundError, transport, ConnectionError, TimeoutError) as error:
        text = f"the dataset hub cannot be reached ({type(error).__name__}); try again, or give the task a path"
        raise CandorError(Reason.ENDPOINT_UNAVAILABLE, text) from error


def _bad(text: str) -> CandorError:
    return invalid("a task's data cannot be had", [FieldViolation("tasks.hub", text)], Reason.BAD_DATASET)
