// Package tandem opens the one channel over which every agent of a Tandem fleet is called.
package tandem

import (
	"errors"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/credentials/xds"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	_ "google.golang.org/grpc/xds" // knows xds: targets
)

// Target names the whole fleet.
const Target = "xds:///tandem"

// ErrNoBootstrap says that nobody told this process where the fleet's control planes are.
var ErrNoBootstrap = errors.New("tandem: set GRPC_XDS_BOOTSTRAP_CONFIG or GRPC_XDS_BOOTSTRAP" +
	" (`./tandem env` prints it), or call DialAddress with the edge's address")

// Dial opens the channel of the mesh: gRPC itself discovers, balances, retries and fails over.
// Open it once; it is safe for concurrent use and serves every stub. Where the control planes are,
// and the file with the fleet's token, stand in the environment. Options come after the package's
// own and win over them.
func Dial(options ...grpc.DialOption) (*grpc.ClientConn, error) {
	if os.Getenv("GRPC_XDS_BOOTSTRAP_CONFIG") == "" && os.Getenv("GRPC_XDS_BOOTSTRAP") == "" {
		return nil, ErrNoBootstrap
	}
	// The control plane may turn on mutual TLS for an agent without any change here.
	mesh, err := xds.NewClientCredentials(xds.ClientOptions{FallbackCreds: insecure.NewCredentials()})
	if err != nil {
		return nil, err
	}
	return grpc.NewClient(Target, append(own(grpc.WithTransportCredentials(mesh)), options...)...)
}

// DialAddress opens a channel to one plain address, `host:port`: the fleet's edge, or one host.
// It is in clear unless an option brings credentials.
func DialAddress(address string, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	plain := grpc.WithTransportCredentials(insecure.NewCredentials())
	return grpc.NewClient(address, append(own(plain), options...)...)
}

// ErrorInfo is why a call failed, as its contract's ErrorReason names it; nil where no agent said.
func ErrorInfo(err error) *errdetails.ErrorInfo {
	return Detail[*errdetails.ErrorInfo](err)
}

// Detail is the first detail of a failed call that is a T, such as *errdetails.BadRequest.
func Detail[T any](err error) T {
	for _, detail := range status.Convert(err).Details() {
		if found, ok := detail.(T); ok {
			return found
		}
	}
	var none T
	return none
}

func own(credentials grpc.DialOption) []grpc.DialOption {
	// Ten seconds is the least that gRPC for Go allows.
	alive := keepalive.ClientParameters{
		Time: 10 * time.Second, Timeout: time.Second, PermitWithoutStream: true,
	}
	shown := grpc.WithPerRPCCredentials(&bearer{})
	return []grpc.DialOption{credentials, shown, grpc.WithKeepaliveParams(alive)}
}
