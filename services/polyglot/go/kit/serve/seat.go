package serve

import (
	"reflect"
	"sync/atomic"
	"time"
)

// How long a servicer may take to hear that its calls are over.
const leftWithin = 5 * time.Second

// A Seat is the place of one instance in a server: its rooms outlive its servicers, and while
// nobody sits there calls are refused.
type Seat struct {
	Instance string

	contract reflect.Type
	rooms    map[string]*room
	servicer atomic.Value
	latest   atomic.Int64
}

// occupant is who answers; atomic.Value wants one type.
type occupant struct{ servicer any }

func newSeat(instance string, at *station) *Seat {
	made := &Seat{Instance: instance, contract: reflect.TypeOf(at.kind).Elem(), rooms: map[string]*room{}}
	for name, method := range at.methods {
		made.rooms[name] = newRoom(method)
	}
	made.Leave(Restarting())
	return made
}

// Fits says whether a servicer implements the contract of the seat.
func (s *Seat) Fits(servicer any) bool {
	return servicer != nil && reflect.TypeOf(servicer).Implements(s.contract)
}

// Take gives the seat to a servicer: calls go to this one from now on.
func (s *Seat) Take(servicer any) {
	s.servicer.Store(occupant{servicer})
	for _, one := range s.rooms {
		one.open()
	}
}

// Close refuses others until somebody takes the seat again; calls in progress may finish.
func (s *Seat) Close(refusal error) {
	for _, one := range s.rooms {
		one.close(refusal)
	}
}

// Leave ends calls in progress too, and returns when the servicer has none any more, or does not hear
// of it: then it is left alone with them, and false.
func (s *Seat) Leave(refusal error) bool {
	for _, one := range s.rooms {
		one.shut(refusal)
	}
	left := make(chan struct{})
	go func() {
		for _, one := range s.rooms {
			one.running.Wait()
		}
		close(left)
	}()
	select {
	case <-left:
		return true
	case <-time.After(leftWithin):
		return false
	}
}

// Calls is how many are in progress.
func (s *Seat) Calls() int {
	found := 0
	for _, one := range s.rooms {
		found += one.busy()
	}
	return found
}

// LatestCall is when the latest call came; zero where none has.
func (s *Seat) LatestCall() time.Time {
	if nanoseconds := s.latest.Load(); nanoseconds != 0 {
		return time.Unix(0, nanoseconds)
	}
	return time.Time{}
}

func (s *Seat) drain() {
	for _, one := range s.rooms {
		one.drain()
	}
}

func (s *Seat) limit(callsMax int) {
	for _, one := range s.rooms {
		one.limit(callsMax)
	}
}
