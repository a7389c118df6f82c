// Package token reads the fleet's token and keys: secrets in files that only their user can read.
package token

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Header carries the token, as `Bearer TOKEN`.
const Header = "authorization"

// KeyFile is the name of the key that lies beside the token, by which hosts vouch for themselves.
const KeyFile = "hosts.key"

const (
	scheme   = "bearer "
	lookEach = 5 * time.Second
	bytesMax = 4096
)

var form = regexp.MustCompile(`^[A-Za-z0-9_-]{43,512}$`)

// A Token is what its file says, read again every few seconds.
type Token struct {
	path   string
	lock   sync.Mutex
	seen   [2]identity
	text   string
	before []earlier
	lookAt time.Time
}

// earlier is a token that was in force once, and until when it is taken still.
type earlier struct {
	text  string
	until time.Time
}

// Kept returns the token in `path`, which is made by whoever comes first.
func Kept(path string) (*Token, error) {
	if err := forbidDumps(); err != nil {
		return nil, fmt.Errorf("the process would leave its memory behind when it crashes: %w", err)
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		if err := newly(path); err != nil {
			return nil, fmt.Errorf("the token cannot be kept: %w", err)
		}
	}
	made := &Token{path: path}
	made.lock.Lock()
	defer made.lock.Unlock()
	return made, made.look()
}

// Beside returns the key of the given name in the token's folder.
func (t *Token) Beside(name string) (*Token, error) {
	return Kept(filepath.Join(filepath.Dir(t.path), name))
}

// Bearer is the value of Header that a call shows.
func (t *Token) Bearer() string {
	t.lock.Lock()
	defer t.lock.Unlock()
	t.lookNowAndThen()
	return "Bearer " + t.text
}

// Sign makes of `text` what only a holder of the secret can make, and can tell.
func (t *Token) Sign(text []byte) []byte {
	mac := hmac.New(sha256.New, []byte(t.Bearer()))
	mac.Write(text)
	return mac.Sum(nil)
}

// Opens says whether that is the value of Header that a call needs. Runs for every call.
func (t *Token) Opens(shown string) bool {
	if len(shown) < len(scheme) || !strings.EqualFold(shown[:len(scheme)], scheme) {
		return false
	}
	text := strings.TrimSpace(shown[len(scheme):])
	t.lock.Lock()
	defer t.lock.Unlock()
	t.lookNowAndThen()
	if same(text, t.text) {
		return true
	}
	_ = t.look() // it may be the token of just now; a file that is lost or spoiled changes nothing
	return same(text, t.text) || t.wasInForce(text)
}

func (t *Token) wasInForce(text string) bool {
	now := time.Now()
	for _, one := range t.before {
		if now.Before(one.until) && same(text, one.text) {
			return true
		}
	}
	return false
}

func same(one, other string) bool {
	return subtle.ConstantTimeCompare([]byte(one), []byte(other)) == 1
}

func (t *Token) lookNowAndThen() {
	if time.Now().After(t.lookAt) {
		_ = t.look() // a file that is lost or spoiled changes nothing
	}
}

// look takes over what was written to the file since.
func (t *Token) look() error {
	t.lookAt = time.Now().Add(lookEach)
	past := t.path + ".before"
	seen := [2]identity{identityOf(t.path), identityOf(past)}
	if seen == t.seen {
		return nil
	}
	text, err := content(t.path)
	if err != nil {
		return err
	}
	if !form.MatchString(text) {
		return fmt.Errorf("%s holds no token; delete it, and the next ./tandem up makes one", t.path)
	}
	t.text, t.before, t.seen = text, readEarlier(past), seen
	return nil
}

// readEarlier returns none where the file cannot be read: it is a convenience.
func readEarlier(path string) []earlier {
	text, err := content(path)
	if err != nil {
		return nil
	}
	var found []earlier
	for line := range strings.Lines(text) {
		value, until, _ := strings.Cut(strings.TrimSpace(line), " ")
		if moment, err := time.Parse(time.RFC3339, until); err == nil {
			found = append(found, earlier{value, moment})
		}
	}
	return found
}

// identity changes whenever a file does; it is zero where there is none.
type identity struct {
	inode, size, modified int64
	mode                  fs.FileMode
	owner                 uint32
}

func identityOf(path string) identity {
	found, err := os.Stat(path)
	if err != nil {
		return identity{}
	}
	kept, ok := found.Sys().(*syscall.Stat_t)
	if !ok {
		return identity{}
	}
	return identity{int64(kept.Ino), found.Size(), found.ModTime().UnixNano(), found.Mode(), kept.Uid}
}

// content of a file that nobody but its owner, which is us, can read or change.
func content(path string) (string, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", fmt.Errorf("the token cannot be read: %w", err)
	}
	defer file.Close()
	found, err := file.Stat()
	if err != nil {
		return "", err
	}
	if err := check(path, found); err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(file, bytesMax))
	return strings.TrimSpace(string(text)), err
}

func check(path string, found fs.FileInfo) error {
	kept, ok := found.Sys().(*syscall.Stat_t)
	switch {
	case !found.Mode().IsRegular():
		return fmt.Errorf("%s: the token has to be a file of its own", path)
	case !ok || int(kept.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to another user, who knows the token; delete it, and the next ./tandem up makes one", path)
	case found.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("others than you may read or change %s; if nobody has, chmod 600 it, else delete it, and the next ./tandem up makes one", path)
	}
	return nil
}

// newly writes a new token, whole or not at all, unless somebody else was first.
func newly(path string) error {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	fresh, err := os.CreateTemp(folder, filepath.Base(path)+".")
	if err != nil {
		return err
	}
	defer os.Remove(fresh.Name())
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	_, err = fmt.Fprintln(fresh, base64.RawURLEncoding.EncodeToString(secret))
	if err := errors.Join(err, fresh.Sync(), fresh.Close()); err != nil {
		return err
	}
	if err := os.Link(fresh.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
