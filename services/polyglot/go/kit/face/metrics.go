// Package face is what a host says of itself over HTTP: /health for probes and people, /metrics for
// Prometheus. It says what Python's hosts say, in the same words.
package face

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"tandem/polyglot/kit/serve"
)

const (
	plain       = "text/plain; version=0.0.4; charset=utf-8"
	openMetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8"
	counter     = "counter"
	gauge       = "gauge"
	histogram   = "histogram"
)

// A sample is one line: what stands behind the family's name, its labels in their order, its value.
type sample struct {
	suffix string
	labels []string
	value  float64
}

// A family is lines of one name and kind. A counter's name is without `_total`.
type family struct {
	name, kind, meaning string
	samples             []sample
}

// mediaType is OpenMetrics for who names it. Prometheus does, and prefers it.
func mediaType(accept string) string {
	if strings.Contains(accept, "application/openmetrics-text") {
		return openMetrics
	}
	return plain
}

// textOf is the page in one of the two formats. A family without samples is not in it.
func textOf(families []family, media string) string {
	var page strings.Builder
	for _, one := range families {
		if len(one.samples) == 0 {
			continue
		}
		name := one.name
		if one.kind == counter {
			name += "_total"
		}
		// The older format knows a counter by its whole name.
		known := one.name
		if media == plain {
			known = name
		}
		fmt.Fprintf(&page, "# HELP %s %s\n# TYPE %s %s\n", known, one.meaning, known, one.kind)
		for _, line := range one.samples {
			fmt.Fprintf(&page, "%s%s%s %s\n", name, line.suffix, labelled(line.labels), number(line.value))
		}
	}
	if media == openMetrics {
		page.WriteString("# EOF\n")
	}
	return page.String()
}

var escapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

// labelled writes names and values by turns.
func labelled(labels []string) string {
	var pairs []string
	for pair := range slices.Chunk(labels, 2) {
		pairs = append(pairs, pair[0]+`="`+escapes.Replace(pair[1])+`"`)
	}
	if len(pairs) == 0 {
		return ""
	}
	return "{" + strings.Join(pairs, ",") + "}"
}

func number(value float64) string {
	return strconv.FormatFloat(value, 'g', -1, 64)
}

// callFamilies are the calls that a server answered, under the names that gRPC's own instruments have.
func callFamilies(tallies []*serve.Tally) []family {
	started := family{"grpc_server_call_started", counter, "Calls that began.", nil}
	took := family{
		"grpc_server_call_duration_seconds", histogram,
		"From the moment that a call reached the server to its status.", nil,
	}
	for _, one := range tallies {
		count, ended := one.Counted()
		started.samples = append(started.samples, sample{"", []string{"grpc_method", one.Method}, float64(count)})
		for _, status := range slices.Sorted(maps.Keys(ended)) {
			took.samples = append(took.samples, buckets([]string{"grpc_method", one.Method, "grpc_status", status}, ended[status])...)
		}
	}
	return []family{started, took}
}

func buckets(labels []string, found serve.Durations) []sample {
	var lines []sample
	below := int64(0)
	for place, count := range found.Counts {
		below += count
		bound := "+Inf"
		if place < len(serve.BoundsS) {
			bound = bounded(serve.BoundsS[place])
		}
		lines = append(lines, sample{"_bucket", append(slices.Clone(labels), "le", bound), float64(below)})
	}
	return append(lines, sample{"_count", labels, float64(below)}, sample{"_sum", labels, found.SumS})
}

// bounded writes a bound as Python does, so that one series is one series: `1.0`, `1e-05`.
func bounded(value float64) string {
	text := number(value)
	if !strings.ContainsAny(text, ".e") {
		return text + ".0"
	}
	return text
}
