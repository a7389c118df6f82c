package filedigest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"net"
	"path/filepath"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"tandem/polyglot/kit/face"
	"tandem/polyglot/kit/serve"
	"tandem/polyglot/kit/token"
	"tandem/polyglot/kit/trace"
	rpc "tandem/polyglot/stubs/tandem/polyglot/v1"
)

const (
	benchBytes = 64 << 20
	pieceBytes = 1 << 20
)

// What a call is measured against: the one hash that everybody wants, and nothing else.
func BenchmarkBareSHA256(b *testing.B) {
	whole := content(4, benchBytes)
	perCPU(b, func() { sha256.Sum256(whole) })
}

// Two hashes and cuts, without a call.
func BenchmarkDigesting(b *testing.B) {
	whole := content(4, benchBytes)
	perCPU(b, func() { partsOf(whole, pieceBytes) })
}

// Only looked up, and kept in the index, through a real server that asks for its token and checks
// each message.
func BenchmarkThroughGRPC(b *testing.B) {
	whole, stub := content(4, benchBytes), served(b)
	for _, name := range []string{"", "files/a"} {
		b.Run("name="+name, func(b *testing.B) {
			perCPU(b, func() {
				if _, err := sent(b.Context(), stub, name, whole); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

// perCPU says beside the rate how much is done with a second of CPU time, which other programs of the
// machine do not change. Caller and server are one process.
func perCPU(b *testing.B, work func()) {
	b.Helper()
	b.SetBytes(benchBytes)
	before := face.UsageNow().CPU
	for b.Loop() {
		work()
	}
	spent := face.UsageNow().CPU - before
	b.ReportMetric(float64(b.N)*benchBytes/1e6/spent.Seconds(), "MB/cpu-s")
}

func sent(ctx context.Context, stub rpc.FileDigestServiceClient, name string, whole []byte) (*rpc.DigestFileResponse, error) {
	stream, err := stub.DigestFile(ctx)
	if err != nil {
		return nil, err
	}
	start := &rpc.DigestFileRequest_Start_{Start: &rpc.DigestFileRequest_Start{Name: name}}
	if err := stream.Send(&rpc.DigestFileRequest{Step: start}); err != nil {
		return nil, err
	}
	for place := 0; place < len(whole); place += pieceBytes {
		piece := &rpc.DigestFileRequest_Piece{OffsetBytes: int64(place), Content: whole[place:min(place+pieceBytes, len(whole))]}
		if err := stream.Send(&rpc.DigestFileRequest{Step: &rpc.DigestFileRequest_Piece_{Piece: piece}}); err != nil {
			return nil, err
		}
	}
	return stream.CloseAndRecv()
}

func served(t testing.TB) rpc.FileDigestServiceClient {
	t.Helper()
	known, err := token.Kept(filepath.Join(t.TempDir(), "token"))
	if err != nil {
		t.Fatal(err)
	}
	server, err := serve.New(known, trace.Tracing{}, []*grpc.ServiceDesc{&rpc.FileDigestService_ServiceDesc})
	if err != nil {
		t.Fatal(err)
	}
	index, err := openIndex(filepath.Join(t.TempDir(), "index.db"), roomy)
	if err != nil {
		t.Fatal(err)
	}
	seat, err := server.Mount("tandem.polyglot.v1.FileDigestService", "polyglot-file-digest", false)
	if err != nil {
		t.Fatal(err)
	}
	seat.Take(&servicer{index: index, limits: roomy})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	shows := func(ctx context.Context, description *grpc.StreamDesc, wire *grpc.ClientConn, method string,
		stream grpc.Streamer, options ...grpc.CallOption,
	) (grpc.ClientStream, error) {
		return stream(metadata.AppendToOutgoingContext(ctx, token.Header, known.Bearer()), description, wire, method, options...)
	}
	plain := grpc.WithTransportCredentials(insecure.NewCredentials())
	wire, err := grpc.NewClient(listener.Addr().String(), plain, grpc.WithStreamInterceptor(shows))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = wire.Close()
		server.Drain(0, func() {})
		_ = index.close()
	})
	return rpc.NewFileDigestServiceClient(wire)
}

// A file that streams through the server is the same as one that does not.
func TestAFileStreamsThroughTheServer(t *testing.T) {
	whole, stub := content(5, 5*pieceBytes+1), served(t)
	for round, known := range []bool{false, true} {
		told, err := sent(t.Context(), stub, "files/a", whole)
		if err != nil {
			t.Fatal(round, err)
		}
		sum := sha256.Sum256(whole)
		if !bytes.Equal(told.GetSha256(), sum[:]) || (told.GetKnownShare() == 1) != known {
			t.Error(round, told)
		}
	}
}
