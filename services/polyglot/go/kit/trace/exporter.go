package trace

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"tandem/polyglot/kit/failure"
	"tandem/polyglot/kit/log"
)

const (
	// For how long a collector is offered a batch, and so may hold up a process that ends.
	exportWithin = 2 * time.Second
	batchEach    = 5 * time.Second
	batchMax     = 512
	// What comes while that many wait is dropped: tracing never takes a host's memory.
	waitingMax = 2048
	kindServer = 2
	stateError = 2
)

// Of the codes with which a server answers, those that are its own fault and not its caller's.
var ofTheServer = map[codes.Code]bool{
	codes.Unknown: true, codes.DeadlineExceeded: true, codes.Unimplemented: true,
	codes.Internal: true, codes.Unavailable: true, codes.DataLoss: true,
}

// The messages of OTLP's JSON, as far as they are used.
type (
	value     map[string]string
	attribute struct {
		Key   string `json:"key"`
		Value value  `json:"value"`
	}
	state struct {
		Code int `json:"code,omitempty"`
	}
	span struct {
		TraceID    string      `json:"traceId"`
		SpanID     string      `json:"spanId"`
		ParentID   string      `json:"parentSpanId,omitempty"`
		Name       string      `json:"name"`
		Kind       int         `json:"kind"`
		Start      string      `json:"startTimeUnixNano"`
		End        string      `json:"endTimeUnixNano"`
		Attributes []attribute `json:"attributes"`
		Status     state       `json:"status"`
	}
	scope struct {
		Name string `json:"name"`
	}
	scopeSpans struct {
		Scope scope  `json:"scope"`
		Spans []span `json:"spans"`
	}
	resource struct {
		Attributes []attribute `json:"attributes"`
	}
	resourceSpans struct {
		Resource resource     `json:"resource"`
		Scopes   []scopeSpans `json:"scopeSpans"`
	}
	batch struct {
		Resources []resourceSpans `json:"resourceSpans"`
	}
)

func text(key, said string) attribute { return attribute{key, value{"stringValue": said}} }

func (s *Span) wire(code codes.Code, reason string) span {
	name := strings.TrimPrefix(s.path, "/")
	service, method, _ := strings.Cut(name, "/")
	said := []attribute{
		text("rpc.system", "grpc"), text("rpc.service", service), text("rpc.method", method),
		{"rpc.grpc.status_code", value{"intValue": strconv.Itoa(int(code))}},
	}
	if reason != "" {
		said = append(said, text("tandem.error_reason", reason))
	}
	made := span{
		TraceID: s.traceID, SpanID: s.spanID, ParentID: s.parentID, Name: name, Kind: kindServer,
		Start: nanoseconds(s.startedAt), End: nanoseconds(time.Now()), Attributes: said,
	}
	if ofTheServer[code] {
		made.Attributes = append(made.Attributes, text("error.type", failure.NameOf(code)))
		made.Status.Code = stateError
	}
	return made
}

func nanoseconds(moment time.Time) string { return strconv.FormatInt(moment.UnixNano(), 10) }

// An Exporter sends spans to a collector in OpenTelemetry's own protocol, JSON over HTTP, in
// batches. Python's hosts send the same.
type Exporter struct {
	endpoint string
	resource resource
	client   http.Client
	lock     sync.Mutex
	waiting  []span
	full     chan struct{}
	failing  bool
}

// Collector is where spans go by OpenTelemetry's own variables; empty for nowhere.
func Collector(variable func(string) string) string {
	if strings.EqualFold(variable("OTEL_SDK_DISABLED"), "true") {
		return ""
	}
	if exact := variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"); exact != "" {
		return exact
	}
	if base := strings.TrimRight(variable("OTEL_EXPORTER_OTLP_ENDPOINT"), "/"); base != "" {
		return base + "/v1/traces"
	}
	return ""
}

// NewExporter sends the spans of `service`. What the environment says of the process goes before it.
func NewExporter(endpoint, service string, variable func(string) string) *Exporter {
	about := map[string]string{"service.name": service, "telemetry.sdk.language": "go"}
	for pair := range strings.SplitSeq(variable("OTEL_RESOURCE_ATTRIBUTES"), ",") {
		if name, said, found := strings.Cut(strings.TrimSpace(pair), "="); found {
			if plain, err := url.PathUnescape(said); err == nil {
				about[name] = plain
			}
		}
	}
	if name := variable("OTEL_SERVICE_NAME"); name != "" {
		about["service.name"] = name
	}
	made := &Exporter{endpoint: endpoint, full: make(chan struct{}, 1)}
	made.client.Timeout = exportWithin
	for name, said := range about {
		made.resource.Attributes = append(made.resource.Attributes, text(name, said))
	}
	return made
}

func (e *Exporter) put(one span) {
	e.lock.Lock()
	defer e.lock.Unlock()
	if len(e.waiting) >= waitingMax {
		return
	}
	e.waiting = append(e.waiting, one)
	if len(e.waiting)%batchMax == 1 {
		select {
		case e.full <- struct{}{}: // the first of a batch wakes who sends it; nobody polls
		default:
		}
	}
}

// Run sends batches until the context ends, and then what is left.
func (e *Exporter) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			e.send()
			return
		case <-e.full:
		}
		select {
		case <-ctx.Done():
		case <-time.After(batchEach):
		}
		e.send()
	}
}

func (e *Exporter) send() {
	e.lock.Lock()
	spans := e.waiting
	e.waiting = nil
	e.lock.Unlock()
	if len(spans) == 0 {
		return
	}
	said := batch{[]resourceSpans{{e.resource, []scopeSpans{{scope{"tandemkit"}, spans}}}}}
	body, err := json.Marshal(said)
	if err == nil {
		err = e.post(body)
	}
	if err != nil && !e.failing {
		log.Of("tandemkit.telemetry").Warn("trace.unsent", slog.String("cause", err.Error()), slog.Int("spans", len(spans)))
	}
	e.failing = err != nil
}

func (e *Exporter) post(body []byte) error {
	answer, err := e.client.Post(e.endpoint, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("the collector answered %s", answer.Status)
	}
	return nil
}
