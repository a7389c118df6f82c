// Package serve is what happens to every call between the wire and an agent: who may call, how many
// at once, for how long, whether the request keeps its contract, and what is kept of it.
package serve

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/durationpb"

	options "tandem/polyglot/stubs/tandem/options/v1"
)

// unaryDeadline is what a unary call may take where its contract does not say.
const unaryDeadline = 30 * time.Second

// A Method is one RPC of a contract, and what its options promise.
type Method struct {
	Path string
	// Deadline is 0 for a stream that lasts as long as its caller wants.
	Deadline time.Duration
	CallsMax int
	Public   bool
	// Class of its calls that do not say their own.
	Class options.Priority
	// IsWatch is true of a stream that its caller alone ends, which therefore says nothing.
	IsWatch bool
}

// Described is the contract of a service that this program has the stubs of.
func Described(service string) (protoreflect.ServiceDescriptor, error) {
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", service, err)
	}
	contract, ok := found.(protoreflect.ServiceDescriptor)
	if !ok {
		return nil, fmt.Errorf("%s is no service", service)
	}
	return contract, nil
}

func methodsOf(contract protoreflect.ServiceDescriptor) map[string]*Method {
	found := map[string]*Method{}
	for place := range contract.Methods().Len() {
		one := contract.Methods().Get(place)
		found[string(one.Name())] = methodOf(one)
	}
	return found
}

func methodOf(described protoreflect.MethodDescriptor) *Method {
	made := &Method{Path: fmt.Sprintf("/%s/%s", described.Parent().FullName(), described.Name())}
	if !described.IsStreamingClient() && !described.IsStreamingServer() {
		made.Deadline = unaryDeadline
	}
	said := described.Options()
	if longest, ok := proto.GetExtension(said, options.E_Deadline).(*durationpb.Duration); ok && longest != nil {
		made.Deadline = longest.AsDuration()
	}
	if limits, ok := proto.GetExtension(said, options.E_Limits).(*options.Limits); ok {
		made.CallsMax = int(limits.GetConcurrentCallsMax())
	}
	made.Class = usualClass(said)
	made.Public, _ = proto.GetExtension(said, options.E_Public).(bool)
	made.IsWatch = described.IsStreamingServer() && !described.IsStreamingClient() && made.Deadline == 0
	return made
}
