"""Files that may not be in the tree are caught."""

from __future__ import annotations

import pytest

from tests.unit.tools.rules.planted import Rule, found
from tools.rules import files

# Put together here, or the rules would find this file.
_ROOTS_HOME = "/" + "root"
_HOME = "/" + "home/ann/tandem"
_NOTICE = "# Copy" + "right 2021 Somebody\n"
_HOST = "https:" + "//files.example/x.whl"


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (files.generated, "protos/tandem/text/v1/x_pb2.py", ""),
        (files.generated, "libs/x_pb2_grpc.pyi", ""),
        (files.foreign, "libs/vendor/six.py", ""),
        (files.foreign, "protos/google/rpc/code.proto", ""),
        (files.foreign, "protos/buf/validate/validate.proto", ""),
        (files.foreign, "tools/jq.so", ""),
        (files.foreign, "libs/tandemkit/rpc/copied.py", _NOTICE),
        (files.addresses, "pins.txt", f"x==1\nx @ {_HOST}\n"),
        (files.addresses, "services/web/package-lock.json", f'{{"resolved": "{_HOST}"}}\n'),
        (files.addresses, "build-support/pants-constraints.txt", "--extra-index-url x\n"),
        (files.addresses, "tools/go.sum", f"{_HOST} h1:abc=\n"),
        (files.machine_paths, "docs/x.md", f"Look into {_ROOTS_HOME}/.cache.\n"),
        (files.machine_paths, "tools/x.py", f'ROOT = "{_HOME}"\n'),
        (files.shell, "tools/go.sh", "#!/bin/bash\n" + "true\n" * 10),
        (files.fragments, "changes/summarize.md", "It summarises.\n"),
        (files.fragments, "changes/Summarize.agent.md", "It summarises.\n"),
        (files.fragments, "changes/summarize.agent.md", "# Summarize\n"),
        (files.fragments, "changes/summarize.agent.md", "\n"),
    ],
)
def test_a_file_that_may_not_be_here_is_caught(rule: Rule, path: str, text: str) -> None:
    """The finding names the file."""
    (finding,) = found(rule, path, text)
    assert finding.startswith(f"{path}:")


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (files.generated, "protos/tandem/text/v1/x.proto", ""),
        (files.foreign, "protos/baseline.binpb", ""),
        (files.foreign, "protos/inference/tensor.proto", ""),
        (files.foreign, "LICENSE", _NOTICE),
        (files.addresses, "pins.txt", "x==1 \\\n    --hash=sha256:abc\n"),
        (files.addresses, "tools/go.sum", "example.com/x v1.0.0 h1:abc=\n"),
        (files.addresses, "docs/x.md", f"See {_HOST}.\n"),
        (files.machine_paths, "docs/x.md", "Calls /tandem.text.v1/x, ~/work/x and $HOME/x.\n"),
        (files.shell, "tools/go.sh", "#!/bin/bash\nexec true\n"),
        (files.fragments, "changes/README.md", "# Fragments\n"),
        (files.fragments, "changes/summarize.agent.md", "Texts can be summarised.\n"),
    ],
)
def test_a_file_of_ours_passes(rule: Rule, path: str, text: str) -> None:
    """What only looks alike is not found."""
    assert found(rule, path, text) == []
