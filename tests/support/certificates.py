"""Throw-away certificates for TLS tests, made by openssl."""

import subprocess
from pathlib import Path


def make(directory, name="server", common_name="localhost"):
    """(certificate file, key file) of a fresh self-signed pair in `directory`."""
    certificate, key = Path(directory) / f"{name}.pem", Path(directory) / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", f"/CN={common_name}", "-addext", f"subjectAltName=DNS:{common_name},IP:127.0.0.1",
                    "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True, timeout=60)
    return certificate, key
