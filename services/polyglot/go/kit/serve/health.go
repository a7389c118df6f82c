package serve

import (
	"context"
	"sync"

	"google.golang.org/grpc/codes"
	rpc "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// whole is the name under which a caller asks for the whole server.
const whole = ""

// Health is grpc.health.v1 of each service, and of each instance that was added by its name. Ours,
// because the package's own keeps its watchers, and with them a draining server, until the grace is
// over.
type Health struct {
	rpc.UnimplementedHealthServer
	lock     sync.Mutex
	statuses map[string]bool
	apart    map[string]bool
	changed  chan struct{}
	draining bool
}

func newHealth() *Health {
	return &Health{statuses: map[string]bool{}, apart: map[string]bool{}, changed: make(chan struct{})}
}

// Put changes one status; a draining server's stay as they are. The whole does not depend on one
// that stands apart.
func (h *Health) Put(name string, serving, apart bool) {
	h.lock.Lock()
	defer h.lock.Unlock()
	h.statuses[name] = serving && !h.draining
	h.apart[name] = apart
	h.wake()
}

// Forget says that there is none of that name any more.
func (h *Health) Forget(name string) {
	h.lock.Lock()
	defer h.lock.Unlock()
	delete(h.statuses, name)
	delete(h.apart, name)
	h.wake()
}

// Serving says whether it serves as far as the outside has been told.
func (h *Health) Serving(name string) bool {
	h.lock.Lock()
	defer h.lock.Unlock()
	return h.statuses[name]
}

// Draining says whether all of it is NOT_SERVING for good.
func (h *Health) Draining() bool {
	h.lock.Lock()
	defer h.lock.Unlock()
	return h.draining
}

// Drain turns everything NOT_SERVING for good, and ends every watch after it has said so.
func (h *Health) Drain() {
	h.lock.Lock()
	defer h.lock.Unlock()
	h.draining = true
	for name := range h.statuses {
		h.statuses[name] = false
	}
	h.wake()
}

func (h *Health) wake() {
	close(h.changed)
	h.changed = make(chan struct{})
}

func (h *Health) look(name string) (rpc.HealthCheckResponse_ServingStatus, bool, <-chan struct{}) {
	h.lock.Lock()
	defer h.lock.Unlock()
	serving, known := h.statuses[name]
	if name == whole {
		serving, known = h.wholeServes(), true
	}
	switch {
	case !known:
		return rpc.HealthCheckResponse_SERVICE_UNKNOWN, h.draining, h.changed
	case serving:
		return rpc.HealthCheckResponse_SERVING, h.draining, h.changed
	}
	return rpc.HealthCheckResponse_NOT_SERVING, h.draining, h.changed
}

func (h *Health) wholeServes() bool {
	for name, serving := range h.statuses {
		if !serving && !h.apart[name] {
			return false
		}
	}
	return !h.draining
}

// Check answers once.
func (h *Health) Check(_ context.Context, request *rpc.HealthCheckRequest) (*rpc.HealthCheckResponse, error) {
	found, _, _ := h.look(request.GetService())
	if found == rpc.HealthCheckResponse_SERVICE_UNKNOWN {
		return nil, status.Error(codes.NotFound, "no such service here")
	}
	return &rpc.HealthCheckResponse{Status: found}, nil
}

// Watch tells each change, until the caller has had enough or the server drains.
func (h *Health) Watch(request *rpc.HealthCheckRequest, stream rpc.Health_WatchServer) error {
	last := rpc.HealthCheckResponse_ServingStatus(-1)
	for {
		found, draining, changed := h.look(request.GetService())
		if found != last {
			if err := stream.Send(&rpc.HealthCheckResponse{Status: found}); err != nil {
				return err
			}
			last = found
		}
		if draining {
			return nil
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		}
	}
}
