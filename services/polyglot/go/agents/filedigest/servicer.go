package filedigest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"strings"

	"google.golang.org/grpc"

	"tandem/polyglot/kit/failure"
	rpc "tandem/polyglot/stubs/tandem/polyglot/v1"
)

const (
	pageSize    = 1000
	pageSizeMax = 10_000
	folder      = "files/"
)

type servicer struct {
	rpc.UnimplementedFileDigestServiceServer
	index  *index
	limits limits
}

type stream = grpc.ClientStreamingServer[rpc.DigestFileRequest, rpc.DigestFileResponse]

func (s *servicer) DigestFile(calls stream) error {
	request, err := calls.Recv()
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	start := request.GetStart()
	if start == nil {
		return outOfOrder("start")
	}
	if start.GetSizeBytes() > s.limits.fileBytesMax {
		return s.tooLarge()
	}
	file := newDigesting(start.GetWithBlake3())
	if err := s.takeAll(calls, start, file); err != nil {
		return err
	}
	if err := sameAs(start, file); err != nil {
		return err
	}
	if start.GetName() == "" {
		err = s.index.mark(file.parts)
	} else {
		err = s.index.keep(idOf(start.GetName()), file.bytes, file.parts, calls.Context().Err)
	}
	if err != nil {
		return s.refused(err)
	}
	return calls.SendAndClose(answered(file))
}

// takeAll pieces of the stream, in their order.
func (s *servicer) takeAll(calls stream, start *rpc.DigestFileRequest_Start, file *digesting) error {
	for {
		request, err := calls.Recv()
		if errors.Is(err, io.EOF) {
			file.finish()
			return nil
		}
		if err != nil {
			return err
		}
		piece := request.GetPiece()
		if piece == nil {
			return outOfOrder("piece")
		}
		if piece.GetOffsetBytes() != file.bytes {
			return failure.Of(rpc.ErrorReason_ERROR_REASON_STREAM_OUT_OF_ORDER, "a piece begins where the one before ends",
				failure.Field("piece.offset_bytes"), failure.With("expected_offset_bytes", file.bytes), failure.With("offset_bytes", piece.GetOffsetBytes()))
		}
		size := file.bytes + int64(len(piece.GetContent()))
		if size > s.limits.fileBytesMax {
			return s.tooLarge()
		}
		if start.SizeBytes != nil && size > start.GetSizeBytes() {
			return differs("size_bytes", start.GetSizeBytes(), size)
		}
		file.take(piece.GetContent())
	}
}

// sameAs was announced?
func sameAs(start *rpc.DigestFileRequest_Start, file *digesting) error {
	if start.SizeBytes != nil && start.GetSizeBytes() != file.bytes {
		return differs("size_bytes", start.GetSizeBytes(), file.bytes)
	}
	found := file.sha256()
	if wanted := start.GetSha256(); len(wanted) > 0 && !bytes.Equal(wanted, found) {
		return failure.Of(rpc.ErrorReason_ERROR_REASON_CONTENT_DIFFERS, "the file is another than was announced",
			failure.Field("start.sha256"))
	}
	return nil
}

func answered(file *digesting) *rpc.DigestFileResponse {
	made := &rpc.DigestFileResponse{
		Sha256: file.sha256(), Blake3: file.blake3(), SizeBytes: file.bytes, PartsCount: int64(len(file.parts)),
	}
	for _, one := range file.parts {
		if one.wasKnown {
			made.KnownPartsCount++
			made.KnownBytes += int64(one.size)
		}
	}
	if file.bytes > 0 {
		made.KnownShare = float64(made.KnownBytes) / float64(file.bytes)
	}
	return made
}

