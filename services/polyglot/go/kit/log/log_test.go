package log

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"regexp"
	"testing"
)

// A line is what Python's hosts write: nothing in a value can break it in two, or leave ASCII.
func TestALineIsOneObjectOfASCII(t *testing.T) {
	var out bytes.Buffer
	WriteTo(&out)
	cause := "two\nlines\u2028\u0085é😀\xff"
	Of("kit").Warn("host.busy", slog.String("cause", cause))
	line := out.Bytes()
	if bytes.Count(line, []byte("\n")) != 1 || bytes.ContainsFunc(line, func(char rune) bool { return char > 126 }) {
		t.Fatalf("%q", line)
	}
	var said map[string]string
	if err := json.Unmarshal(line, &said); err != nil {
		t.Fatal(err)
	}
	if said["cause"] != "two\nlines\u2028\u0085é😀\ufffd" || said["level"] != "WARNING" || said["event"] != "host.busy" || said["logger"] != "kit" {
		t.Error(said)
	}
	if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00$`).MatchString(said["time"]) {
		t.Error(said["time"])
	}
}
