package serve

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"tandem/polyglot/kit/failure"
	"tandem/polyglot/kit/trace"
	rpc "tandem/polyglot/stubs/tandem/polyglot/v1"
)

const service = "tandem.polyglot.v1.FileDigestService"

// fake is a servicer that does what a test says.
type fake struct {
	rpc.UnimplementedFileDigestServiceServer
	find   func(context.Context) error
	digest func(grpc.ClientStreamingServer[rpc.DigestFileRequest, rpc.DigestFileResponse]) error
}

func (f *fake) FindParts(ctx context.Context, _ *rpc.FindPartsRequest) (*rpc.FindPartsResponse, error) {
	return &rpc.FindPartsResponse{}, f.find(ctx)
}

func (f *fake) DigestFile(calls grpc.ClientStreamingServer[rpc.DigestFileRequest, rpc.DigestFileResponse]) error {
	return f.digest(calls)
}

func (f *fake) DescribeIndex(context.Context, *rpc.DescribeIndexRequest) (*rpc.DescribeIndexResponse, error) {
	return &rpc.DescribeIndexResponse{}, nil
}

func begun(t *testing.T) (*Server, rpc.FileDigestServiceClient) {
	t.Helper()
	server, err := New(nil, trace.Tracing{}, []*grpc.ServiceDesc{&rpc.FileDigestService_ServiceDesc})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	wire, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = wire.Close()
		server.Drain(0, func() {})
	})
	return server, rpc.NewFileDigestServiceClient(wire)
}

func seated(t *testing.T, server *Server, servicer any) *Seat {
	t.Helper()
	seat, err := server.Mount(service, "polyglot-file-digest", false)
	if err != nil {
		t.Fatal(err)
	}
	if !seat.Fits(servicer) || seat.Fits(server) || seat.Fits(nil) {
		t.Fatal("who implements the contract fits, and nobody else")
	}
	seat.Take(servicer)
	return seat
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, end := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(end)
	return ctx
}

func reasonOf(err error) string { return failure.ReasonOf(status.Convert(err)) }

var good = &rpc.FindPartsRequest{Blake3: [][]byte{make([]byte, 32)}}

// A panic and an error without a reason end their call alone, and tell nothing of their cause.
func TestADefectIsTheCallsAlone(t *testing.T) {
	server, stub := begun(t)
	for _, defect := range []func(context.Context) error{
		func(context.Context) error { panic("a secret") },
		func(context.Context) error { return errors.New("a secret") },
		func(context.Context) error { return status.Error(codes.NotFound, "a secret") },
	} {
		seated(t, server, &fake{find: defect})
		_, err := stub.FindParts(within(t), good)
		if status.Code(err) != codes.Internal || reasonOf(err) != "INTERNAL" || strings.Contains(err.Error(), "secret") {
			t.Error(err)
		}
	}
}

// Rules of the contract are kept by requests and by each message of a stream, before the agent.
func TestWhatBreaksItsContractNeverArrives(t *testing.T) {
	server, stub := begun(t)
	seated(t, server, &fake{digest: func(calls grpc.ClientStreamingServer[rpc.DigestFileRequest, rpc.DigestFileResponse]) error {
		for {
			if _, err := calls.Recv(); err != nil {
				return err
			}
		}
	}})
	_, err := stub.FindParts(within(t), &rpc.FindPartsRequest{Blake3: [][]byte{{1}}})
	if reasonOf(err) != "INVALID_REQUEST" || !strings.Contains(status.Convert(err).Proto().String(), "blake3[0]") {
		t.Error(err)
	}
	stream, err := stub.DigestFile(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&rpc.DigestFileRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.CloseAndRecv(); reasonOf(err) != "INVALID_REQUEST" {
		t.Error(err)
	}
}

// A servicer that waits for its caller hears that its seat is taken from it, and only then is the
// seat left.
func TestASeatIsLeftWhenNobodyAnswersAnyMore(t *testing.T) {
	server, stub := begun(t)
	entered, left := make(chan struct{}), make(chan error, 1)
	seat := seated(t, server, &fake{digest: func(calls grpc.ClientStreamingServer[rpc.DigestFileRequest, rpc.DigestFileResponse]) error {
		close(entered)
		_, err := calls.Recv()
		left <- err
		return err
	}})
	stream, err := stub.DigestFile(within(t))
	if err != nil {
		t.Fatal(err)
	}
	<-entered
	seat.Leave(Suspended("stopped", "ann", "a test"))
	select {
	case err := <-left:
		if err == nil || errors.Is(err, io.EOF) {
			t.Error(err)
		}
	default:
		t.Error("the servicer is at work when its seat is left")
	}
	if err := stream.RecvMsg(&rpc.DigestFileResponse{}); reasonOf(err) != "SUSPENDED" {
		t.Error(err)
	}
}

// Where a call names an instance, no other one answers it.
func TestACallReachesTheInstanceThatItNames(t *testing.T) {
	server, stub := begun(t)
	told := func(name string) *fake {
		return &fake{find: func(context.Context) error {
			return failure.Of(rpc.ErrorReason_ERROR_REASON_FILE_NOT_FOUND, "it is "+name)
		}}
	}
	seated(t, server, told("planned"))
	added, err := server.Mount(service, "polyglot-file-digest-b", true)
	if err != nil {
		t.Fatal(err)
	}
	added.Take(told("added"))
	for name, answer := range map[string]string{
		"": "it is planned", "polyglot-file-digest": "it is planned", "polyglot-file-digest-b": "it is added",
		"polyglot-file-digest-c": "the agent is being built again",
	} {
		ctx := within(t)
		if name != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, InstanceHeader, name)
		}
		if _, err := stub.FindParts(ctx, good); status.Convert(err).Message() != answer {
			t.Error(name, err)
		}
	}
}

// Calls, lives and limits change at the same time, and each call has an end that the kit knows.
func TestEverythingAtOnce(t *testing.T) {
	server, stub := begun(t)
	servicer := &fake{find: func(context.Context) error { return nil }}
	seat := seated(t, server, servicer)
	var callers sync.WaitGroup
	for _, class := range []string{"interactive", "interactive", "interactive", "standard", "standard", "standard", "batch", "batch"} {
		callers.Go(func() {
			for range 100 {
				ctx := metadata.AppendToOutgoingContext(t.Context(), PriorityHeader, class)
				_, err := stub.FindParts(ctx, good)
				if reason := reasonOf(err); err != nil && reason != "RESTARTING" && reason != "OVERLOADED" {
					t.Error(err)
				}
			}
		})
	}
	for round := range 50 {
		server.Limit(map[string]int{service: round % 3})
		seat.Leave(Restarting())
		seat.Take(servicer)
		_, _ = server.Tallies(), seat.Calls()
	}
	callers.Wait()
	if seat.Calls() != 0 {
		t.Error(seat.Calls())
	}
}
