"""The text part of the service: messages in, messages out."""

from __future__ import annotations

from typing import Final, Literal, TypeVar

from google.protobuf.message import Message

from services.utility.toolbox import offload
from services.utility.toolbox.limits import Limits, refuse_above
from services.utility.toolbox.text import (
    differences,
    layout,
    likeness,
    matching,
    segments,
    spelling,
)
from tandem.utility.v1 import text_pb2 as pb
from tandem.utility.v1 import toolbox_service_pb2_grpc as rpc
from tandemkit.rpc.context import Context

R = TypeVar("R", bound=Message)

SLUG_CODE_POINTS_MAX = 200
MATCHES_DEFAULT = 100
CONTEXT_LINES_DEFAULT = 3

_FORMS: Final[dict[int, Literal["NFC", "NFD", "NFKC", "NFKD"]]] = {
    pb.UNICODE_FORM_NFC: "NFC",
    pb.UNICODE_FORM_NFD: "NFD",
    pb.UNICODE_FORM_NFKC: "NFKC",
    pb.UNICODE_FORM_NFKD: "NFKD",
}
_LINE_ENDINGS: Final[dict[int, str]] = {pb.LINE_ENDING_LF: "\n", pb.LINE_ENDING_CRLF: "\r\n"}
_WHITESPACE: Final[dict[int, spelling.Whitespace]] = {
    pb.WHITESPACE_RULE_UNSPECIFIED: spelling.Whitespace.AS_IS,
    pb.WHITESPACE_RULE_TRIM_LINES: spelling.Whitespace.TRIM_LINES,
    pb.WHITESPACE_RULE_COLLAPSE_SPACES: spelling.Whitespace.COLLAPSE_SPACES,
    pb.WHITESPACE_RULE_SINGLE_LINE: spelling.Whitespace.SINGLE_LINE,
}


