"""What an agent keeps about a subject, in the messages of ExportSubject."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator

from google.protobuf.message import Message

from tandem.memory.v1.subject_pb2 import ExportSubjectResponse, SubjectRecord

_RECORDS_MAX, _BYTES_MAX = 100, 1_000_000


def record_of(agent: str, name: str, message: Message) -> SubjectRecord:
    return SubjectRecord(
        agent=agent,
        name=name,
        message_type=message.DESCRIPTOR.full_name,
        message=message.SerializeToString(deterministic=True),
    )


async def in_messages(
    records: AsyncIterable[SubjectRecord],
) -> AsyncIterator[ExportSubjectResponse]:
    """As many in each as the contract admits; one that is larger alone."""
    told, size = ExportSubjectResponse(), 0
    async for one in records:
        size += one.ByteSize()
        if told.records and (len(told.records) == _RECORDS_MAX or size > _BYTES_MAX):
            yield told
            told, size = ExportSubjectResponse(), one.ByteSize()
        told.records.append(one)
    if told.records:
        yield told
