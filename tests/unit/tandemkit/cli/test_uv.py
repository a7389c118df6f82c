"""An index or an authority that pip was told of, uv reaches and trusts as well."""

from tandemkit.cli.uv import uv_variables


def test_what_pip_was_told_uv_hears() -> None:
    """A mirror behind a private authority needs no second setting."""
    told = uv_variables({"PIP_INDEX_URL": "mirror", "PIP_CERT": "/ca.pem", "HOME": "/home/a"})
    assert told["UV_DEFAULT_INDEX"] == "mirror"
    assert told["SSL_CERT_FILE"] == "/ca.pem"
    assert told["HOME"] == "/home/a"


def test_what_uv_was_told_itself_stands_above() -> None:
    """Nobody's explicit setting is overruled."""
    told = uv_variables({"PIP_INDEX_URL": "mirror", "UV_DEFAULT_INDEX": "own"})
    assert told["UV_DEFAULT_INDEX"] == "own"
    assert uv_variables({"UV_SYSTEM_CERTS": "0"})["UV_SYSTEM_CERTS"] == "0"
