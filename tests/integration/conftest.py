"""Authorities and certificates, made with the openssl program."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ALGORITHMS = {"ecdsa": ("ec", "-pkeyopt", "ec_paramgen_curve:P-256"), "rsa": ("rsa:2048",)}


@dataclass(frozen=True)
class Pki:
    """Makes authorities and certificates of either algorithm in a folder, with the openssl program."""

    openssl: str
    folder: Path

    def _run(self, *arguments: str) -> None:
        subprocess.run([self.openssl, *arguments], check=True, capture_output=True, cwd=self.folder)

    def authority(self, name: str, algorithm: str = "ecdsa") -> Path:
        """A self-signed authority; gives its certificate."""
        self._run(
            *("req", "-x509", "-newkey", *ALGORITHMS[algorithm], "-nodes", "-days", "2"),
            *("-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}"),
        )
        return self.folder / f"{name}.pem"

    def signed(
        self, name: str, by: str, algorithm: str = "ecdsa", names: str = "IP:127.0.0.1,DNS:localhost"
    ) -> tuple[Path, Path]:
        """A certificate for `names`, signed by an authority; gives certificate and key."""
        self._run(
            *("req", "-newkey", *ALGORITHMS[algorithm], "-nodes", "-keyout", f"{name}.key"),
            *("-out", f"{name}.csr", "-subj", f"/CN={name}"),
        )
        (self.folder / f"{name}.ext").write_text(f"subjectAltName={names}\n")
        self._run(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", f"{by}.pem", "-CAkey", f"{by}.key", "-CAcreateserial"),
            *("-days", "2", "-out", f"{name}.pem", "-extfile", f"{name}.ext"),
        )
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("TLS was not tested: there is no openssl program to make certificates with")
    return Pki(openssl, tmp_path_factory.mktemp("tls"))
