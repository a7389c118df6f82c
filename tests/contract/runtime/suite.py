"""What a runtime owes, as tests: one suite for all languages. docs/design/polyglot.md says it in
words; case.py says what a runtime brings.
"""

from __future__ import annotations

from tests.contract.runtime.adding import AddingPromises
from tests.contract.runtime.calls import CallPromises
from tests.contract.runtime.classes import ClassPromises
from tests.contract.runtime.drains import DrainPromises
from tests.contract.runtime.faces import FacePromises
from tests.contract.runtime.fronts import FrontPromises
from tests.contract.runtime.limits import LimitPromises
from tests.contract.runtime.members import MemberPromises
from tests.contract.runtime.oversight import OversightPromises
from tests.contract.runtime.traces import TracePromises


class RuntimeSuite(
    CallPromises,
    LimitPromises,
    ClassPromises,
    FacePromises,
    FrontPromises,
    OversightPromises,
    AddingPromises,
    TracePromises,
    MemberPromises,
    DrainPromises,
):
    """A test module of a runtime has a class that pytest finds, and what makes the runtime:

        @pytest.fixture(scope="module")
        def runtime() -> Runtime:
            return PYTHON


        class TestPython(RuntimeSuite):
            pass

    All tests share one control. Those that only look and call share one `host`, too; those that do
    something to a host start one of their own in the `fleet`.
    """
