package face

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A Usage is what this process uses of its machine at one moment.
type Usage struct {
	CPU                       time.Duration
	MemoryBytes, VirtualBytes int64
	OpenFiles, OpenFilesMax   int64
	StartedUnixS              float64
}

// UsageNow asks the kernel, whose accounts are read from memory and never from a disk.
func UsageNow() Usage {
	var found Usage
	var spent syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &spent); err == nil {
		found.CPU = time.Duration(spent.Utime.Nano() + spent.Stime.Nano())
	}
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		if sizes := strings.Fields(string(text)); len(sizes) > 1 {
			found.VirtualBytes, found.MemoryBytes = pages(sizes[0]), pages(sizes[1])
		}
	}
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		found.OpenFiles = int64(len(open)) - 1 // one of them is the one that counts them
	}
	var most syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &most); err == nil {
		found.OpenFilesMax = int64(most.Cur)
	}
	found.StartedUnixS = started
	return found
}

// started is when the process did, as near as the runtime lets one tell.
var started = float64(time.Now().UnixMilli()) / 1000

func pages(text string) int64 {
	count, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return count * int64(os.Getpagesize())
}

func processFamilies(usage Usage) []family {
	one := func(name, kind, meaning string, value float64) family {
		return family{name, kind, meaning, []sample{{"", nil, value}}}
	}
	return []family{
		one("process_cpu_seconds", counter, "CPU time, user and system.", usage.CPU.Seconds()),
		one("process_resident_memory_bytes", gauge, "Memory in use.", float64(usage.MemoryBytes)),
		one("process_virtual_memory_bytes", gauge, "Address space.", float64(usage.VirtualBytes)),
		one("process_open_fds", gauge, "Open file descriptors.", float64(usage.OpenFiles)),
		one("process_max_fds", gauge, "Limit of open file descriptors.", float64(usage.OpenFilesMax)),
		one("process_start_time_seconds", gauge, "Start, since 1970.", usage.StartedUnixS),
	}
}
