package serve

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"

	"tandem/polyglot/kit/failure"
	"tandem/polyglot/kit/log"
	"tandem/polyglot/kit/trace"
)

const slow = time.Second

// What the operator should look at; the other codes tell the caller about the caller.
var ours = map[codes.Code]bool{
	codes.Internal: true, codes.Unknown: true, codes.DataLoss: true, codes.Unimplemented: true,
}

// A report is what is kept of calls: a log line where one failed, was slow or is sampled, and a
// span where it is sampled. Of the others only their number and duration.
type report struct {
	tracing trace.Tracing
	tallies []*Tally
}

func (r *report) begin(one *call) {
	if one.parent.Sampled() || (one.parent == "" && r.tracing.Chosen()) {
		one.span = r.tracing.Served(one.method.Path, one.parent)
		one.parent = one.span.Parent()
	}
	one.tally.begin()
}

func (r *report) answered(one *call, bytes int) {
	took := time.Since(one.began)
	one.tally.end("OK", took)
	one.span.End(codes.OK, "")
	// A stream lasts as long as its caller wants.
	if one.span != nil {
		r.line(one, slog.LevelInfo, "rpc.sampled", codes.OK, slog.Int("bytes", bytes))
	} else if took >= slow && bytes >= 0 {
		r.line(one, slog.LevelInfo, "rpc.slow", codes.OK, slog.Int("bytes", bytes))
	}
}

func (r *report) refused(one *call, refusal *failure.Refusal) {
	one.tally.end(failure.NameOf(refusal.Code), time.Since(one.began))
	one.span.End(refusal.Code, refusal.Reason)
	level := slog.LevelInfo
	if ours[refusal.Code] {
		level = slog.LevelWarn
	}
	r.line(one, level, "rpc.failed", refusal.Code, slog.String("reason", refusal.Reason))
}

func (r *report) cancelled(one *call) {
	one.tally.end("CANCELLED", time.Since(one.began))
	one.span.End(codes.Canceled, "")
	level := slog.LevelInfo
	if one.method.IsWatch && one.span == nil {
		level = slog.LevelDebug
	}
	r.line(one, level, "rpc.cancelled", codes.Canceled)
}

// defect logs the cause, which the caller must not see, under an id that both know.
func (r *report) defect(one *call, cause error) {
	made := make([]byte, 6)
	_, _ = rand.Read(made) // never fails
	one.incident = hex.EncodeToString(made)
	log.Of("tandemkit.rpc").Error("rpc.defect", slog.String("rpc", one.method.Path),
		slog.String("incident", one.incident), slog.String("exception", cause.Error()))
}

func (r *report) line(one *call, level slog.Level, name string, code codes.Code, more ...slog.Attr) {
	said := []slog.Attr{
		slog.String("rpc", one.method.Path),
		slog.String("code", failure.NameOf(code)),
		slog.Float64("duration_ms", log.Milliseconds(time.Since(one.began))),
		slog.String("peer", one.peer),
		orNull("instance", one.instance),
		deadlineLeft(one.wire),
		orNull("trace_id", one.parent.TraceID()),
		orNull("incident", one.incident),
	}
	log.Of("tandemkit.rpc").LogAttrs(context.Background(), level, name, append(said, more...)...)
}

func orNull(key, said string) slog.Attr {
	if said == "" {
		return slog.Any(key, nil)
	}
	return slog.String(key, said)
}

func deadlineLeft(ctx context.Context) slog.Attr {
	until, known := ctx.Deadline()
	if !known {
		return slog.Any("deadline_left_ms", nil)
	}
	return slog.Int64("deadline_left_ms", time.Until(until).Milliseconds())
}
