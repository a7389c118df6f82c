// Package pulse gives a process's signs of life into a file that the machine's supervisor reads
// without asking it. Each fact is one aligned word, written whole: docs/design/liveness.md.
package pulse

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Beat is how often a process that is well says so.
const Beat = 500 * time.Millisecond

const (
	pidWord    = 1
	loopWord   = 2
	threadWord = 3
	namesBytes = 6
	namesAt    = 64
	size       = 65536
)

// "tandem" and the layout's number.
var magic = binary.LittleEndian.Uint64([]byte("tandem\x00\x01"))

// An Origin is an agent, and the folder that its code stands in, with a `/` at its end.
type Origin struct{ Agent, Folder string }

// A Pulse is the side that beats. A beat is one store into memory: no system call.
type Pulse struct{ memory []byte }

// Open makes a new file, there from one moment to the next, which stays behind when the process
// ends: its last beats say when that was.
func Open(path string, origins []Origin) (*Pulse, error) {
	fresh := filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%d", filepath.Base(path), os.Getpid()))
	file, err := os.OpenFile(fresh, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	defer os.Remove(fresh)
	// Later writes to a file without blocks would be fatal.
	if err := syscall.Fallocate(int(file.Fd()), 0, 0, size); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	memory, err := syscall.Mmap(int(file.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	made := &Pulse{memory}
	made.fill(origins)
	return made, os.Rename(fresh, path)
}

func (p *Pulse) fill(origins []Origin) {
	var told []byte
	for _, one := range origins {
		line := fmt.Appendf(nil, "%s\t%s\n", one.Agent, one.Folder)
		// Agents beyond that go unnamed when they are found out.
		if namesAt+len(told)+len(line) > size {
			break
		}
		told = append(told, line...)
	}
	copy(p.memory[namesAt:], told)
	p.put(pidWord, uint64(os.Getpid()))
	p.put(namesBytes, uint64(len(told)))
	p.beat()
	p.put(0, magic)
}

// Run beats until the context ends. The runtime's scheduler wakes it like any other goroutine, so a
// process that serves nobody any more does not beat either.
func (p *Pulse) Run(ctx context.Context) {
	ticker := time.NewTicker(Beat)
	defer ticker.Stop()
	for {
		p.beat()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (p *Pulse) beat() {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return
	}
	p.put(loopWord, uint64(now.Nano()))
	p.put(threadWord, uint64(now.Nano()))
}

func (p *Pulse) put(word int, value uint64) {
	atomic.StoreUint64((*uint64)(unsafe.Pointer(&p.memory[8*word])), value)
}
