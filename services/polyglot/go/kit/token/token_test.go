package token

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func kept(t *testing.T) (*Token, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "home", "token")
	made, err := Kept(path)
	if err != nil {
		t.Fatal(err)
	}
	return made, path
}

// Whoever comes first makes the token, and all others have the same.
func TestATokenIsMadeOnce(t *testing.T) {
	made, path := kept(t)
	again, err := Kept(path)
	if err != nil || again.Bearer() != made.Bearer() {
		t.Fatal(err, again, made)
	}
	found, err := os.Stat(path)
	if err != nil || found.Mode().Perm() != 0o600 {
		t.Fatal(err, found.Mode())
	}
}

// Whoever holds one leaves no copy of its memory behind.
func TestAHolderLeavesNoDump(t *testing.T) {
	kept(t)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &limit); err != nil || limit.Max > dumpBytesMax {
		t.Error(limit, err)
	}
}

// The scheme has no case, and nothing else opens.
func TestWhatOpens(t *testing.T) {
	made, _ := kept(t)
	text := strings.TrimPrefix(made.Bearer(), "Bearer ")
	for shown, opens := range map[string]bool{
		"Bearer " + text: true, "bEARER  " + text: true, text: false, "Basic " + text: false, "": false,
		"Bearer ": false, "Bearer " + text[1:]: false,
	} {
		if made.Opens(shown) != opens {
			t.Errorf("%q opens: %v", shown, !opens)
		}
	}
}

// A changed file is known at once, and the token before is taken as long as its file says.
func TestAChangedToken(t *testing.T) {
	made, path := kept(t)
	before := made.Bearer()
	past := strings.TrimPrefix(before, "Bearer ")
	write := func(grace time.Duration) {
		until := time.Now().Add(grace).UTC().Format("2006-01-02T15:04:05.000000+00:00")
		replace(t, path+".before", fmt.Sprintf("%s %s\n", past, until))
		replace(t, path, strings.Repeat("n", 43)+"\n")
	}
	write(time.Minute)
	if !made.Opens("Bearer "+strings.Repeat("n", 43)) || !made.Opens(before) {
		t.Error("neither the new nor the old token may be refused within the grace")
	}
	write(-time.Second)
	if made.Opens(before) {
		t.Error("the old token opens behind its grace")
	}
}

func replace(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// A file that others may read, that is a link, or that holds something else is not trusted.
func TestAFileThatCannotBeTrusted(t *testing.T) {
	folder := t.TempDir()
	good := filepath.Join(folder, "good")
	if _, err := Kept(good); err != nil {
		t.Fatal(err)
	}
	open, link, short := filepath.Join(folder, "open"), filepath.Join(folder, "link"), filepath.Join(folder, "short")
	replace(t, open, strings.Repeat("n", 43))
	replace(t, short, "n")
	for _, err := range []error{os.Chmod(open, 0o644), os.Symlink(good, link)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{open, link, short} {
		if _, err := Kept(path); err == nil {
			t.Errorf("%s is trusted", path)
		}
	}
}
