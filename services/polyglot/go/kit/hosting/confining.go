package hosting

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"tandem/polyglot/kit/log"
)

const (
	mib = 1 << 20
	// Without a cgroup a process that takes everything at once is stopped so far above its limit:
	// stacks of threads count too, whether or not they are used.
	headroomMiB = 512
	periodUs    = 100_000
	// The collector works harder from here on, so that the kernel's limit is seldom met.
	softShare = 0.9
)

// confined holds this process to its limits, and says by what, in the words of every host:
// docs/design/liveness.md.
func (h *host) confined() []string {
	var told []string
	group := ""
	if h.said.memoryMiBMax > 0 || h.said.cpusMax > 0 {
		group = h.cgroup()
	}
	if cores, _ := h.said.coreNumbers(); len(cores) > 0 {
		told = append(told, bound(cores, "cores"))
	}
	if most := h.said.memoryMiBMax; most > 0 {
		debug.SetMemoryLimit(int64(softShare * float64(most*mib)))
		told = append(told, limitMemory(group, most))
	}
	if h.said.cpusMax > 0 {
		told = append(told, limitCPUs(group, h.said.cpusMax))
	}
	if group != "" {
		_ = os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0)
	}
	if len(told) > 0 {
		log.Of("tandemkit.hosting").Info("host.confined", slog.Any("limits", told))
	}
	return told
}

// cgroup makes this host's group below the one that the process is in, of version 2; empty where
// none may be made. Its supervisor looks for it by this name.
func (h *host) cgroup() string {
	root := h.said.cgroups
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); root == "" || err != nil {
		return ""
	}
	lines, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return ""
	}
	own := ""
	for line := range strings.Lines(string(lines)) {
		if path, found := strings.CutPrefix(strings.TrimSpace(line), "0::"); found {
			own = path
		}
	}
	state, err := filepath.Abs(h.said.state)
	if err != nil {
		return ""
	}
	digest := sha256.Sum256([]byte(state))
	name := h.said.hostName
	if name == "" {
		name = strconv.Itoa(os.Getpid())
	}
	parent := filepath.Join(root, own)
	group := filepath.Join(parent, "tandem-"+name+"-"+hex.EncodeToString(digest[:])[:12])
	if err := os.Mkdir(group, 0o755); err != nil && !os.IsExist(err) {
		return ""
	}
	// Refused where the parent holds processes itself: then the group has no files to write to.
	wrote(filepath.Join(parent, "cgroup.subtree_control"), "+memory +cpu")
	return group
}

// wrote says whether the kernel took it; a file that is not there is a controller that is not either.
func wrote(path, text string) bool {
	if _, err := os.Stat(path); err != nil {
		return false
	}
	return os.WriteFile(path, []byte(text), 0) == nil
}

func limitMemory(group string, mostMiB int64) string {
	if group != "" {
		// Else it would only be slow, for as long as there is swap.
		wrote(filepath.Join(group, "memory.swap.max"), "0")
		if wrote(filepath.Join(group, "memory.max"), strconv.FormatInt(mostMiB*mib, 10)) {
			return fmt.Sprintf("memory: %d MiB by cgroup v2", mostMiB)
		}
	}
	most := uint64(mostMiB+headroomMiB) * mib
	var found syscall.Rlimit
	if err := syscall.Getrlimit(unix.RLIMIT_DATA, &found); err == nil {
		most = min(most, found.Max)
		found.Cur = most
		_ = syscall.Setrlimit(unix.RLIMIT_DATA, &found)
	}
	return fmt.Sprintf("memory: %d MiB by its supervisor's looks, %d by rlimit", mostMiB, most/mib)
}

func limitCPUs(group string, cpus float64) string {
	if group != "" && wrote(filepath.Join(group, "cpu.max"), fmt.Sprintf("%d %d", int(cpus*periodUs), periodUs)) {
		return fmt.Sprintf("cpus: %g by cgroup v2", cpus)
	}
	var found unix.CPUSet
	if err := unix.SchedGetaffinity(0, &found); err != nil {
		return fmt.Sprintf("cpus: %g, which this machine refuses: %v", cpus, err)
	}
	var cores []int
	for core := range 64 * len(found) {
		if found.IsSet(core) {
			cores = append(cores, core)
		}
	}
	wanted := min(len(cores), int(math.Ceil(cpus)))
	return bound(cores[len(cores)-wanted:], fmt.Sprintf("cpus: %g as cores", cpus))
}

// bound keeps every thread of the process to the cores; later ones inherit it.
func bound(cores []int, what string) string {
	var set unix.CPUSet
	var names []string
	for _, core := range slices.Sorted(slices.Values(cores)) {
		set.Set(core)
		names = append(names, strconv.Itoa(core))
	}
	numbers := strings.Join(names, ",")
	threads, err := os.ReadDir("/proc/self/task")
	for _, thread := range threads {
		number, _ := strconv.Atoi(thread.Name())
		if failed := unix.SchedSetaffinity(number, &set); failed != nil {
			err = failed
		}
	}
	if err != nil {
		return fmt.Sprintf("%s: not on %s, which this machine refuses: %v", what, numbers, err)
	}
	return what + ": " + numbers
}