func (s *servicer) ListParts(_ context.Context, request *rpc.ListPartsRequest) (*rpc.ListPartsResponse, error) {
	id, most := idOf(request.GetName()), int(request.GetPageSize())
	if most == 0 {
		most = pageSize
	}
	from, err := placeIn(request.GetPageToken(), id)
	if err != nil {
		return nil, err
	}
	parts, offset, count, err := s.index.list(id, from, min(most, pageSizeMax))
	if err != nil {
		return nil, s.refused(err)
	}
	page := &rpc.ListPartsResponse{}
	for place := range parts {
		one := &parts[place]
		page.Parts = append(page.Parts, &rpc.FilePart{
			OffsetBytes: offset, SizeBytes: one.size, Blake3: one.digest[:], WasKnown: one.wasKnown,
		})
		offset += int64(one.size)
	}
	if next := from + len(parts); next < count {
		page.NextPageToken = tokenOf(next, id)
	}
	return page, nil
}

func (s *servicer) FindParts(_ context.Context, request *rpc.FindPartsRequest) (*rpc.FindPartsResponse, error) {
	known, err := s.index.known(request.GetBlake3())
	return &rpc.FindPartsResponse{Known: known}, err
}

func (s *servicer) ForgetFile(_ context.Context, request *rpc.ForgetFileRequest) (*rpc.ForgetFileResponse, error) {
	forgotten, err := s.index.forget(idOf(request.GetName()))
	if errors.Is(err, errAbsent) {
		return &rpc.ForgetFileResponse{WasSoAlready: true}, nil
	}
	return &rpc.ForgetFileResponse{ForgottenPartsCount: forgotten}, err
}

func (s *servicer) DescribeIndex(context.Context, *rpc.DescribeIndexRequest) (*rpc.DescribeIndexResponse, error) {
	found, err := s.index.sums()
	return &rpc.DescribeIndexResponse{
		FilesCount: found.files, FilesBytes: found.fileBytes, PartsCount: found.parts, PartsBytes: found.partBytes,
		FilesMax: s.limits.filesMax, PartsMax: s.limits.partsMax,
	}, err
}

func idOf(name string) string { return strings.TrimPrefix(name, folder) }

func outOfOrder(expected string) error {
	return failure.Of(rpc.ErrorReason_ERROR_REASON_STREAM_OUT_OF_ORDER, "the stream is one `start`, and then pieces",
		failure.With("expected", expected))
}

func (s *servicer) tooLarge() error {
	return failure.Of(rpc.ErrorReason_ERROR_REASON_TOO_LARGE, "the file exceeds the limit",
		failure.With("file_bytes_max", s.limits.fileBytesMax))
}

func differs(field string, wanted, found int64) error {
	return failure.Of(rpc.ErrorReason_ERROR_REASON_CONTENT_DIFFERS, "the file is another than was announced",
		failure.Field("start."+field), failure.With("announced", wanted), failure.With("found", found))
}

// refused is what a failure of the index is to the caller.
func (s *servicer) refused(err error) error {
	switch {
	case errors.Is(err, errFull):
		return failure.Of(rpc.ErrorReason_ERROR_REASON_INDEX_FULL, "the index is full; forget files that are gone",
			failure.With("files_max", s.limits.filesMax), failure.With("parts_max", s.limits.partsMax))
	case errors.Is(err, errAbsent):
		return failure.Of(rpc.ErrorReason_ERROR_REASON_FILE_NOT_FOUND, "the index has no file of that name", failure.Field("name"))
	}
	return err
}

// A page token is the number of the next part, and a sum that ties it to its file.
func tokenOf(place int, id string) string {
	said := binary.BigEndian.AppendUint64(nil, uint64(place))
	sum := crc32.ChecksumIEEE(append(said[:8:8], id...))
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint32(said, sum))
}

func placeIn(token, id string) (int, error) {
	if token == "" {
		return 0, nil
	}
	said, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil && len(said) == 12 {
		if place := int(binary.BigEndian.Uint64(said)); tokenOf(place, id) == token {
			return place, nil
		}
	}
	return 0, failure.Of(rpc.ErrorReason_ERROR_REASON_PAGE_TOKEN_INVALID, "the page token is none of this listing",
		failure.Field("page_token"))
}
