package failure

import (
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	rpc "tandem/polyglot/stubs/tandem/polyglot/v1"
	platform "tandem/polyglot/stubs/tandem/type/v1"
)

// The contract says the code; the reason is its bare name, in the family's domain.
func TestARefusalSpeaksItsContract(t *testing.T) {
	err := Of(rpc.ErrorReason_ERROR_REASON_INDEX_FULL, "it is full", With("files_max", 3), Field("name"), RetryAfter(time.Second))
	said := status.Convert(err)
	if said.Code() != codes.ResourceExhausted || said.Message() != "it is full" || ReasonOf(said) != "INDEX_FULL" {
		t.Fatal(said)
	}
	info, _ := said.Details()[0].(*errdetails.ErrorInfo)
	bad, _ := said.Details()[1].(*errdetails.BadRequest)
	retry, _ := said.Details()[2].(*errdetails.RetryInfo)
	if info.GetDomain() != "tandem.polyglot.v1" || info.GetMetadata()["files_max"] != "3" {
		t.Error(info)
	}
	if bad.GetFieldViolations()[0].GetField() != "name" || retry.GetRetryDelay().AsDuration() != time.Second {
		t.Error(bad, retry)
	}
	other := Of(platform.PlatformErrorReason_PLATFORM_ERROR_REASON_OVERLOADED, "it is busy")
	if ReasonOf(status.Convert(other)) != "OVERLOADED" {
		t.Error(other)
	}
}

// A reason that the contract gives no code is a defect, and nothing that a caller is told.
func TestAReasonWithoutACodeIsADefect(t *testing.T) {
	var refusal *Refusal
	if errors.As(Of(rpc.ErrorReason_ERROR_REASON_UNSPECIFIED, "none"), &refusal) {
		t.Error(refusal)
	}
}

// gRPC refuses trailers of more than 8 KiB, so whatever a refusal says fits.
func TestARefusalFitsIntoTrailers(t *testing.T) {
	long := strings.Repeat("é", 5000)
	var broken []Violation
	for range 500 {
		broken = append(broken, Violation{long, long})
	}
	err := Of(rpc.ErrorReason_ERROR_REASON_TOO_LARGE, "it is large", Broken(broken), With("a", long), With("b", long))
	if size := proto.Size(status.Convert(err).Proto()); size > 6000 {
		t.Error(size)
	}
}
