"""A recorded workload: 60 tasks of four kinds, what each was thought to take and took at speed 1,
and where its data lay; and seven workers of two machines. Drawn once, by the seed 9, and kept.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class RecordedTask(NamedTuple):
    kind: str
    thought_s: float
    took_s: float
    machine: str
    data_mib: int


class RecordedWorker(NamedTuple):
    name: str
    kinds: tuple[str, ...]
    machine: str
    capacity: int
    speed: float
    latency_s: float


WORKERS: Final = (
    RecordedWorker("w1", ("text", "search"), "mainpc", 12, 4.0, 0.001),
    RecordedWorker("w2", ("text", "image"), "mainpc", 12, 3.0, 0.001),
    RecordedWorker("w3", ("image",), "mainpc", 8, 6.0, 0.001),
    RecordedWorker("w4", ("code", "text"), "pc2", 12, 1.0, 0.012),
    RecordedWorker("w5", ("search", "code"), "pc2", 12, 1.5, 0.012),
    RecordedWorker("w6", ("text", "image", "search", "code"), "pc2", 20, 0.7, 0.012),
    RecordedWorker("w7", ("search", "text"), "pc2", 8, 2.0, 0.012),
)
TASKS: Final = (
    RecordedTask("image", 2.17, 2.2, "mainpc", 10),
    RecordedTask("text", 3.38, 4.73, "mainpc", 100),
    RecordedTask("text", 6.13, 8.21, "mainpc", 100),
    RecordedTask("text", 0.74, 0.6, "pc2", 100),
    RecordedTask("search", 0.24, 0.34, "mainpc", 400),
    RecordedTask("search", 2.92, 1.67, "mainpc", 100),
    RecordedTask("search", 3.87, 6.58, "pc2", 400),
    RecordedTask("search", 6.43, 8.38, "mainpc", 0),
    RecordedTask("code", 0.95, 1.13, "pc2", 400),
    RecordedTask("text", 0.48, 0.41, "pc2", 100),
    RecordedTask("code", 5.01, 4.83, "pc2", 0),
    RecordedTask("image", 2.02, 2.04, "pc2", 0),
    RecordedTask("image", 3.2, 3.3, "pc2", 0),
    RecordedTask("search", 3.84, 4.19, "pc2", 0),
    RecordedTask("code", 1.84, 1.93, "mainpc", 10),
    RecordedTask("text", 1.3, 1.09, "mainpc", 10),
    RecordedTask("text", 1.9, 1.34, "pc2", 100),
    RecordedTask("search", 5.42, 7.48, "pc2", 400),
    RecordedTask("text", 0.62, 0.75, "mainpc", 0),
    RecordedTask("image", 3.71, 3.9, "mainpc", 0),
    RecordedTask("text", 3.68, 3.09, "pc2", 400),
    RecordedTask("search", 35.15, 39.06, "mainpc", 0),
    RecordedTask("search", 2.36, 2.29, "mainpc", 400),
    RecordedTask("code", 3.4, 3.6, "mainpc", 0),
    RecordedTask("text", 1.94, 2.18, "mainpc", 0),
    RecordedTask("image", 3.82, 2.95, "mainpc", 10),
    RecordedTask("text", 4.64, 3.76, "mainpc", 0),
    RecordedTask("image", 2.87, 2.19, "mainpc", 0),
    RecordedTask("code", 2.86, 4.19, "pc2", 100),
    RecordedTask("text", 1.06, 0.82, "pc2", 0),
    RecordedTask("text", 3.73, 3.61, "pc2", 100),
    RecordedTask("text", 1.37, 1.27, "pc2", 100),
    RecordedTask("text", 1.08, 0.89, "mainpc", 0),
    RecordedTask("code", 36.01, 52.11, "pc2", 0),
    RecordedTask("text", 4.28, 7.52, "mainpc", 10),
    RecordedTask("image", 2.57, 2.35, "mainpc", 0),
    RecordedTask("text", 5.0, 4.46, "pc2", 100),
    RecordedTask("code", 2.78, 2.45, "pc2", 0),
    RecordedTask("text", 10.18, 8.34, "mainpc", 0),
    RecordedTask("search", 1.13, 1.25, "pc2", 100),
    RecordedTask("text", 4.89, 4.23, "mainpc", 400),
    RecordedTask("search", 8.85, 7.26, "mainpc", 100),
    RecordedTask("image", 6.01, 4.85, "mainpc", 400),
    RecordedTask("code", 2.7, 2.45, "pc2", 100),
    RecordedTask("text", 1.29, 1.13, "mainpc", 10),
    RecordedTask("image", 3.21, 2.93, "mainpc", 400),
    RecordedTask("code", 3.92, 3.58, "mainpc", 10),
    RecordedTask("image", 5.99, 5.09, "mainpc", 10),
    RecordedTask("search", 0.67, 0.53, "pc2", 400),
    RecordedTask("code", 2.17, 3.34, "pc2", 0),
    RecordedTask("search", 2.82, 2.22, "pc2", 10),
    RecordedTask("code", 7.7, 9.34, "pc2", 10),
    RecordedTask("search", 1.59, 1.8, "mainpc", 0),
    RecordedTask("text", 7.77, 8.5, "mainpc", 400),
    RecordedTask("code", 1.22, 1.06, "pc2", 100),
    RecordedTask("search", 0.55, 0.61, "pc2", 10),
    RecordedTask("search", 5.54, 4.02, "pc2", 0),
    RecordedTask("text", 1.53, 1.14, "pc2", 0),
    RecordedTask("search", 4.13, 5.4, "pc2", 100),
    RecordedTask("search", 4.45, 4.07, "pc2", 0),
)
