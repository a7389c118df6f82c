package serve

import (
	"strings"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"tandem/polyglot/kit/failure"
	options "tandem/polyglot/stubs/tandem/options/v1"
)

// PriorityHeader says the class of a call: who waits when there is too much to do.
// docs/design/flow.md.
const PriorityHeader = "x-tandem-priority"

var classes = map[string]options.Priority{
	"interactive": options.Priority_PRIORITY_INTERACTIVE,
	"standard":    options.Priority_PRIORITY_STANDARD,
	"batch":       options.Priority_PRIORITY_BATCH,
}

// classOf a call is what its header says, else its method's. A word that is none is refused: a
// misspelt one would have its caller wait, or others, in silence.
func classOf(told metadata.MD, method *Method) (options.Priority, error) {
	said := told.Get(PriorityHeader)
	if len(said) == 0 {
		return method.Class, nil
	}
	found, known := classes[said[len(said)-1]]
	if !known {
		none := "is none of " + strings.Join([]string{"interactive", "standard", "batch"}, ", ")
		return 0, invalid(failure.Violation{Field: PriorityHeader, Description: none})
	}
	return found, nil
}

// usualClass is what a method's contract says of its calls.
func usualClass(said protoreflect.ProtoMessage) options.Priority {
	found, ok := proto.GetExtension(said, options.E_Priority).(options.Priority)
	if !ok || found == options.Priority_PRIORITY_UNSPECIFIED {
		return options.Priority_PRIORITY_STANDARD
	}
	return found
}
