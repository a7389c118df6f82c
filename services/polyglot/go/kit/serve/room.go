package serve

import (
	"context"
	"slices"
	"sync"
	"time"

	"tandem/polyglot/kit/failure"
	options "tandem/polyglot/stubs/tandem/options/v1"
	platform "tandem/polyglot/stubs/tandem/type/v1"
)

const (
	retryAfter = 100 * time.Millisecond
	// One seat in so many, and at least one, is not for batch calls.
	keptShare = 4
)

// A room holds the calls of one method in progress on one instance: how many there may be, of which
// class, and what ends them early.
type room struct {
	method *Method

	lock  sync.Mutex
	calls map[*call]struct{}
	// Interactive calls, in the order of coming, each of which has the next seat that is left.
	waiting   []*call
	policyMax int
	shutAs    error
	// Servicers at work, which may be a moment longer than their calls last.
	running sync.WaitGroup
}

func newRoom(method *Method) *room {
	return &room{method: method, calls: map[*call]struct{}{}}
}

// enter takes the call in, whose context ends with its time; it fails where there is no room. An
// interactive call may wait for it.
func (r *room) enter(one *call) error {
	mayBegin, err := r.admit(one)
	if err != nil || mayBegin {
		return err
	}
	var late <-chan time.Time
	if r.method.Deadline > 0 {
		timer := time.NewTimer(r.method.Deadline)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case err = <-one.seated:
		return err
	case <-late:
		err = tooLate(r.method.Deadline)
	case <-one.wire.Done():
		err = one.wire.Err()
	}
	return r.giveUp(one, err)
}

// admit says whether the call has its seat now; it may wait for one where that is no failure.
func (r *room) admit(one *call) (bool, error) {
	r.lock.Lock()
	defer r.lock.Unlock()
	if r.shutAs != nil {
		return false, r.shutAs
	}
	most := r.most()
	free := most - len(r.calls) - len(r.waiting)
	if one.class == options.Priority_PRIORITY_BATCH && most > 1 {
		free -= max(1, most/keptShare)
	}
	switch {
	case most == 0 || free > 0:
		r.sit(one)
		return true, nil
	case one.class == options.Priority_PRIORITY_INTERACTIVE && len(r.waiting) < most:
		one.seated = make(chan error, 1)
		r.waiting = append(r.waiting, one)
		return false, nil
	}
	return false, failure.Of(platform.PlatformErrorReason_PLATFORM_ERROR_REASON_OVERLOADED,
		"the instance has as many calls in progress as it takes on",
		failure.With("concurrent_calls_max", most), failure.RetryAfter(retryAfter))
}

// most calls that contract and policy let in; 0: as many as come.
func (r *room) most() int {
	if r.policyMax > 0 && (r.method.CallsMax == 0 || r.policyMax < r.method.CallsMax) {
		return r.policyMax
	}
	return r.method.CallsMax
}

func (r *room) sit(one *call) {
	one.context, one.end = context.WithCancelCause(one.context)
	if r.method.Deadline > 0 {
		one.late = time.AfterFunc(r.method.Deadline, func() { one.end(tooLate(r.method.Deadline)) })
	}
	r.calls[one] = struct{}{}
	r.running.Add(1)
}

// fill the seats that are left with those who wait.
func (r *room) fill() {
	for len(r.waiting) > 0 && (r.most() == 0 || len(r.calls) < r.most()) {
		one := r.waiting[0]
		r.waiting = r.waiting[1:]
		r.sit(one)
		one.seated <- nil
	}
}

// giveUp waiting; whoever got a seat meanwhile keeps it.
func (r *room) giveUp(one *call, why error) error {
	r.lock.Lock()
	defer r.lock.Unlock()
	place := slices.Index(r.waiting, one)
	if place < 0 {
		return <-one.seated
	}
	r.waiting = slices.Delete(r.waiting, place, place+1)
	return why
}

func (r *room) leave(one *call) {
	r.lock.Lock()
	delete(r.calls, one)
	r.fill()
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
	r.fill()
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
	r.refuseAll(refusal)
	if r.method.Deadline == 0 {
		r.endAll(refusal)
	}
}

// shut ends all calls in progress too: nobody is there to answer.
func (r *room) shut(refusal error) {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.refuseAll(refusal)
	r.endAll(refusal)
}

func (r *room) refuseAll(refusal error) {
	r.shutAs = refusal
	for _, one := range r.waiting {
		one.seated <- refusal
	}
	r.waiting = nil
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

func tooLate(deadline time.Duration) error {
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
