package trace

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
)

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// A header that is none is as if it were not there.
func TestWhatArrives(t *testing.T) {
	for sent, taken := range map[string]bool{
		parent: true, strings.ToUpper(parent): false, parent + "0": false, "01" + parent[2:]: false, "": false,
		"00-" + strings.Repeat("0", 32) + parent[35:]: false, parent[:36] + strings.Repeat("0", 16) + "-01": false,
	} {
		if found := Arrived([]string{sent}); (found != "") != taken {
			t.Errorf("%q: %q", sent, found)
		}
	}
	if !Arrived([]string{parent}).Sampled() || Parent(parent[:53]+"00").Sampled() || Arrived(nil).Sampled() {
		t.Error("the last bit alone asks for a record")
	}
}

// A span reaches the collector below its parent, with what the environment says of the process, at
// the latest when that ends.
func TestASpanIsExported(t *testing.T) {
	sent := make(chan batch, 1)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		var said batch
		if err := json.NewDecoder(request.Body).Decode(&said); err != nil {
			t.Error(err)
		}
		sent <- said
	}))
	defer collector.Close()
	variables := map[string]string{"OTEL_RESOURCE_ATTRIBUTES": "a=b%20c, bad", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.URL + "/"}
	variable := func(name string) string { return variables[name] }
	exporter := NewExporter(Collector(variable), "polyglot-file-digest", variable)
	ctx, end := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		exporter.Run(ctx)
		close(over)
	}()
	span := Tracing{Exporter: exporter}.Served("/tandem.a.v1.AService/Do", Parent(parent))
	span.End(codes.Internal, "INTERNAL")
	end()
	<-over
	said := <-sent
	one := said.Resources[0].Scopes[0].Spans[0]
	if one.TraceID != parent[3:35] || one.ParentID != parent[36:52] || one.Name != "tandem.a.v1.AService/Do" || one.Status.Code != stateError {
		t.Error(one)
	}
	if span.Parent().TraceID() != one.TraceID || !span.Parent().Sampled() || string(span.Parent()[36:52]) != one.SpanID {
		t.Error(span.Parent())
	}
	told, _ := json.Marshal(said.Resources[0].Resource)
	for _, wanted := range []string{`"service.name","value":{"stringValue":"polyglot-file-digest"}`, `"a","value":{"stringValue":"b c"}`} {
		if !strings.Contains(string(told), wanted) {
			t.Error(string(told))
		}
	}
}

// What nobody takes is dropped in the end, and holds nobody up.
func TestSpansThatNobodyTakesAreDropped(t *testing.T) {
	away := httptest.NewServer(http.NotFoundHandler())
	away.Close()
	exporter := NewExporter(away.URL, "a", func(string) string { return "" })
	for range 2 * waitingMax {
		Tracing{Exporter: exporter}.Served("/a/b", "").End(codes.OK, "")
	}
	if len(exporter.waiting) != waitingMax {
		t.Error(len(exporter.waiting))
	}
	exporter.send()
	if len(exporter.waiting) != 0 || !exporter.failing {
		t.Error("a batch is offered once")
	}
}