class TextCalls(rpc.ToolboxServiceServicer):
    """Text: counting, spelling, comparing, matching, layout."""

    _limits: Limits

    async def MeasureText(
        self, request: pb.MeasureTextRequest, context: Context
    ) -> pb.MeasureTextResponse:
        size_bytes = self._text_bytes(request.text)
        counts = await offload.by_size(size_bytes, segments.count, request.text)
        return pb.MeasureTextResponse(
            graphemes=counts.graphemes,
            code_points=counts.code_points,
            bytes=counts.bytes,
            words=counts.words,
            lines=counts.lines,
            sentences=counts.sentences,
        )

    async def NormalizeText(
        self, request: pb.NormalizeTextRequest, context: Context
    ) -> pb.NormalizeTextResponse:
        wanted = spelling.Spelling(
            form=_FORMS.get(request.form),
            line_ending=_LINE_ENDINGS.get(request.line_ending),
            whitespace=_WHITESPACE[request.whitespace],
            case_fold=request.case_fold,
        )
        size_bytes = self._text_bytes(request.text)
        text = await offload.by_size(size_bytes, spelling.normalize, request.text, wanted)
        return self._bounded(pb.NormalizeTextResponse(text=text))

    async def SlugifyText(
        self, request: pb.SlugifyTextRequest, context: Context
    ) -> pb.SlugifyTextResponse:
        slug = await offload.by_size(
            self._text_bytes(request.text),
            spelling.slugify,
            request.text,
            separator=request.separator or "-",
            code_points_max=request.code_points_max or SLUG_CODE_POINTS_MAX,
            keep_unicode=request.keep_unicode,
        )
        return pb.SlugifyTextResponse(slug=slug)

    async def CompareTexts(
        self, request: pb.CompareTextsRequest, context: Context
    ) -> pb.CompareTextsResponse:
        for field, text in (("left", request.left), ("right", request.right)):
            refuse_above(
                self._limits.compared_code_points_max, len(text), field, unit="code_points"
            )
        measure = likeness.Measure(request.measure)
        similarity = await offload.in_thread(
            likeness.similarity, request.left, request.right, measure
        )
        return pb.CompareTextsResponse(similarity=similarity)

    async def DiffTexts(
        self, request: pb.DiffTextsRequest, context: Context
    ) -> pb.DiffTextsResponse:
        for field, text in (("before", request.before), ("after", request.after)):
            self._text_bytes(text, field)
            lines = differences.line_count(text)
            refuse_above(self._limits.diff_lines_max, lines, field, unit="lines")
        written = request.HasField("context_lines")
        options = differences.DiffOptions(
            context_lines=request.context_lines if written else CONTEXT_LINES_DEFAULT,
            before_name=request.before_name or "before",
            after_name=request.after_name or "after",
        )
        found = await offload.in_thread(
            differences.difference, request.before, request.after, options
        )
        return pb.DiffTextsResponse(
            unified_diff=found.unified,
            lines_added=found.lines_added,
            lines_removed=found.lines_removed,
        )

    async def FindMatches(
        self, request: pb.FindMatchesRequest, context: Context
    ) -> pb.FindMatchesResponse:
        self._text_bytes(request.text)
        matches, truncated = await offload.in_thread(
            matching.find,
            _compiled(request.pattern, self._limits),
            request.text,
            matches_max=request.matches_max or MATCHES_DEFAULT,
            bytes_max=self._limits.text_result_bytes_max,
        )
        return self._bounded(
            pb.FindMatchesResponse(matches=map(_match, matches), truncated=truncated)
        )

    async def ReplaceMatches(
        self, request: pb.ReplaceMatchesRequest, context: Context
    ) -> pb.ReplaceMatchesResponse:
        self._text_bytes(request.text)
        pattern = _compiled(request.pattern, self._limits)
        text, replacements = await offload.in_thread(
            matching.replace,
            pattern,
            request.text,
            matching.Template(request.replacement, pattern, literal=request.pattern.literal),
            count_max=request.replacements_max,
            bytes_max=self._limits.text_result_bytes_max,
        )
        return pb.ReplaceMatchesResponse(text=text, replacements=replacements)

    async def WrapText(self, request: pb.WrapTextRequest, context: Context) -> pb.WrapTextResponse:
        lines = await offload.by_size(
            self._text_bytes(request.text),
            layout.wrap,
            request.text,
            layout.Layout(request.width, request.hanging_indent, request.keep_long_words),
            bytes_max=self._limits.text_result_bytes_max,
        )
        return self._bounded(pb.WrapTextResponse(lines=lines))

    async def TruncateText(
        self, request: pb.TruncateTextRequest, context: Context
    ) -> pb.TruncateTextResponse:
        text, truncated = await offload.by_size(
            self._text_bytes(request.text),
            layout.truncate,
            request.text,
            graphemes_max=request.graphemes_max,
            ellipsis=request.ellipsis,
            at_word=request.at_word,
        )
        return pb.TruncateTextResponse(text=text, truncated=truncated)

    def _text_bytes(self, text: str, field: str = "text") -> int:
        size_bytes = len(text.encode())
        refuse_above(self._limits.text_bytes_max, size_bytes, field)
        return size_bytes

    def _bounded(self, response: R) -> R:
        refuse_above(self._limits.text_result_bytes_max, response.ByteSize(), "text")
        return response


def _compiled(pattern: pb.Pattern, limits: Limits) -> matching.Pattern:
    options = matching.PatternOptions(
        literal=pattern.literal,
        ignore_case=pattern.ignore_case,
        multiline=pattern.multiline,
        dot_matches_newline=pattern.dot_matches_newline,
    )
    return matching.compile_pattern(
        pattern.expression,
        options,
        memory_bytes_max=limits.pattern_memory_bytes_max,
        field="pattern.expression",
    )


def _match(found: matching.Found) -> pb.Match:
    groups = (
        pb.MatchedGroup(
            name=group.name,
            matched=group.start >= 0,
            start=max(group.start, 0),
            end=max(group.end, 0),
            text=group.text,
        )
        for group in found.groups
    )
    return pb.Match(start=found.start, end=found.end, text=found.text, groups=groups)
