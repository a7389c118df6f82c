package fleet

import (
	"encoding/base64"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"tandem/polyglot/kit/token"
	control "tandem/polyglot/stubs/tandem/control/v1"
)

const (
	credentialHeader = "x-tandem-host-bin"
	// The host has the key and vouches anew whenever it registers.
	vouchedFor = time.Minute
	// What else the key may sign one day is never taken for this.
	purpose = "tandem.control.v1.HostCredential\x00"
)

// A Credential is what shows at a control that this host may be who it says.
type Credential func(host *control.Host) ([]byte, error)

// ByKey has the host vouch for itself, as what it is at that moment.
func ByKey(key *token.Token) Credential {
	return func(host *control.Host) ([]byte, error) {
		said := &control.HostCredential{Host: host.GetName(), ExpireTime: timestamppb.New(time.Now().Add(vouchedFor))}
		for _, one := range host.GetPlacements() {
			said.Services = append(said.Services, one.GetService())
		}
		slices.Sort(said.Services)
		said.Services = slices.Compact(said.Services)
		wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(said)
		if err != nil {
			return nil, err
		}
		mac := key.Sign(append([]byte(purpose), wire...))
		return proto.Marshal(&control.SignedHostCredential{Credential: wire, Mac: mac})
	}
}

// ByFile shows what somebody vouched for the host in a file, which is read anew each time.
func ByFile(path string) Credential {
	return func(*control.Host) ([]byte, error) {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("the host's credential cannot be read: %w", err)
		}
		return base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	}
}
