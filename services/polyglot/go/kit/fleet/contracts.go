// Package fleet is a host's place among the others: its lease at a control, and what it says of
// itself under it. docs/design/control.md says what watchers see of each way to end.
package fleet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	control "tandem/polyglot/stubs/tandem/control/v1"
)

// valueBytesMax is what a registry stores under one key.
const valueBytesMax = 256 << 10

// A Contract is a file with all that it imports, as control keeps it for whoever has no stubs.
type Contract struct {
	Digest string
	value  *control.StoredValue
}

// ContractOf the file that declares a service.
func ContractOf(file protoreflect.FileDescriptor) (Contract, error) {
	files := &descriptorpb.FileDescriptorSet{}
	withImports(file, map[string]bool{}, files)
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(files)
	if err != nil {
		return Contract{}, err
	}
	schema := string(files.ProtoReflect().Descriptor().FullName())
	value := &control.StoredValue{Schema: schema, Content: content}
	if size := proto.Size(value); size > valueBytesMax {
		return Contract{}, fmt.Errorf("%s has %d bytes with its imports; a registry stores %d", file.Path(), size, valueBytesMax)
	}
	digest := sha256.Sum256(content)
	return Contract{hex.EncodeToString(digest[:]), value}, nil
}

// withImports adds each file behind those that it needs.
func withImports(file protoreflect.FileDescriptor, seen map[string]bool, files *descriptorpb.FileDescriptorSet) {
	if seen[file.Path()] {
		return
	}
	seen[file.Path()] = true
	for place := range file.Imports().Len() {
		withImports(file.Imports().Get(place).FileDescriptor, seen, files)
	}
	files.File = append(files.File, protodesc.ToFileDescriptorProto(file))
}

// keep stores what is not there yet. A digest names one content, so what is there is right.
func keep(ctx context.Context, registry control.RegistryServiceClient, contracts []Contract, within time.Duration) error {
	for _, one := range contracts {
		asking, end := context.WithTimeout(ctx, within)
		request := &control.PutValueRequest{Key: "contracts/" + one.Digest, Value: one.value, ExpectedVersion: proto.Int64(0)}
		_, err := registry.PutValue(asking, request)
		end()
		if err != nil && status.Code(err) != codes.Aborted {
			return err
		}
	}
	return nil
}
