package tandem

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A fleet takes the token before for a while, so a new one need not be seen at once.
const lookAgainAfter = 5 * time.Second

// bearer shows the fleet's token with every call: what the file holds that TANDEM_TOKEN_FILE names.
// Without that variable calls show nothing, which is enough for a fleet that is open.
type bearer struct {
	lock  sync.Mutex
	value string
	read  time.Time
}

func (b *bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	path := os.Getenv("TANDEM_TOKEN_FILE")
	if path == "" {
		return nil, nil
	}
	b.lock.Lock()
	defer b.lock.Unlock()
	if b.read.IsZero() || time.Since(b.read) > lookAgainAfter {
		if err := b.look(path); err != nil {
			return nil, status.Errorf(codes.Unauthenticated, "tandem: no token: %v", err)
		}
	}
	return map[string]string{"authorization": "Bearer " + b.value}, nil
}

// RequireTransportSecurity is false: within a machine, or the network that joins two, calls go in
// clear.
func (b *bearer) RequireTransportSecurity() bool { return false }

func (b *bearer) look(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	value := strings.TrimSpace(string(text))
	if value == "" {
		return errors.New(path + " is empty")
	}
	b.value, b.read = value, time.Now()
	return nil
}
