package token

import "syscall"

// dumpBytesMax: 0 would still hand the memory to a program that the kernel's core_pattern names;
// below a page no file is written either, and for a program the kernel takes 1 to mean none.
const dumpBytesMax = 1

// forbidDumps has a process that holds a secret leave no copy of its memory behind when it crashes.
func forbidDumps() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &limit); err != nil {
		return err
	}
	limit.Max = min(limit.Max, dumpBytesMax)
	limit.Cur = limit.Max
	return syscall.Setrlimit(syscall.RLIMIT_CORE, &limit)
}
