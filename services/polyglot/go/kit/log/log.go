// Package log writes the fleet's log lines: JSON, a constant dotted event name and fields.
package log

import (
	"fmt"
	"io"
	"log/slog"
	"time"
	"unicode/utf8"
)

const timeForm = "2006-01-02T15:04:05.000+00:00"

// WriteTo sends every logger's lines to `out`, as each host of the fleet writes them.
func WriteTo(out io.Writer) {
	slog.SetDefault(slog.New(slog.NewJSONHandler(ascii{out}, &slog.HandlerOptions{ReplaceAttr: named})))
}

// Of returns the logger of one part of the kit, or of an agent. It is looked up when a line is
// written, so it may be taken before WriteTo.
func Of(name string) *slog.Logger {
	return slog.Default().With("logger", name)
}

func named(groups []string, attribute slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return attribute
	}
	switch attribute.Key {
	case slog.TimeKey:
		return slog.String(slog.TimeKey, attribute.Value.Time().UTC().Format(timeForm))
	case slog.MessageKey:
		attribute.Key = "event"
	case slog.LevelKey:
		if level, ok := attribute.Value.Any().(slog.Level); ok && level == slog.LevelWarn {
			return slog.String(slog.LevelKey, "WARNING")
		}
	}
	return attribute
}

// Milliseconds is a duration as log lines tell it.
func Milliseconds(duration time.Duration) float64 {
	return float64(duration.Round(time.Microsecond)) / float64(time.Millisecond)
}

// ascii escapes what is not ASCII, so that no break in a value, Unicode's included, can forge a
// line. Outside of strings JSON has none.
type ascii struct{ out io.Writer }

func (a ascii) Write(line []byte) (int, error) {
	escaped := make([]byte, 0, len(line))
	for rest := line; len(rest) > 0; {
		char, size := utf8.DecodeRune(rest)
		switch {
		case char < utf8.RuneSelf:
			escaped = append(escaped, rest[0])
		case char > 0xFFFF:
			char -= 0x10000
			escaped = fmt.Appendf(escaped, `\u%04x\u%04x`, 0xD800+char>>10, 0xDC00+char&0x3FF)
		default:
			escaped = fmt.Appendf(escaped, `\u%04x`, char)
		}
		rest = rest[size:]
	}
	if _, err := a.out.Write(escaped); err != nil {
		return 0, err
	}
	return len(line), nil
}
