package hosting

import "sync"

// news tells whoever listens that something of the host may have changed.
type news struct {
	lock    sync.Mutex
	changed chan struct{}
}

func newNews() *news { return &news{changed: make(chan struct{})} }

// next is closed at the next change. Whoever takes it before it looks misses none.
func (n *news) next() <-chan struct{} {
	n.lock.Lock()
	defer n.lock.Unlock()
	return n.changed
}

func (n *news) tell() {
	n.lock.Lock()
	defer n.lock.Unlock()
	close(n.changed)
	n.changed = make(chan struct{})
}
