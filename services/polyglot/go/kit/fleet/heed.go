package fleet

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"google.golang.org/protobuf/proto"

	"tandem/polyglot/kit/log"
	control "tandem/polyglot/stubs/tandem/control/v1"
)

const (
	policyKey = "policy/traffic"
	// A control that is frozen keeps its streams open and says nothing. So a watch begins anew, half
	// of that or later, and one that does not answer its beginning goes on at the next control.
	watchMax     = time.Minute
	watchBegins  = 3 * time.Second
	policySchema = "tandem.control.v1.PolicyRecord"
)

// Heed watches the traffic policy until the context ends, and tells how many calls of a method it
// lets in, by service. Control being away changes nothing: what was told last holds.
func (a *Announcer) Heed(ctx context.Context, limit func(map[string]int)) {
	heard := &hearing{limit: limit}
	for place, failures := 0, 0; ctx.Err() == nil; {
		heard.isHeard = false
		if err := a.watchOnce(ctx, a.said.Controls[place], heard); err == nil || heard.isHeard {
			failures = 0
		}
		if heard.isHeard {
			continue
		}
		if failures++; failures == 1 && ctx.Err() == nil {
			log.Of("tandemkit.hosting").Warn("host.policy_stale", slog.String("control", a.said.Controls[place]))
		}
		place = (place + 1) % len(a.said.Controls)
		select {
		case <-ctx.Done():
		case <-time.After(pause(failures)):
		}
	}
}

// hearing is what was told so far.
type hearing struct {
	limit   func(map[string]int)
	version int64
	isHeard bool
}

func (a *Announcer) watchOnce(ctx context.Context, address string, heard *hearing) error {
	registry, wire, err := a.registry(address)
	if err != nil {
		return err
	}
	defer wire.Close()
	lasting := time.Duration(float64(watchMax) * (0.5 + rand.Float64()/2))
	ctx, end := context.WithTimeout(ctx, lasting)
	defer end()
	silent := time.AfterFunc(watchBegins, end)
	defer silent.Stop()
	watch, err := registry.WatchValue(ctx, &control.WatchValueRequest{Key: policyKey})
	if err != nil {
		return err
	}
	for {
		told, err := watch.Recv()
		if err != nil {
			return err
		}
		silent.Stop()
		heard.take(told.GetValue())
	}
}

func (h *hearing) take(value *control.StoredValue) {
	h.isHeard = true
	record := &control.PolicyRecord{}
	if value != nil {
		if err := proto.Unmarshal(value.GetContent(), record); err != nil || value.GetSchema() != policySchema {
			log.Of("tandemkit.hosting").Error("host.policy_unreadable", slog.String("schema", value.GetSchema()))
			return
		}
	}
	if version := record.GetChange().GetVersion(); version != h.version {
		h.version = version
		callsMax := map[string]int{}
		for _, one := range record.GetPolicy().GetServices() {
			callsMax[one.GetService()] = int(one.GetConcurrentCallsMax())
		}
		h.limit(callsMax)
		log.Of("tandemkit.hosting").Info("host.policy_heeded", slog.Int64("version", version))
	}
}
