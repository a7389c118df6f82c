package serve

import (
	"errors"
	"strconv"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"

	"tandem/polyglot/kit/failure"
	platform "tandem/polyglot/stubs/tandem/type/v1"
)

// Violations are the rules that a message breaks, in the order of its fields. An error is a rule
// that cannot be run: a defect of the contract.
func Violations(message proto.Message) ([]failure.Violation, error) {
	var broken *protovalidate.ValidationError
	err := protovalidate.Validate(message)
	if err == nil {
		return nil, nil
	}
	if !errors.As(err, &broken) {
		return nil, err
	}
	var found []failure.Violation
	for _, one := range broken.Violations {
		found = append(found, failure.Violation{Field: pathOf(one.Proto.GetField()), Description: one.Proto.GetMessage()})
	}
	return found, nil
}

// check refuses a request that breaks its contract.
func check(request any) error {
	message, ok := request.(proto.Message)
	if !ok {
		return nil
	}
	broken, err := Violations(message)
	if err != nil || len(broken) == 0 {
		return err
	}
	return invalid(broken...)
}

// unreadable refuses bytes that are no such message: gRPC would call that an internal error.
func unreadable(request any) error {
	name := "such message"
	if message, ok := request.(proto.Message); ok {
		name = string(message.ProtoReflect().Descriptor().FullName())
	}
	return invalid(failure.Violation{Description: "is no " + name})
}

func invalid(broken ...failure.Violation) error {
	return failure.Of(platform.PlatformErrorReason_PLATFORM_ERROR_REASON_INVALID_REQUEST,
		"the request breaks the contract", failure.Broken(broken))
}

// pathOf the field at fault as a reader would write it: `agents[0].name`, `labels["a"]`.
func pathOf(path *validate.FieldPath) string {
	var made strings.Builder
	for place, element := range path.GetElements() {
		if place > 0 {
			made.WriteByte('.')
		}
		made.WriteString(element.GetFieldName())
		made.WriteString(subscript(element))
	}
	return made.String()
}

func subscript(element *validate.FieldPathElement) string {
	switch said := element.GetSubscript().(type) {
	case *validate.FieldPathElement_Index:
		return "[" + strconv.FormatUint(said.Index, 10) + "]"
	case *validate.FieldPathElement_BoolKey:
		return "[" + strconv.FormatBool(said.BoolKey) + "]"
	case *validate.FieldPathElement_IntKey:
		return "[" + strconv.FormatInt(said.IntKey, 10) + "]"
	case *validate.FieldPathElement_UintKey:
		return "[" + strconv.FormatUint(said.UintKey, 10) + "]"
	case *validate.FieldPathElement_StringKey:
		return `["` + said.StringKey + `"]`
	}
	return ""
}
