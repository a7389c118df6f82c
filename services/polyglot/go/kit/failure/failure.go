// Package failure says what a failed call looks like on the wire: one canonical code, one reason of
// a contract, and at most one detail of each other kind.
package failure

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	options "tandem/polyglot/stubs/tandem/options/v1"
)

// Trailers past 8 KiB are refused by gRPC itself, and the caller would see that instead.
const (
	valueBytesMax      = 256
	metadataBytesMax   = 2048
	violationsBytesMax = 3072
)

// A Violation is one field that broke a rule, as a path such as `agents[0].name`.
type Violation struct{ Field, Description string }

// A Refusal is how a call ends that does not end well. It is the only error that agents return on
// purpose: any other is a defect of theirs, of which the caller learns an incident alone.
type Refusal struct {
	Code       codes.Code
	Message    string
	Reason     string
	Domain     string
	Metadata   map[string]string
	Violations []Violation
	RetryAfter time.Duration
}

// A Detail says more of a refusal.
type Detail func(*Refusal)

// With adds a fact that the message mentions.
func With(key string, value any) Detail {
	return func(r *Refusal) { r.Metadata[key] = fmt.Sprint(value) }
}

// Field names the request's field that is at fault.
func Field(name string) Detail {
	return func(r *Refusal) { r.Violations = append(r.Violations, Violation{name, r.Message}) }
}

// RetryAfter says when a retry is welcome.
func RetryAfter(delay time.Duration) Detail {
	return func(r *Refusal) { r.RetryAfter = delay }
}

// Broken adds fields that broke a rule.
func Broken(violations []Violation) Detail {
	return func(r *Refusal) {
		r.Violations = violations
		r.Metadata["violations_total"] = fmt.Sprint(len(violations))
	}
}

// Of refuses a call for a reason of a contract's `ErrorReason`, whose option gives the code. The
// message is a constant sentence; all that varies is a detail. A reason without a code is a defect.
func Of(reason protoreflect.Enum, message string, details ...Detail) error {
	kind := reason.Descriptor()
	value := kind.Values().ByNumber(reason.Number())
	if value == nil || !proto.HasExtension(value.Options(), options.E_Code) {
		return fmt.Errorf("%s has no reason %d, or it has no code", kind.FullName(), reason.Number())
	}
	made := &Refusal{
		Code:     codes.Code(proto.GetExtension(value.Options(), options.E_Code).(protoreflect.Enum).Number()),
		Message:  message,
		Reason:   strings.TrimPrefix(string(value.Name()), prefixOf(string(kind.Name()))),
		Domain:   string(kind.ParentFile().Package()),
		Metadata: map[string]string{},
	}
	for _, detail := range details {
		detail(made)
	}
	return made
}

// prefixOf the values of an enum: `ERROR_REASON_` of `ErrorReason`.
func prefixOf(name string) string {
	var made strings.Builder
	for place, char := range name {
		if place > 0 && char >= 'A' && char <= 'Z' {
			made.WriteByte('_')
		}
		made.WriteRune(char)
	}
	return strings.ToUpper(made.String()) + "_"
}

// Error is the refusal as a log line tells it.
func (r *Refusal) Error() string {
	return fmt.Sprintf("%s (%s/%s)", r.Message, r.Domain, r.Reason)
}

// GRPCStatus is the refusal as gRPC sends it.
func (r *Refusal) GRPCStatus() *status.Status {
	info := &errdetails.ErrorInfo{Reason: r.Reason, Domain: r.Domain, Metadata: map[string]string{}}
	for key, value := range r.Metadata {
		if proto.Size(info) < metadataBytesMax {
			info.Metadata[key] = cut(value)
		}
	}
	details := []protoadapt.MessageV1{info}
	if bad := r.badRequest(); bad != nil {
		details = append(details, bad)
	}
	if r.RetryAfter > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(r.RetryAfter)})
	}
	bare := status.New(r.Code, r.Message)
	if whole, err := bare.WithDetails(details...); err == nil {
		return whole
	}
	return bare
}

func (r *Refusal) badRequest() *errdetails.BadRequest {
	if len(r.Violations) == 0 {
		return nil
	}
	bad := &errdetails.BadRequest{}
	for _, one := range r.Violations {
		if proto.Size(bad) < violationsBytesMax {
			said := &errdetails.BadRequest_FieldViolation{Field: cut(one.Field), Description: cut(one.Description)}
			bad.FieldViolations = append(bad.FieldViolations, said)
		}
	}
	return bad
}

func cut(text string) string {
	if len(text) <= valueBytesMax {
		return text
	}
	text = text[:valueBytesMax]
	for !utf8.ValidString(text) {
		text = text[:len(text)-1]
	}
	return text
}

// ReasonOf a failed call to somebody else; empty where it says none.
func ReasonOf(failed *status.Status) string {
	for _, detail := range failed.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

// NameOf a code as contracts and the other hosts' logs spell it: `NOT_FOUND`.
func NameOf(code codes.Code) string {
	return names[code]
}

var names = map[codes.Code]string{
	codes.OK: "OK", codes.Canceled: "CANCELLED", codes.Unknown: "UNKNOWN",
	codes.InvalidArgument: "INVALID_ARGUMENT", codes.DeadlineExceeded: "DEADLINE_EXCEEDED",
	codes.NotFound: "NOT_FOUND", codes.AlreadyExists: "ALREADY_EXISTS",
	codes.PermissionDenied: "PERMISSION_DENIED", codes.ResourceExhausted: "RESOURCE_EXHAUSTED",
	codes.FailedPrecondition: "FAILED_PRECONDITION", codes.Aborted: "ABORTED",
	codes.OutOfRange: "OUT_OF_RANGE", codes.Unimplemented: "UNIMPLEMENTED",
	codes.Internal: "INTERNAL", codes.Unavailable: "UNAVAILABLE", codes.DataLoss: "DATA_LOSS",
	codes.Unauthenticated: "UNAUTHENTICATED",
}
