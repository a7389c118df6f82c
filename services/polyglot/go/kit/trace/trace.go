// Package trace takes W3C trace context from callers, and keeps spans of sampled calls.
package trace

import (
	"crypto/rand"
	"encoding/hex"
	mathrand "math/rand/v2"
	"regexp"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
)

// Header carries the context.
const Header = "traceparent"

var form = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// A Parent is a traceparent header that is well formed, or empty.
type Parent string

// Arrived is what the caller sent; empty where it sent none that is well formed.
func Arrived(values []string) Parent {
	if len(values) == 0 || len(values[0]) != 55 || !form.MatchString(values[0]) {
		return ""
	}
	said := Parent(values[0])
	if said.TraceID() == strings.Repeat("0", 32) || said.spanID() == strings.Repeat("0", 16) {
		return ""
	}
	return said
}

// Sampled says whether the caller wants this trace recorded.
func (p Parent) Sampled() bool {
	return p != "" && strings.ContainsRune("13579bdf", rune(p[len(p)-1]))
}

// TraceID is the part that all calls of one trace share; empty where there is none.
func (p Parent) TraceID() string {
	if p == "" {
		return ""
	}
	return string(p[3:35])
}

func (p Parent) spanID() string {
	if p == "" {
		return ""
	}
	return string(p[36:52])
}

// Tracing is how a process traces its calls: `Share` of those without a trace begin a sampled one,
// and `Exporter` keeps the spans of whatever is sampled, where there is one.
type Tracing struct {
	Share    float64
	Exporter *Exporter
}

// Chosen says whether a call without a trace begins one.
func (t Tracing) Chosen() bool { return t.Share > 0 && mathrand.Float64() < t.Share }

// A Span is one call that is served.
type Span struct {
	exporter  *Exporter
	path      string
	traceID   string
	spanID    string
	parentID  string
	flags     string
	startedAt time.Time
}

// Served begins the span of a sampled call, below `parent` if there is one.
func (t Tracing) Served(path string, parent Parent) *Span {
	made := &Span{t.Exporter, path, parent.TraceID(), digits(8), parent.spanID(), "01", time.Now()}
	if parent == "" {
		made.traceID = digits(16)
	} else {
		made.flags = string(parent[53:])
	}
	return made
}

// Parent is what calls hand on that belong below this one.
func (s *Span) Parent() Parent {
	return Parent("00-" + s.traceID + "-" + s.spanID + "-" + s.flags)
}

// End hands the span to the exporter.
func (s *Span) End(code codes.Code, reason string) {
	if s != nil && s.exporter != nil {
		s.exporter.put(s.wire(code, reason))
	}
}

func digits(bytes int) string {
	made := make([]byte, bytes)
	_, _ = rand.Read(made) // never fails
	return hex.EncodeToString(made)
}
