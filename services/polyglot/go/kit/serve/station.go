package serve

import (
	"sync"

	"google.golang.org/grpc/codes"

	"tandem/polyglot/kit/failure"
)

// A station is one service of a server, and who may answer for it.
type station struct {
	service string
	kind    any
	methods map[string]*Method

	lock      sync.RWMutex
	planned   *Seat
	added     map[string]*Seat
	policyMax int
}

func (s *station) mount(instance string, added bool) *Seat {
	s.lock.Lock()
	defer s.lock.Unlock()
	made := newSeat(instance, s)
	made.limit(s.policyMax)
	if !added {
		s.planned = made
		return made
	}
	if s.added == nil {
		s.added = map[string]*Seat{}
	}
	s.added[instance] = made
	return made
}

func (s *station) unmount(instance string) {
	s.lock.Lock()
	defer s.lock.Unlock()
	delete(s.added, instance)
}

// seatOf the instance that a call names: never another one than it asks for.
func (s *station) seatOf(instance string) *Seat {
	s.lock.RLock()
	defer s.lock.RUnlock()
	if s.planned != nil && (instance == "" || instance == s.planned.Instance) {
		return s.planned
	}
	return s.added[instance]
}

// absent is how a call ends for which there is no seat. One that names an instance finds others, or
// finds it later; UNIMPLEMENTED would say that nobody ever serves it.
func (s *station) absent(instance string) error {
	if instance != "" {
		return Restarting()
	}
	return &failure.Refusal{Code: codes.Unimplemented, Message: "nobody here serves " + s.service}
}

func (s *station) isServed() bool {
	if s == nil {
		return false
	}
	s.lock.RLock()
	defer s.lock.RUnlock()
	return s.planned != nil || len(s.added) > 0
}

func (s *station) seats() []*Seat {
	s.lock.RLock()
	defer s.lock.RUnlock()
	var found []*Seat
	if s.planned != nil {
		found = append(found, s.planned)
	}
	for _, one := range s.added {
		found = append(found, one)
	}
	return found
}

func (s *station) limit(callsMax int) {
	s.lock.Lock()
	s.policyMax = callsMax
	s.lock.Unlock()
	for _, one := range s.seats() {
		one.limit(callsMax)
	}
}

func (s *station) drain() {
	for _, one := range s.seats() {
		one.drain()
	}
}
