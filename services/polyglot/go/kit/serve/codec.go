package serve

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// arriving is a request whose bytes may be no such message. gRPC ends a call with a status of its
// own as soon as its codec fails; so ours does not, and says here what was wrong.
type arriving struct {
	request    any
	unreadable error
}

// patient is the codec of protobuf that knows those.
type patient struct{ encoding.CodecV2 }

func newPatient() patient { return patient{encoding.GetCodecV2(proto.Name)} }

func (p patient) Unmarshal(wire mem.BufferSlice, into any) error {
	one, ok := into.(*arriving)
	if !ok {
		return p.CodecV2.Unmarshal(wire, into)
	}
	one.unreadable = p.CodecV2.Unmarshal(wire, one.request)
	return nil
}

// taken reads a request by `receive`, and checks it.
func taken(request any, receive func(any) error) error {
	one := &arriving{request: request}
	if err := receive(one); err != nil {
		return err
	}
	if one.unreadable != nil {
		return unreadable(request)
	}
	return check(request)
}
