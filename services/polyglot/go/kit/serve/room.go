package serve

import (
	"context"
	"sync"
	"time"

	"tandem/polyglot/kit/failure"
	platform "tandem/polyglot/stubs/tandem/type/v1"
)

const retryAfter = 100 * time.Millisecond

// A room holds the calls of one method in progress on one instance: how many there may be, and what
// ends them early.
type room struct {
	method *Method

	lock      sync.Mutex
	calls     map[*call]struct{}
	policyMax int
	shutAs    error
}

func newRoom(method *Method) *room {
	return &room{method: method, calls: map[*call]struct{}{}}
}

// enter takes the call in, whose context ends with its time; it fails where there is no room.
func (r *room) enter(one *call) error {
	r.lock.Lock()
	defer r.lock.Unlock()
	if r.shutAs != nil {
		return r.shutAs
	}
	most := r.method.CallsMax
	if r.policyMax > 0 && (most == 0 || r.policyMax < most) {
		most = r.policyMax
	}
	if most > 0 && len(r.calls) >= most {
		return failure.Of(platform.PlatformErrorReason_PLATFORM_ERROR_REASON_OVERLOADED,
			"the instance has as many calls in progress as it takes on",
			failure.With("concurrent_calls_max", most), failure.RetryAfter(retryAfter))
	}
	one.context, one.end = context.WithCancelCause(one.context)
	if r.method.Deadline > 0 {
		one.late = time.AfterFunc(r.method.Deadline, func() { one.end(late(r.method.Deadline)) })
	}
	r.calls[one] = struct{}{}
	return nil
}

func (r *room) leave(one *call) {
	r.lock.Lock()
	delete(r.calls, one)
	r.lock.Unlock()
	if one.late != nil {
		one.late.Stop()
	}
	one.end(nil)
}

func (r *room) busy() int {
	r.lock.Lock()
	defer r.lock.Unlock()
	return len(r.calls)
}

// limit lets in what policy does, where that is less than the contract's; 0: as the contract says.
func (r *room) limit(callsMax int) {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.policyMax = callsMax
}

// open lets calls in.
func (r *room) open() {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.shutAs = nil
}

// close lets nothing in, and ends what has no end of its own, both with `refusal`.
func (r *room) close(refusal error) {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.shutAs = refusal
	if r.method.Deadline == 0 {
		r.endAll(refusal)
	}
}

// shut ends all calls in progress too: nobody is there to answer.
func (r *room) shut(refusal error) {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.shutAs = refusal
	r.endAll(refusal)
}

// drain ends what has no end of its own and would use up all of a draining server's grace.
func (r *room) drain() {
	r.lock.Lock()
	defer r.lock.Unlock()
	if r.method.Deadline == 0 {
		r.endAll(Draining())
	}
}

func (r *room) endAll(refusal error) {
	for one := range r.calls {
		one.end(refusal)
	}
}

func late(deadline time.Duration) error {
	return failure.Of(platform.PlatformErrorReason_PLATFORM_ERROR_REASON_DEADLINE_EXCEEDED,
		"the method's own deadline passed", failure.With("deadline_s", deadline.Seconds()))
}

// Draining is how a stream ends that has no end of its own, on an instance that shuts down.
func Draining() error {
	return failure.Of(platform.PlatformErrorReason_PLATFORM_ERROR_REASON_DRAINING,
		"the instance is shutting down", failure.RetryAfter(retryAfter))
}

// Restarting is how calls end while an agent is being built again, or is not there yet.
func Restarting() error {
	return failure.Of(platform.PlatformErrorReason_PLATFORM_ERROR_REASON_RESTARTING,
		"the agent is being built again", failure.RetryAfter(retryAfter))
}

// Suspended is how calls end of an agent that somebody stopped or suspended.
func Suspended(state, by, why string) error {
	told := by
	if why != "" {
		told = by + ": " + why
	}
	return failure.Of(platform.PlatformErrorReason_PLATFORM_ERROR_REASON_SUSPENDED,
		"the agent was "+state+" here by "+told, failure.With("by", by), failure.With("why", why))
}
