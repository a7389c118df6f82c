"""Where the embedding model that needs no network lies: in the user's cache, where `./tandem` puts
it once. All fleets of a user share it.
"""

from __future__ import annotations

from pathlib import Path

MODEL = "all-minilm-l6-v2"
# Of model.safetensors. What else a model consists of decides nothing without them.
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
# Numbers of a vector, and tokens of a text that it was trained for.
DIMENSION = 384
TOKENS_MAX = 256
FILES = ("model.safetensors", "tokenizer.json", "config.json")


def model_folder(cache: Path) -> Path:
    """Where it belongs. What is there is whole: it is moved there when it is."""
    return cache / "models" / f"{MODEL}-{WEIGHTS_SHA256[:16]}"


def has_model(cache: Path) -> bool:
    """Whether it is there."""
    return all((model_folder(cache) / name).is_file() for name in FILES)
