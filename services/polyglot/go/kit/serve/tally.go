package serve

import (
	"sort"
	"strings"
	"sync"
	"time"
)

// BoundsS are the upper bounds of the buckets that gRPC's own instruments have (gRFC A66), in seconds.
var BoundsS = []float64{
	0.0, 0.00001, 0.00005, 0.0001, 0.0003, 0.0006, 0.0008,
	0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008,
	0.01, 0.013, 0.016, 0.02, 0.025, 0.03, 0.04, 0.05, 0.065, 0.08,
	0.1, 0.13, 0.16, 0.2, 0.25, 0.3, 0.4, 0.5, 0.65, 0.8,
	1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0,
}

// Durations of calls that ended alike, by bucket; the last one is for what exceeds all bounds.
type Durations struct {
	Counts []int64
	SumS   float64
}

// A Tally counts the calls of one method.
type Tally struct {
	// Method is `SERVICE/METHOD`.
	Method string

	lock    sync.Mutex
	started int64
	ended   map[string]*Durations
}

func newTally(path string) *Tally {
	return &Tally{Method: strings.TrimPrefix(path, "/"), ended: map[string]*Durations{}}
}

func (t *Tally) begin() {
	t.lock.Lock()
	t.started++
	t.lock.Unlock()
}

func (t *Tally) end(code string, took time.Duration) {
	t.lock.Lock()
	defer t.lock.Unlock()
	found := t.ended[code]
	if found == nil {
		found = &Durations{Counts: make([]int64, len(BoundsS)+1)}
		t.ended[code] = found
	}
	found.Counts[sort.SearchFloat64s(BoundsS, took.Seconds())]++
	found.SumS += took.Seconds()
}

// Counted is how many calls began, and how those that are over ended, by status.
func (t *Tally) Counted() (int64, map[string]Durations) {
	t.lock.Lock()
	defer t.lock.Unlock()
	ended := map[string]Durations{}
	for code, found := range t.ended {
		ended[code] = Durations{append([]int64(nil), found.Counts...), found.SumS}
	}
	return t.started, ended
}

// Service is the full name of the method's.
func (t *Tally) Service() string {
	service, _, _ := strings.Cut(t.Method, "/")
	return service
}
